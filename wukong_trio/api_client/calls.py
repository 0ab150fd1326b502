"""Methods of the client, each written down as one line: endpoint, request, answer.

The parameters of a method are the members of its request, in their order; what is left out has the default there.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar, overload

from msgspec import Struct, structs

from .answers import Reader
from .transport import Transport

P = ParamSpec("P")
R = TypeVar("R")


class WithQuery(NamedTuple):
    """A body, and parameters of the URL beside it."""

    body: object
    query: Struct


class MethodGroup:
    """Methods that belong together. The paths of a group begin with its `prefix`."""

    prefix = ""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class Call(Generic[P, R]):
    """A method of a MethodGroup."""

    def __init__(self, method: str, path: str, request: Callable[P, object], read: Reader[R]) -> None:
        self.method = method
        self.path = path
        self.request = request
        self.read = read

    @overload
    def __get__(self, group: None, owner: type[MethodGroup]) -> "Call[P, R]": ...
    @overload
    def __get__(self, group: MethodGroup, owner: type[MethodGroup]) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, group: MethodGroup | None, owner: type[MethodGroup]) -> Any:
        if group is None:
            return self

        async def call(*args: P.args, **kwargs: P.kwargs) -> R:
            request = self.request(*args, **kwargs)
            body, query = request if isinstance(request, WithQuery) else (request, None)
            if self.method == "GET":
                body, query = None, body
            parameters = {} if query is None else structs.asdict(_numbered(query))
            path = group.prefix + self.path
            return self.read(await group._transport.request(self.method, path, parameters, _numbered(body)))

        return call


def get(path: str, request: Callable[P, object], read: Reader[R]) -> Call[P, R]:
    """A GET, whose parameters are the members of `request`."""
    return Call("GET", path, request, read)


def post(path: str, request: Callable[P, object], read: Reader[R]) -> Call[P, R]:
    """A POST, whose body is `request`."""
    return Call("POST", path, request, read)


def nothing() -> None:
    """A request that has no members."""


def uid_list(uids: Sequence[str]) -> list[str]:
    """A request that is a list of uids."""
    return list(uids)


def _numbered(request: Any) -> Any:
    """The same with numbers for True and False: the API has no others."""
    if isinstance(request, Struct):
        for name in request.__struct_fields__:
            if isinstance(value := getattr(request, name), bool):
                setattr(request, name, int(value))
    return request

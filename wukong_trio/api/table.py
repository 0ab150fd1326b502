"""Answering HTTP requests by a table of endpoints, whatever framework carries them.

What all endpoints share is here: manager token, CORS, decoding of the body, the form of errors. An engine only has to
hand over method, path, query, the `token` header and the body, and to write the answer down.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from hmac import compare_digest
from inspect import iscoroutinefunction
from logging import getLogger
from types import CoroutineType
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from ..errors import StoreError
from .context import ApiContext

log = getLogger(__name__)
T = TypeVar("T")

BAD_BODY: Final = "数据格式有误！"
OPEN_PATHS: Final = frozenset({"/health", "/healthz", "/readyz"})
"""Probes have no token."""
JSON: Final = "application/json; charset=utf-8"
CORS_HEADERS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Allow-Methods", "POST, OPTIONS, GET, PUT,DELETE,PATCH"),
    (
        "Access-Control-Allow-Headers",
        "Content-Type, Authorization, Content-Length, Accept-Encoding, X-CSRF-Token, token, accept, origin, "
        "Cache-Control, X-Requested-With, appid, noncestr, sign, timestamp, Origin, Accept, Token",
    ),
    ("Access-Control-Max-Age", "86400"),
)
"""On every answer."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_find_end = json.JSONDecoder().raw_decode


class ApiError(Exception):
    """A request that is refused with a text for the back-end's developer."""

    def __init__(self, message: str, *, http_status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.http_status = http_status


class HttpAnswer(NamedTuple):
    """What an engine has to write, besides CORS_HEADERS and the length."""

    status: int
    body: bytes = b""
    content_type: str = ""
    """Empty: no such header."""


class Reply(Struct, frozen=True):
    """An answer with a status of its own; handlers return plain data for 200."""

    http_status: int
    data: object


class Query(dict[str, str]):
    """Query parameters; the first value counts."""

    def integer(self, name: str) -> int:
        """A parameter as a number, 0 if it is missing or none."""
        text = self.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


Handler = Callable[[ApiContext, T, Query], object]
"""A plain function where nothing has to be waited for, else an async one."""


class Endpoint(Generic[T]):
    """One operation of the API. `request` is the type of the body; None for a GET."""

    def __init__(self, method: str, path: str, request: type[T], handler: Handler[T]) -> None:
        self.method = method
        self.path = path
        self.waits = iscoroutinefunction(handler)
        """Whether the handler may have to wait for something."""
        self._handler = handler
        self._type = request
        self._decoder = msgspec.json.Decoder(request)

    def call(self, context: ApiContext, query: Query, body: bytes) -> object:
        """Decodes the body and calls the handler; returns its result, or the coroutine that brings it.

        Raises:
            ApiError: the body is not what this endpoint takes, or the handler refused it.
        """
        return self._handler(context, self._read(body), query)

    def _read(self, body: bytes) -> T:
        if self.method == "GET":
            return self._decoder.decode(b"null")
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        try:
            return msgspec.convert(_without_nulls(_first_value(body), self._type), self._type)
        except (ValueError, msgspec.DecodeError, RecursionError):
            raise ApiError(BAD_BODY) from None


def _first_value(body: bytes) -> Any:
    """The JSON value that a body begins with; what follows it is ignored, as by the original."""
    text = body.decode().lstrip()
    _, end = _find_end(text)
    return _decode(text[:end])


def _without_nulls(value: Any, type_: object) -> Any:
    """`null` counts as absent: in place of the body, of a member, and of a member of a member."""
    if value is None:
        return [] if type_ == list[str] else {}
    if isinstance(value, dict):
        return {name: _without_nulls(member, None) for name, member in value.items() if member is not None}
    return value


class ApiTable:
    """The endpoints of a server."""

    def __init__(self, context: ApiContext, endpoints: Iterable[Endpoint[Any]]) -> None:
        self._context = context
        self._endpoints = {(endpoint.method, endpoint.path): endpoint for endpoint in endpoints}
        self._token = context.config.auth.manager_token.encode()
        self.body_limit_bytes = context.config.limits.http_body_bytes

    @property
    def routes(self) -> Iterable[tuple[str, str]]:
        """Method and path of every endpoint."""
        return self._endpoints.keys()

    def waits(self, method: str, path: str) -> bool:
        """Whether an answer may have to be waited for."""
        endpoint = self._endpoints.get((method, path))
        return endpoint is not None and endpoint.waits

    def judge(self, method: str, path: str, token: str) -> HttpAnswer | None:
        """The answer to a head whose body does not matter; None if it does."""
        if method == "OPTIONS":
            return HttpAnswer(204)
        if self._token and path not in OPEN_PATHS and not compare_digest(token.encode(), self._token):
            return HttpAnswer(401)
        if (method, path) not in self._endpoints:
            return HttpAnswer(404, b"" if method == "HEAD" else b"404 page not found", "text/plain")
        return None

    def answer(self, method: str, path: str, query: str, token: str, body: bytes) -> HttpAnswer | Awaitable[HttpAnswer]:
        """Answers one request, at once if nothing has to be waited for. Neither raises anything but cancellation.

        Args:
            query: what follows the `?`, undecoded.
            token: the header of that name, empty if it is missing.
        """
        refusal = self.judge(method, path, token)
        if refusal is not None:
            return refusal
        endpoint = self._endpoints[method, path]
        try:
            result = endpoint.call(self._context, _parse_query(query), body)
            return self._wait_for(endpoint, result) if isinstance(result, CoroutineType) else _success(result)
        except Exception as error:
            return _failure(endpoint, error)

    async def dispatch(self, method: str, path: str, query: str, token: str, body: bytes) -> HttpAnswer:
        """`answer` for engines that wait in any case."""
        answer = self.answer(method, path, query, token, body)
        return answer if isinstance(answer, HttpAnswer) else await answer

    async def _wait_for(self, endpoint: Endpoint[Any], result: Awaitable[object]) -> HttpAnswer:
        try:
            return _success(await result)
        except Exception as error:
            return _failure(endpoint, error)

    def too_large(self) -> HttpAnswer:
        """The answer to a body beyond the limit."""
        return _error(413, f"the body is larger than {self.body_limit_bytes} bytes")


def _success(result: object) -> HttpAnswer:
    if isinstance(result, Reply):
        return HttpAnswer(result.http_status, _encode(result.data), JSON)
    return HttpAnswer(200, _encode(result), JSON)


def _failure(endpoint: Endpoint[Any], error: Exception) -> HttpAnswer:
    if isinstance(error, ApiError):
        return _error(error.http_status, error.message)
    if isinstance(error, StoreError):
        log.warning("%s %s failed: %s", endpoint.method, endpoint.path, error)
        return _error(500, "the store is not available at the moment; the server's log says why")
    log.error("%s %s failed", endpoint.method, endpoint.path, exc_info=error)
    return HttpAnswer(500)


def _error(http_status: int, message: str) -> HttpAnswer:
    return HttpAnswer(http_status, _encode({"msg": message, "status": http_status}), JSON)


def _parse_query(query: str) -> Query:
    parsed = Query()
    if not query:
        return parsed
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=None):
        parsed.setdefault(name, value)
    return parsed

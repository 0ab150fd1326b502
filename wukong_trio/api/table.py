"""Answering HTTP requests by a table of endpoints, whatever framework carries them.

What all endpoints share is here: who may call, how large a body may be, CORS, the form of errors. An engine hands over
the head before it reads the body (`admit`), then both (`answer`), and writes the answer down.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import closing
from inspect import iscoroutinefunction
from logging import getLogger
from types import CoroutineType, MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
import trio
from msgspec import Struct

from ..contract.answers import Done
from ..errors import EventRefusedError, InvalidArgumentError, StoreError
from .answer_budget import SHORT_BYTES, AnswerBudget
from .bodies import LARGE_BYTES, MAX_ITEMS, BodyError, BodyReader, TooManyItemsError
from .context import ApiContext
from .guard import Head
from .journal import Journal

log = getLogger(__name__)
T = TypeVar("T")

BAD_BODY: Final = "数据格式有误！"
STORE_FAILS: Final = "the store is not available at the moment; the server's log says why"
"""Why is not for everybody: it names paths of this machine."""
STATUS_OK: Final = {"status": 200}
SMALL_BODY_BYTES: Final = 1024 * 1024
"""For endpoints that take no lists."""
OPEN_BODY_BYTES: Final = 16 * 1024
"""For what everybody may ask; nothing of it is used."""
BODIES_AT_ONCE: Final = 2
"""So many of the largest bodies may be collected at the same time, or more of smaller ones. Without a manager token it
is one, because anybody may send it."""
JSON: Final = "application/json; charset=utf-8"
NOTHING: Final[Mapping[int, Any]] = MappingProxyType({})
NO_TEXTS: Final[Mapping[tuple[str, str], str]] = MappingProxyType({})
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
OTHER_PATHS: Final = "other"
_encode = msgspec.json.Encoder().encode


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
    close: bool = False
    """The connection ends with it, because the rest of the request is not read."""
    held_bytes: int = 0
    """What the budget of answers counts for it, to be given back when it is written, or never will be."""
    security_policy: str = ""
    """For browsers that show it, as `Content-Security-Policy`; empty: no such header."""


class Reply(Struct, frozen=True):
    """An answer with a status of its own; handlers return plain data for 200."""

    http_status: int
    data: object


class Document(Struct, frozen=True):
    """An answer that a handler has put together as bytes."""

    body: bytes
    content_type: str
    security_policy: str = ""


class Query(dict[str, str]):
    """Query parameters; the first value counts."""

    def integer(self, name: str) -> int:
        """A parameter as a number, 0 if it is missing or none."""
        text = self.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


Texts = Mapping[tuple[str, str], str]
"""What back-ends know instead of a field and its problem, of an InvalidArgumentError."""
Handler = Callable[[ApiContext, T, Query], object]
"""A plain function where nothing has to be waited for, else an async one."""
ShortHandler = Callable[[ApiContext, T, Query], Awaitable[object]]
"""The same for an answer that is made of no more than SHORT_BYTES; it gives None if that is not enough."""


class Endpoint(Generic[T]):
    """One operation of the API. `request` is the type of the body; a GET has none, its handler gets the `Head`.

    What is only for the description of the API has defaults that fit most changes: the handler's docstring says what
    the operation does.
    """

    def __init__(
        self,
        method: str,
        path: str,
        request: type[T],
        handler: Handler[T],
        *,
        changes: bool = False,
        lists: bool = False,
        long_answers: bool = False,
        short: ShortHandler[T] | None = None,
        lasting: bool = False,
        query: type[Struct] | None = None,
        needs: Sequence[str] = (),
        example: object = None,
        answer: Any = Done,
        also: Mapping[int, Any] = NOTHING,
        content_type: str = JSON,
        texts: Texts = NO_TEXTS,
    ) -> None:
        self.method = method
        self.path = path
        self.request = request
        self.waits = iscoroutinefunction(handler)
        """Whether the handler may have to wait for something."""
        self.takes_lists = lists
        """Whether bodies may be large: with long lists of strings, and little else."""
        self.long_answers = long_answers
        """Whether answers may be so large that all of them together have to be limited."""
        self.short = short
        """Of long answers: answers by itself if that makes a short one."""
        self.lasting = lasting
        """Whether the work on a large body takes so long that others must not wait for it."""
        self.changes = changes
        """Whether a success is worth a line in the log."""
        self.query = query
        """The parameters that the handler looks for."""
        self.needs = needs
        """Members of the body, or parameters, without which it answers 400."""
        self.example = example
        """A body, where one cannot be made up of examples of all its members."""
        self.answer = answer
        """The type of a success; several are a tuple."""
        self.also = also
        """Statuses that only this endpoint answers with, and their types."""
        self.content_type = content_type
        """Of a success."""
        self.texts = texts
        """For arguments that services refuse; others get the error's own text."""
        self.handler = handler
        self.reader = BodyReader(request) if method != "GET" else None


class BodyBudget:
    """What the bodies that are being collected or worked on may take together, whatever the connections."""

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes

    def take(self, size_bytes: int) -> bool:
        """Counts more bytes; False if there is no room for them."""
        if size_bytes > self._left_bytes:
            return False
        self._left_bytes -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Counts bytes no longer."""
        self._left_bytes += size_bytes


class ApiTable:
    """The endpoints of a server."""

    def __init__(self, context: ApiContext, endpoints: Iterable[Endpoint[Any]]) -> None:
        limits = context.config.limits
        self.journal = Journal()
        at_once = BODIES_AT_ONCE if context.config.auth.manager_token else 1
        self.bodies = BodyBudget(max(at_once * limits.http_body_bytes, 16 * SMALL_BODY_BYTES))
        self.answers = AnswerBudget()
        self._short_answers = AnswerBudget(work_bytes=SHORT_BYTES)
        self._context = context
        self._endpoints = {(endpoint.method, endpoint.path): endpoint for endpoint in endpoints}
        self._paths = frozenset(path for _, path in self._endpoints)
        self._requests = context.requests
        self._guard = context.guard
        self._body_bytes = limits.http_body_bytes
        self._small_body_bytes = min(limits.http_body_bytes, max(SMALL_BODY_BYTES, 2 * limits.payload_bytes))
        self._large, self._large_and_lasting = trio.Lock(), trio.Lock()
        """One large body is worked on at a time, because it becomes many times as large."""

    @property
    def routes(self) -> Iterable[tuple[str, str]]:
        """Method and path of every endpoint."""
        return self._endpoints.keys()

    def admit(self, head: Head) -> int | HttpAnswer:
        """How many bytes the body may have, or the answer to a request that is refused without looking at it."""
        refused = self._guard.refusal(head)
        if refused is not None:
            self.journal.refused(head, refused.http_status)
            return _error(refused.http_status, refused.message) if refused.message else HttpAnswer(refused.http_status)
        return self.body_limit(head.method, head.path)

    def body_limit(self, method: str, path: str) -> int:
        """How many bytes the body of such a request may have."""
        if self._guard.is_open(method, path):
            return min(OPEN_BODY_BYTES, self._body_bytes)
        endpoint = self._endpoints.get((method, path))
        return self._body_bytes if endpoint is not None and endpoint.takes_lists else self._small_body_bytes

    def waits(self, head: Head, body: bytes | bytearray) -> bool:
        """Whether an answer may have to be waited for."""
        endpoint = self._endpoints.get((head.method, head.path))
        return endpoint is not None and (endpoint.waits or len(body) > LARGE_BYTES)

    def answer(self, head: Head, body: bytes | bytearray) -> HttpAnswer | Awaitable[HttpAnswer]:
        """Answers a request that was admitted, at once if nothing has to be waited for. Neither raises anything but
        cancellation.
        """
        if head.method == "OPTIONS":
            return HttpAnswer(204)
        endpoint = self._endpoints.get((head.method, head.path))
        if endpoint is None:
            return HttpAnswer(404, b"" if head.method == "HEAD" else b"404 page not found", "text/plain")
        if endpoint.takes_lists and len(body) > LARGE_BYTES:
            return self._answer_large(endpoint, head, body)
        try:
            request = endpoint.reader.read(body) if endpoint.reader is not None else head
            return self._handle(endpoint, head, request)
        except Exception as error:
            return self._failure(endpoint, head, error)

    def count(self, path: str, status: int) -> None:
        """Counts an answer, of whatever engine. Strangers may name any path, so only ours are told apart."""
        self._requests[path if path in self._paths else OTHER_PATHS, status] += 1

    async def dispatch(self, head: Head, announced_bytes: int, body: AsyncIterable[bytes]) -> HttpAnswer:
        """The whole way of a request, for engines that wait in any case.

        Args:
            announced_bytes: the length of the body as the head gives it, -1 if it does not.
        """
        answer = await self._dispatch(head, announced_bytes, body)
        self.count(head.path, answer.status)
        return answer

    async def _dispatch(self, head: Head, announced_bytes: int, body: AsyncIterable[bytes]) -> HttpAnswer:
        limit_bytes = self.admit(head)
        if isinstance(limit_bytes, HttpAnswer):
            return limit_bytes._replace(close=announced_bytes != 0)
        if announced_bytes > limit_bytes:
            return self.too_large(limit_bytes)
        collected = bytearray()
        held_bytes = 0
        try:
            async for part in body:
                if len(collected) + len(part) > limit_bytes:
                    return self.too_large(limit_bytes)
                if not self.bodies.take(len(part)):
                    return self.too_busy()
                held_bytes += len(part)
                collected += part
            answer = self.answer(head, collected)
            return answer if isinstance(answer, HttpAnswer) else await answer
        finally:
            self.bodies.give_back(held_bytes)

    async def _answer_large(self, endpoint: Endpoint[Any], head: Head, body: bytes | bytearray) -> HttpAnswer:
        assert endpoint.reader is not None
        async with self._large_and_lasting if endpoint.lasting else self._large:
            try:
                request = await endpoint.reader.read_in_slices(body)
                answer = self._handle(endpoint, head, request)
            except Exception as error:
                return self._failure(endpoint, head, error)
            return answer if isinstance(answer, HttpAnswer) else await answer

    def _handle(self, endpoint: Endpoint[Any], head: Head, request: object) -> HttpAnswer | Awaitable[HttpAnswer]:
        query = _parse_query(head.query)
        if endpoint.short is not None:
            return self._try_short(endpoint, endpoint.short, head, request, query)
        result = endpoint.handler(self._context, request, query)
        if isinstance(result, CoroutineType):
            wait_for = self._wait_for_long if endpoint.long_answers else self._wait_for
            return wait_for(endpoint, head, request, result)
        return _success(result)

    async def _try_short(
        self, endpoint: Endpoint[Any], short: ShortHandler[Any], head: Head, request: object, query: Query
    ) -> HttpAnswer:
        if not await self._short_answers.begin():
            return self._too_many_answers()
        try:
            outcome = await short(self._context, request, query)
            if outcome is not None:
                answer = _success(outcome)
                self.journal.worked(endpoint.path)
                return answer._replace(held_bytes=self.answers.hold(len(answer.body)))
        except Exception as error:
            return self._failure(endpoint, head, error)
        finally:
            self._short_answers.settle(0)
        result: Any = endpoint.handler(self._context, request, query)
        return await self._wait_for_long(endpoint, head, request, result)

    async def _wait_for_long(
        self, endpoint: Endpoint[Any], head: Head, request: object, result: Coroutine[Any, Any, object]
    ) -> HttpAnswer:
        # Nothing of the result has been read yet.
        with closing(result):
            if not await self.answers.begin():
                return self._too_many_answers()
            answer: HttpAnswer | None = None
            try:
                answer = await self._wait_for(endpoint, head, request, result)
            finally:
                held_bytes = self.answers.settle(len(answer.body) if answer is not None else 0)
            return answer._replace(held_bytes=held_bytes)

    async def _wait_for(
        self, endpoint: Endpoint[Any], head: Head, request: object, result: Awaitable[object]
    ) -> HttpAnswer:
        try:
            outcome = await result
            answer = _success(outcome)
        except Exception as error:
            return self._failure(endpoint, head, error)
        if endpoint.changes and outcome == STATUS_OK:
            self.journal.changed(head, request)
        self.journal.worked(endpoint.path)
        return answer

    def _failure(self, endpoint: Endpoint[Any], head: Head, error: Exception) -> HttpAnswer:
        if isinstance(error, ApiError):
            return _error(error.http_status, error.message)
        if isinstance(error, InvalidArgumentError):
            return _error(400, endpoint.texts.get((error.field, error.problem)) or str(error))
        if isinstance(error, EventRefusedError):
            return _error(400, str(error))
        if isinstance(error, TooManyItemsError):
            return _error(413, f"the lists have more than {MAX_ITEMS} entries; send them in several calls")
        if isinstance(error, BodyError):
            self.journal.misread(head, str(error))
            return _error(400, BAD_BODY)
        if isinstance(error, StoreError):
            self.journal.failed(endpoint.path, error)
            return _error(500, STORE_FAILS)
        log.error("%s %s failed", endpoint.method, endpoint.path, exc_info=error)
        return HttpAnswer(500)

    def _too_many_answers(self) -> HttpAnswer:
        return _error(503, "too many long answers at the same time that nobody takes; try again later")

    def too_large(self, limit_bytes: int) -> HttpAnswer:
        """The answer to a body beyond its limit."""
        return _error(413, f"the body is larger than {limit_bytes} bytes")._replace(close=True)

    def too_busy(self) -> HttpAnswer:
        """The answer to a body for which there is no room among the others."""
        return _error(503, "too many large bodies at the same time; try again later")._replace(close=True)


def _success(result: object) -> HttpAnswer:
    if isinstance(result, Reply):
        return HttpAnswer(result.http_status, _encode(result.data), JSON)
    if isinstance(result, Document):
        return HttpAnswer(200, result.body, result.content_type, security_policy=result.security_policy)
    return HttpAnswer(200, _encode(result), JSON)


def _error(http_status: int, message: str) -> HttpAnswer:
    return HttpAnswer(http_status, _encode({"msg": message, "status": http_status}), JSON)


def _parse_query(query: str) -> Query:
    parsed = Query()
    if not query:
        return parsed
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=None):
        parsed.setdefault(name, value)
    return parsed

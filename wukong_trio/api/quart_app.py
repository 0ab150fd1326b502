"""The reference engine: the whole table as a Quart-Trio app, served by Hypercorn's protocol.

`conversation.py` has what happens on a connection.
"""

import socket
from collections.abc import Sequence
from logging import getLogger
from typing import Any, Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from quart import Response, request
from quart.wrappers import Request
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio

from ..net import accept_connections
from .conversation import Conversation
from .table import CORS_HEADERS, ApiTable, HttpAnswer

log = getLogger(__name__)

IGNORED_BODY_BYTES: Final = 16 * 1024
"""How much of a body that does not matter is read."""


class _App(QuartTrio):
    """Takes a request as it is. Quart looks for its Host first, and breaks at one that cannot be a name."""

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> Any:
        if request is None:
            return None
        return self.url_map.bind(
            "localhost", url_scheme=request.scheme, default_method=request.method, path_info=request.path
        )


class _Unhurried:
    """Keeps `http.disconnect` from Quart, which would cancel a request whose answer is being sent.

    Hypercorn reports a disconnect from inside the last send. Cancelled there, its own bookkeeping stops half-way: the
    connection is not used again, and `Connection: close` is not honoured. A request whose client leaves before its
    answer begins is cancelled here, as a whole.
    """

    def __init__(self, app: ASGIFramework) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        answering = False

        async def receive_while_there() -> ASGIReceiveEvent:
            event = await receive()
            if event["type"] == "http.disconnect":
                if not answering:
                    whole.cancel()
                await trio.sleep_forever()
            return event

        async def answer(event: ASGISendEvent) -> None:
            nonlocal answering
            answering = True
            await send(event)

        with trio.CancelScope() as whole:
            await self._app(scope, receive_while_there, answer)


def create_app(table: ApiTable) -> QuartTrio:
    """The app that answers by the table, whatever the path."""
    app = _App("wukong_trio", static_folder=None)
    # The limit is kept in `_read_body`; some versions of Quart would look only when the body is there.
    app.config["MAX_CONTENT_LENGTH"] = None
    app.asgi_app = _Unhurried(app.asgi_app)  # type: ignore[method-assign]

    @app.before_request
    async def answer() -> Response:
        return await _answer(table, request)

    return app


async def _answer(table: ApiTable, request: Request) -> Response:
    method, path, token = request.method, request.path, request.headers.get("token", "")
    refusal = table.judge(method, path, token)
    if refusal is not None:
        # A small body is read away, so that the connection can be used again.
        return _response(refusal, close=await _read_body(request, IGNORED_BODY_BYTES) is None)
    body = await _read_body(request, table.body_limit_bytes)
    if body is None:
        return _response(table.too_large(), close=True)
    query = request.query_string.decode("latin-1")
    return _response(await table.dispatch(method, path, query, token, body))


async def _read_body(request: Request, limit_bytes: int) -> bytes | None:
    """The whole body; None if it is longer than the limit."""
    if (request.content_length or 0) > limit_bytes:
        return None
    body = bytearray()
    async for part in request.body:
        body += part
        if len(body) > limit_bytes:
            return None
    return bytes(body)


def _response(answer: HttpAnswer, *, close: bool = False) -> Response:
    """Quart's form of an answer.

    Args:
        close: what follows on the connection is not read.
    """
    response = Response(answer.body, answer.status, dict(CORS_HEADERS), content_type=answer.content_type or None)
    if not answer.content_type:
        del response.headers["Content-Type"]
    if close:
        response.headers["Connection"] = "close"
    return response


class QuartEngine:
    """The connections of one server."""

    def __init__(self, table: ApiTable) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, create_app(table)))
        self._config = HypercornConfig()
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = getLogger("hypercorn.error")
        self._context = WorkerContext(None)
        self._conversations: set[Conversation] = set()
        self._changed = trio.Event()

    async def accept(self, sockets: Sequence[socket.socket], connections: trio.Nursery) -> None:
        """Accepts until cancelled."""

        def take(sock: socket.socket, _address: object) -> None:
            connections.start_soon(self.serve, sock, name="HTTP connection")

        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(accept_connections, sock, take)

    async def serve(self, sock: socket.socket, early: bytes = b"") -> None:
        """One connection, closed at the end. An error in it ends here, in one log line.

        Args:
            early: what was already read from it.
        """
        conversation = Conversation(self._app, self._config, self._context, trio.socket.from_stdlib_socket(sock))
        self._conversations.add(conversation)
        try:
            await conversation.run(early)
        except* OSError:
            pass  # the client is gone
        except* Exception:
            log.exception("an HTTP connection was dropped")
        finally:
            conversation.close()
            self._conversations.discard(conversation)
            self._changed.set()

    async def stop(self) -> None:
        """Closes connections with nothing under way, and the others after their next answer, from now on."""
        await self._context.terminated.set()
        for conversation in self._conversations:
            conversation.stop()

    async def finish(self) -> None:
        """The same; returns when none is left."""
        await self.stop()
        while self._conversations:
            self._changed = trio.Event()
            await self._changed.wait()

    def abort(self) -> None:
        """Closes what is still open."""
        for conversation in self._conversations:
            conversation.close()

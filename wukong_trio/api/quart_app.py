"""The reference engine: the whole table as a Quart-Trio app, served by Hypercorn's protocol.

`conversation.py` has what happens on a connection.
"""

import socket
from collections.abc import Sequence
from functools import partial
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

from ..config import Address
from ..net import API_SPARE, accept_connections
from .answer_budget import AnswerBudget
from .conversation import Conversation
from .guard import Head
from .room import close_idle
from .table import CORS_HEADERS, ApiTable, HttpAnswer

log = getLogger(__name__)

_HELD_BYTES: Final = "wukong_trio.held_bytes"
"""Where a request keeps what its answer takes of the budget."""


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

    When it returns, the answer is written or never will be.
    """

    def __init__(self, app: ASGIFramework, budget: AnswerBudget) -> None:
        self._app = app
        self._budget = budget

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

        try:
            with trio.CancelScope() as whole:
                await self._app(scope, receive_while_there, answer)
        finally:
            self._budget.give_back(cast(dict[str, int], scope).get(_HELD_BYTES, 0))


def create_app(table: ApiTable) -> QuartTrio:
    """The app that answers by the table, whatever the path."""
    app = _App("wukong_trio", static_folder=None)
    # The table counts, while the body comes; some versions of Quart would look only when it is there.
    app.config["MAX_CONTENT_LENGTH"] = None
    app.asgi_app = _Unhurried(app.asgi_app, table.answers)  # type: ignore[method-assign]

    @app.before_request
    async def answer() -> Response:
        announced_bytes = -1 if "Transfer-Encoding" in request.headers else request.content_length or 0
        answer = await table.dispatch(_head(request), announced_bytes, request.body)
        cast(dict[str, int], request.scope)[_HELD_BYTES] = answer.held_bytes
        return _response(answer)

    return app


def _head(request: Request) -> Head:
    headers = request.headers
    host, port, *_ = request.scope["client"] or ("", 0)
    return Head(
        request.method,
        request.path,
        request.query_string.decode("latin-1"),
        headers.get("Token", "").encode("latin-1"),
        headers.get("Host", ""),
        ", ".join(headers.getlist("Origin")),
        str(Address(host, port)),
        headers.get("Authorization", "").encode("latin-1"),
    )


def _response(answer: HttpAnswer) -> Response:
    response = Response(answer.body, answer.status, dict(CORS_HEADERS), content_type=answer.content_type or None)
    if not answer.content_type:
        del response.headers["Content-Type"]
    if answer.security_policy:
        response.headers["Content-Security-Policy"] = answer.security_policy
    if answer.close:
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
        self._new_conversation = partial(Conversation, self._app, self._config, self._context, table.body_limit)
        self.conversations: set[Conversation] = set()
        self._changed = trio.Event()

    async def accept(self, sockets: Sequence[socket.socket], connections: trio.Nursery) -> None:
        """Accepts until cancelled."""

        def take(sock: socket.socket, _address: object) -> None:
            connections.start_soon(self.serve, sock, name="HTTP connection")

        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(
                    partial(accept_connections, sock, take, spare_descriptors=API_SPARE, make_room=self._make_room)
                )

    def _make_room(self) -> bool:
        return close_idle(self.conversations)

    async def serve(self, sock: socket.socket, early: bytes = b"") -> None:
        """One connection, closed at the end. An error in it ends here, in one log line.

        Args:
            early: what was already read from it.
        """
        conversation = self._new_conversation(trio.socket.from_stdlib_socket(sock))
        self.conversations.add(conversation)
        try:
            await conversation.run(early)
        except* OSError:
            pass  # the client is gone
        except* Exception:
            log.exception("an HTTP connection was dropped")
        finally:
            conversation.close()
            self.conversations.discard(conversation)
            self._changed.set()

    async def stop(self) -> None:
        """Closes connections with nothing under way, and the others after their next answer, from now on."""
        await self._context.terminated.set()
        for conversation in self.conversations:
            conversation.stop()

    async def finish(self) -> None:
        """The same; returns when none is left."""
        await self.stop()
        while self.conversations:
            self._changed = trio.Event()
            await self._changed.wait()

    def abort(self) -> None:
        """Closes what is still open."""
        for conversation in self.conversations:
            conversation.close()

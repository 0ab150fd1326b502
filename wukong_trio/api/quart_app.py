"""The reference engine: the whole table as a Quart-Trio app, served by Hypercorn inside the server's own nursery.

Both need care with connections that end; what is done about it stands beside the code that does it.
"""

import socket
from collections.abc import Sequence
from functools import partial
from logging import getLogger
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ConnectionState
from quart import Request, Response, request
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart.wrappers import BaseRequestWebsocket
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from ..net import API_SPARE, accept_connections
from . import time_limits
from .guard import Head
from .strict_h11 import StrictConnection
from .table import CORS_HEADERS, ApiTable, HttpAnswer

log = getLogger(__name__)

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Connection(TrioASGIHTTPConnection):
    """Does not cancel a request whose answer is being sent.

    Hypercorn reports `http.disconnect` from inside the last send. Taken as a reason to cancel, it stops Hypercorn's own
    bookkeeping half-way: idle connections then never time out, and `Connection: close` is not honoured.
    """

    _responding = False

    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        await ASGIHTTPConnection.handle_messages(self, request, receive)
        if not self._responding:
            nursery.cancel_scope.cancel()

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        self._responding = True
        await super()._send_response(send, response)


class _App(QuartTrio):
    """Finds what to do by path and method. Quart also looks at the Host, and breaks at one that cannot be a name."""

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        if request is None:
            return None
        return self.url_map.bind(
            "localhost", url_scheme=request.scheme, default_method=request.method, path_info=request.path
        )


def create_app(table: ApiTable) -> QuartTrio:
    """The app that answers by the table, whatever the path."""
    app = _App("wukong_trio", static_folder=None)
    app.asgi_http_class = _Connection
    app.config["MAX_CONTENT_LENGTH"] = None  # the table counts
    app.url_map.merge_slashes = False

    async def answer(path: str = "") -> Response:
        headers = request.headers
        announced_bytes = -1 if "Transfer-Encoding" in headers else request.content_length or 0
        return _response(await table.dispatch(_head(request.method, request.path), announced_bytes, request.body))

    async def refused(error: HTTPException) -> Response:
        return _response(await table.dispatch(_head("", ""), 0, request.body))

    app.add_url_rule("/", "root", answer, methods=METHODS, provide_automatic_options=False)
    app.add_url_rule("/<path:path>", "any", answer, methods=METHODS, provide_automatic_options=False)
    app.register_error_handler(404, refused)
    app.register_error_handler(405, refused)
    return app


def _head(method: str, path: str) -> Head:
    headers = request.headers
    return Head(
        method,
        path,
        request.query_string.decode("latin-1"),
        headers.get("Token", "").encode("latin-1"),
        headers.get("Host", ""),
        headers.get("Origin", ""),
        request.remote_addr or "",
    )


def _response(answer: HttpAnswer) -> Response:
    response = Response(answer.body, answer.status, dict(CORS_HEADERS), content_type=answer.content_type or None)
    if not answer.content_type:
        del response.headers["Content-Type"]
    if answer.close and request.http_version.startswith("1"):
        response.headers["Connection"] = "close"
    return response


class _Conversation(TCPServer):
    """Hypercorn's side of one connection, with three of its habits mended."""

    early = b""
    """What was read from the client before the connection came here."""

    async def _read_data(self) -> None:
        if isinstance(self.protocol.protocol, H11Protocol):
            # The only use of h11 that Hypercorn leaves open to others.
            self.protocol.protocol.connection = StrictConnection(self.config.h11_max_incomplete_size)
        if self.early:
            early, self.early = self.early, b""
            await self.protocol.handle(RawData(early))
        await super()._read_data()
        # The client is gone. Hypercorn would keep the socket until the idle time of the connection is over.
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        try:
            await super().protocol_send(event)
        except trio.BusyResourceError:
            # Hypercorn is closing the stream at this moment, because the client has broken the protocol.
            await self.protocol.handle(Closed())


class QuartEngine:
    """The reference: the whole table as a Quart app, and Hypercorn's side of each connection.

    Hypercorn shields its sends without a limit. `hypercorn.trio.serve` therefore ends only when the last reader has
    taken its answer, however slowly. Here the streams stay in our hands, and closing one ends what is sent on it.
    """

    def __init__(self, table: ApiTable) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, create_app(table)))
        self._config = HypercornConfig()
        self._config.keep_alive_timeout = time_limits.KEEP_ALIVE_S
        self._config.read_timeout = int(time_limits.KEEP_ALIVE_S)
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = getLogger("hypercorn.error")
        self._context = WorkerContext(None)
        self._streams: set[trio.SocketStream] = set()
        self._changed = trio.Event()

    async def accept(self, sockets: Sequence[socket.socket], connections: trio.Nursery) -> None:
        """Accepts until cancelled."""

        def take(sock: socket.socket, _address: object) -> None:
            connections.start_soon(self._serve_and_close, trio.SocketStream(trio.socket.from_stdlib_socket(sock)))

        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(partial(accept_connections, sock, take, spare_descriptors=API_SPARE))

    async def _serve_and_close(self, stream: trio.SocketStream) -> None:
        try:
            await self.serve(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async def serve(self, stream: trio.SocketStream, early: bytes = b"") -> None:
        """One connection, closed at the end. An error in it ends here, in one log line.

        Args:
            early: what was already read from it.
        """
        self._streams.add(stream)
        try:
            tls_or_plain = cast("trio.SSLStream[trio.SocketStream]", stream)
            conversation = _Conversation(self._app, self._config, self._context, ConnectionState({}), tls_or_plain)
            conversation.early = early
            await conversation
        except* Exception:
            log.exception("an HTTP connection was dropped")
        finally:
            self._streams.discard(stream)
            self._changed.set()

    async def stop(self) -> None:
        """Closes idle connections, and the others after their next answer, from now on."""
        await self._context.terminated.set()

    async def finish(self) -> None:
        """The same; returns when none is left."""
        await self.stop()
        while self._streams:
            self._changed = trio.Event()
            await self._changed.wait()

    def abort(self) -> None:
        """Closes what is still open."""
        for stream in self._streams:
            stream.socket.close()

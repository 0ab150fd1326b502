"""The HTTP engine: the whole table as a Quart-Trio app, served by Hypercorn inside the server's own nursery.

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
from hypercorn.events import Closed, Event
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ConnectionState
from quart import Request, Response, request
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .table import CORS_HEADERS, ApiTable, HttpAnswer

log = getLogger(__name__)

KEEP_ALIVE_S = 75.0
GRACEFUL_S = 3.0
"""How long requests under way may take once the server stops."""
STALLED_S = 5.0
"""How long a client may take no byte of its answer."""
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


def create_app(table: ApiTable) -> QuartTrio:
    """The app that answers by the table, whatever the path."""
    app = QuartTrio("wukong_trio", static_folder=None)
    app.asgi_http_class = _Connection
    app.config["MAX_CONTENT_LENGTH"] = table.body_limit_bytes
    app.url_map.merge_slashes = False

    async def answer(path: str = "") -> Response:
        try:
            body = await request.body
        except RequestEntityTooLarge:
            return _response(table.too_large())
        query = request.query_string.decode("latin-1")
        token = request.headers.get("token", "")
        return _response(await table.dispatch(request.method, request.path, query, token, body))

    async def refused(error: HTTPException) -> Response:
        return _response(await table.dispatch("", "", "", request.headers.get("token", ""), b""))

    app.add_url_rule("/", "root", answer, methods=METHODS, provide_automatic_options=False)
    app.add_url_rule("/<path:path>", "any", answer, methods=METHODS, provide_automatic_options=False)
    app.register_error_handler(404, refused)
    app.register_error_handler(405, refused)
    return app


def _response(answer: HttpAnswer) -> Response:
    response = Response(answer.body, answer.status, dict(CORS_HEADERS), content_type=answer.content_type or None)
    if not answer.content_type:
        del response.headers["Content-Type"]
    return response


async def serve_http(app: QuartTrio, sockets: Sequence[socket.socket], stop: trio.Event) -> None:
    """Serves the app on listening sockets until `stop` is set and the requests under way are answered.

    Takes GRACEFUL_S at most after `stop`, and no time when cancelled, whatever the clients do. Closes the sockets.
    """
    connections = _Connections(app)
    accept = partial(trio.serve_listeners, connections.serve, [_listener(sock) for sock in sockets])
    async with trio.open_nursery() as nursery:
        try:
            async with trio.open_nursery() as accepting:
                accepting.start_soon(partial(accept, handler_nursery=nursery))
                await stop.wait()
                accepting.cancel_scope.cancel()
            with trio.move_on_after(GRACEFUL_S):
                await connections.finish()
        finally:
            connections.abort()
            nursery.cancel_scope.cancel()


class _Conversation(TCPServer):
    """Hypercorn's side of one connection, with two of its habits mended."""

    async def _read_data(self) -> None:
        await super()._read_data()
        # The client is gone. Hypercorn would keep the socket until the idle time of the connection is over.
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        try:
            await super().protocol_send(event)
        except trio.BusyResourceError:
            # Hypercorn is closing the stream at this moment, because the client has broken the protocol.
            await self.protocol.handle(Closed())


class _Connections:
    """The open connections of one server, each spoken to by Hypercorn.

    Hypercorn shields its sends without a limit. `hypercorn.trio.serve` therefore ends only when the last reader has
    taken its answer, however slowly. Here the streams stay in our hands, and closing one ends what is sent on it.
    """

    def __init__(self, app: QuartTrio) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._config = HypercornConfig()
        self._config.keep_alive_timeout = KEEP_ALIVE_S
        self._config.read_timeout = int(KEEP_ALIVE_S)
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = getLogger("hypercorn.error")
        self._context = WorkerContext(None)
        self._streams: set[trio.SocketStream] = set()
        self._changed = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, closed at the end. An error in it ends here, in one log line."""
        self._streams.add(stream)
        try:
            tls_or_plain = cast("trio.SSLStream[trio.SocketStream]", stream)
            await _Conversation(self._app, self._config, self._context, ConnectionState({}), tls_or_plain)
        except* Exception:
            log.exception("an HTTP connection was dropped")
        finally:
            self._streams.discard(stream)
            self._changed.set()

    async def finish(self) -> None:
        """Closes idle connections, and the others after their next answer; returns when none is left."""
        await self._context.terminated.set()
        while self._streams:
            self._changed = trio.Event()
            await self._changed.wait()

    def abort(self) -> None:
        """Closes what is still open."""
        for stream in self._streams:
            stream.socket.close()


def _listener(sock: socket.socket) -> trio.SocketListener:
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # The kernel passes it on to the connections, and ends them when a client takes nothing.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALLED_S * 1000))
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))

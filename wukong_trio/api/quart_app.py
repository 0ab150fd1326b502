"""The HTTP engine: the whole table as a Quart-Trio app, served by Hypercorn inside the server's own nursery.

Both need care with connections that end; what is done about it stands beside the code that does it.
"""

import os
import socket
from collections.abc import Sequence
from logging import getLogger

import hypercorn.trio
import trio
from hypercorn.config import Config as HypercornConfig
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Request, Response, request
from quart.asgi import ASGIHTTPConnection
from quart.typing import ResponseTypes
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .table import CORS_HEADERS, ApiTable, HttpAnswer

KEEP_ALIVE_S = 75.0
GRACEFUL_S = 3.0
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

    Raises:
        RuntimeError: Hypercorn ended by itself.
    """
    config = HypercornConfig()
    config.bind = [f"fd://{_hand_over(sock)}" for sock in sockets]
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.read_timeout = int(KEEP_ALIVE_S)
    config.graceful_timeout = GRACEFUL_S
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = getLogger("hypercorn.error")
    await hypercorn.trio.serve(app, config, shutdown_trigger=stop.wait, mode="asgi")
    if not stop.is_set():
        raise RuntimeError("the HTTP server ended by itself")


def _hand_over(sock: socket.socket) -> int:
    """A descriptor for Hypercorn to own.

    Hypercorn shields its sends without a limit, so only the kernel can end one to a client that takes nothing.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALLED_S * 1000))
    return os.dup(sock.fileno())

"""Running the parts of a server in one nursery, and stopping them in order.

The parts are shielded from the caller's cancellation, so that they can drain; that takes `drain_timeout_s` at most. A
part that ends although the server is not stopping ends the server, with its cause.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from .api.endpoints import ENDPOINTS
from .api.serving import HttpEngine, http_engine, serve_http
from .api.table import ApiTable
from .assembly import Parts, api_context
from .gateway.listener import Acceptor, Doors
from .listening import Sockets
from .supervision import supervise


async def run_parts(parts: Parts, sockets: Sockets, stopping: trio.Event, started: Callable[[], None]) -> None:
    """Runs until `stopping` is set or the surrounding scope is cancelled; both times it drains first.

    Args:
        stopping: is set at the end, whatever has caused it.
        started: called once everything runs.

    Raises:
        InternalError: a part has ended by itself, which is a bug.
    """
    async with trio.open_nursery() as nursery:
        # From the very first moment on: whenever the caller is cancelled, this task says so to the shielded ones.
        nursery.start_soon(_set_when_cancelled, stopping)
        with trio.CancelScope(shield=True):
            await _run_shielded(parts, sockets, stopping, started)
        nursery.cancel_scope.cancel()


async def _set_when_cancelled(stopping: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        stopping.set()


async def _run_shielded(parts: Parts, sockets: Sockets, stopping: trio.Event, started: Callable[[], None]) -> None:
    gateway = parts.gateway
    context = parts.certificate.context if parts.certificate is not None else None
    doors = Doors(sockets.ws, sockets.wss, sockets.tcp, sockets.tls)
    acceptor = Acceptor(gateway, doors, context, parts.config)
    stop_http, http_done = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:

        def watch(name: str, run: Callable[[], Awaitable[None]]) -> None:
            nursery.start_soon(supervise, name, run, stopping.is_set)

        watch("the router", parts.router.run)
        watch("the look-ups of logins", parts.authentication.run)
        watch("the receipts of commands", parts.command_sync.run)
        watch("the clock of sessions", gateway.deadlines.run)
        watch("the cleaner of messages", parts.cleaner.run)
        if parts.events is not None:
            watch("the queue of events", parts.events.run)
        if parts.webhooks is not None:
            watch("the webhooks", parts.webhooks.run)
        if parts.search is not None:
            watch("the search", parts.search.run)
        watch("accepting clients", acceptor.run)
        if sockets.http:
            table = ApiTable(api_context(parts, sockets, lambda: not stopping.is_set()), ENDPOINTS)
            engine = http_engine(table, parts.config.engine)
            watch("the measuring of lag", parts.lag.run)
            watch("the HTTP API", partial(_serve_http, engine, sockets, stop_http, http_done))
        else:
            http_done.set()
        started()
        await stopping.wait()
        drain_s, close_s = parts.config.drain_timeout_s, parts.config.limits.close_timeout_s
        with trio.move_on_after(drain_s):
            # Whatever takes long, clients are still told that the server goes.
            with trio.move_on_after(max(drain_s - close_s, drain_s / 2)):
                acceptor.stop()
                stop_http.set()
                await http_done.wait()
                await gateway.drain()
            gateway.send_home()
            await acceptor.done.wait()
            await _drain_told(parts)
        nursery.cancel_scope.cancel()


async def _drain_told(parts: Parts) -> None:
    """Whoever is told of events hears of the last ones; neither waits for the other."""
    async with trio.open_nursery() as nursery:
        if parts.events is not None:
            nursery.start_soon(parts.events.drain)
        if parts.webhooks is not None:
            nursery.start_soon(parts.webhooks.drain)


async def _serve_http(engine: HttpEngine, sockets: Sockets, stop: trio.Event, done: trio.Event) -> None:
    await serve_http(engine, sockets.http, stop)
    done.set()

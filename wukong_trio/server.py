"""The composition root: builds the parts of a server, runs them in one nursery, stops them in order.

serve        runs a server until it is stopped or cancelled
open_server  the same as a context manager
Server       what the embedding program holds in its hands
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from logging import getLogger
from socket import socket
from time import time

import trio
from msgspec import Struct

from . import settings
from .api.addresses import RouteTable
from .api.context import ApiContext
from .api.endpoints import ENDPOINTS
from .api.serving import http_engine, serve_http
from .api.table import ApiTable
from .config import Address, Config
from .delivery.commit import Committer
from .delivery.dedup import SentMarks
from .delivery.deliver import Deliverer
from .delivery.flush import FlushList
from .delivery.hooks import BeforeSend, Events, OnEvent
from .delivery.ids import MessageIds, first_id_at
from .delivery.registry import SessionRegistry
from .delivery.router import Router
from .gateway.gateway import Gateway
from .gateway.listener import Acceptor
from .groups import single_error
from .model import ReasonCode, SendCommand, SendResult
from .net import bind_tcp
from .services.auth import Authentication, Authenticator
from .services.channels import ChannelService
from .services.directory import ChannelDirectory
from .services.history import History
from .services.users import SystemAccounts, UserService
from .store import open_store
from .store.base import Store

log = getLogger(__name__)


class Endpoints(Struct, frozen=True, kw_only=True):
    """The URLs under which a server can really be reached; empty where a listener is off."""

    http: str = ""
    ws: str = ""
    wss: str = ""


class ServerStatistics(Struct, frozen=True, kw_only=True):
    """A snapshot. Counters count from the start of the server."""

    sessions: int
    """Authenticated connections now."""
    users: int
    """Distinct uids online now."""
    connections: int
    """WebSocket handshakes completed."""
    authenticated: int
    accepted: int
    """Messages accepted, stored or not."""
    refused: int
    repeated: int
    """Sends recognised as repetitions and answered with their original."""
    stored: int
    commits: int
    """Transactions in which the stored messages were written."""
    delivered: int
    """Pushes handed to sessions."""
    events_dropped: int
    """Events that a slow `on_event` hook never saw."""


class Server:
    """A running server. Get one from `open_server`."""

    endpoints: Endpoints

    def __init__(
        self,
        config: Config,
        store: Store,
        system_accounts: SystemAccounts,
        marks: SentMarks,
        last_message_id: int,
        *,
        authenticate: Authenticator | None,
        before_send: BeforeSend | None,
        on_event: OnEvent | None,
    ) -> None:
        self._config = config
        self._store = store
        self._system_accounts = system_accounts
        self._events = Events(on_event, hook_timeout_s=config.hook_timeout_s) if on_event is not None else None
        self._registry = SessionRegistry()
        self._directory = ChannelDirectory(store)
        flushes = FlushList()
        committer = Committer(
            store, self._directory, MessageIds(last_message_id), marks, config, system_accounts=system_accounts
        )
        self._router = Router(
            store,
            committer,
            Deliverer(self._registry, flushes, self._events),
            before_send=before_send,
            hook_timeout_s=config.hook_timeout_s,
        )
        self._authentication = Authentication(store, config.auth, authenticate, hook_timeout_s=config.hook_timeout_s)
        self._gateway = Gateway(config, self._router, self._registry, self._authentication, flushes, self._events)
        self._stopping = trio.Event()

    async def send(self, command: SendCommand) -> SendResult:
        """Sends a message on behalf of anybody, as a back-end may: only a banned or disbanded channel refuses it.

        Returns:
            How it ended; `reason_code` is not SUCCESS if it was refused. The message is durable when this returns.

        Raises:
            StoreError: it could not be stored.

        If cancelled after the message was handed in, the message is stored and delivered nevertheless.
        """
        return await self._router.send(command)

    def kick(self, uid: str, device_flag: int | None = None, *, reason: str = "") -> int:
        """Sends the sessions of a user away: all, or those with one device flag. Official clients do not come back by
        themselves.

        Returns:
            How many sessions it hit.
        """
        flags = None if device_flag is None else (device_flag,)
        return self._registry.kick(uid, flags, reason_code=ReasonCode.CONNECT_KICK, reason=reason)

    def shutdown(self) -> None:
        """Asks for a graceful stop and returns at once; `serve` returns when it is done. Repeating it does nothing."""
        self._stopping.set()

    def statistics(self) -> ServerStatistics:
        """How the server is doing."""
        router, gateway = self._router.statistics, self._gateway.statistics
        return ServerStatistics(
            sessions=len(self._registry),
            users=self._registry.users,
            connections=gateway.connections,
            authenticated=gateway.authenticated,
            accepted=router.accepted,
            refused=router.refused,
            repeated=router.repeated,
            stored=router.stored,
            commits=router.commits,
            delivered=router.delivered,
            events_dropped=self._events.dropped if self._events is not None else 0,
        )

    async def run(self, sockets: "Sockets", task_status: trio.TaskStatus["Server"]) -> None:
        """Serves until `shutdown` is called or the surrounding scope is cancelled; both times it drains first."""
        async with trio.open_nursery() as nursery:
            # The parts run shielded from the caller's cancellation, so that they can drain; that is bounded.
            await nursery.start(self._run_parts, sockets)
            task_status.started(self)
            try:
                await self._stopping.wait()
            finally:
                self._stopping.set()

    async def _run_parts(self, sockets: "Sockets", task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._router.run)
                nursery.start_soon(self._authentication.run)
                nursery.start_soon(self._gateway.deadlines.run)
                if self._events is not None:
                    nursery.start_soon(self._events.run)
                acceptor = Acceptor(self._gateway, sockets.ws, sockets.wss, self._config)
                nursery.start_soon(acceptor.run)
                stop_http = trio.Event()
                http_done = trio.Event()
                if sockets.http:
                    nursery.start_soon(self._run_http, sockets, stop_http, http_done)
                else:
                    http_done.set()
                self.endpoints = sockets.endpoints()
                scope.shield = True
                task_status.started()
                await self._stopping.wait()
                with trio.move_on_after(self._config.drain_timeout_s):
                    acceptor.stop()
                    stop_http.set()
                    await http_done.wait()
                    await self._gateway.drain()
                    await acceptor.done.wait()
                nursery.cancel_scope.cancel()

    async def _run_http(self, sockets: "Sockets", stop: trio.Event, done: trio.Event) -> None:
        engine = http_engine(ApiTable(self._api_context(sockets), ENDPOINTS), self._config.engine)
        await serve_http(engine, sockets.http, stop)
        done.set()

    def _api_context(self, sockets: "Sockets") -> ApiContext:
        kick = self._registry.kick
        return ApiContext(
            config=self._config,
            store=self._store,
            users=UserService(self._store, kick),
            system_accounts=self._system_accounts,
            channels=ChannelService(self._store, self._directory, kick),
            history=History(self._store),
            routes=RouteTable(self._config, ws_port=_port(sockets.ws), wss_port=_port(sockets.wss)),
            send=self._router.send,
            device_flags_of=self._registry.device_flags_of,
            ready=lambda: not self._stopping.is_set(),
        )


class Sockets:
    """The listening sockets of a server, bound before anything else starts."""

    def __init__(self, config: Config, stack: ExitStack) -> None:
        listeners = config.listeners
        self.http = self._bind(stack, listeners.http, "httpAddr")
        self.ws = self._bind(stack, listeners.ws, "wsAddr")
        self.wss = self._bind(stack, listeners.wss, "wssAddr")

    @staticmethod
    def _bind(stack: ExitStack, address: Address | None, setting: str) -> list[socket]:
        if address is None:
            return []
        return [stack.enter_context(bind_tcp(address, setting=setting))]

    def endpoints(self) -> Endpoints:
        """The addresses really bound."""
        return Endpoints(http=_url("http", self.http), ws=_url("ws", self.ws), wss=_url("wss", self.wss))


def _port(sockets: list[socket]) -> int | None:
    return int(sockets[0].getsockname()[1]) if sockets else None


def _url(scheme: str, sockets: list[socket]) -> str:
    if not sockets:
        return ""
    host, port, *_ = sockets[0].getsockname()
    return f"{scheme}://{Address(host, port)}"


async def serve(
    config: Config | None = None,
    *,
    store: Store | None = None,
    authenticate: Authenticator | None = None,
    before_send: BeforeSend | None = None,
    on_event: OnEvent | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Runs a server until `Server.shutdown` is called or this is cancelled.

    Args:
        config: the settings; by default the standard ports on loopback, everything in memory.
        store: where messages are kept, instead of what `config.data_dir` says. It stays open when the server ends.
        authenticate: decides who may connect, instead of the stored tokens.
        before_send: sees, changes or refuses every send.
        on_event: is told of sessions and messages.
        task_status: reports the running `Server` once it accepts connections.

    Raises:
        ConfigError: a setting cannot work, a port is in use, a certificate cannot be read.
        StoreOpenError: the database cannot be used.

    When it ends, also by cancellation, sends under way are answered and clients are closed with 1001, for
    `config.drain_timeout_s` at most; no task, thread or socket is left behind.
    """
    config = config if config is not None else Config()
    settings.check(config)
    async with AsyncExitStack() as stack:
        sockets = Sockets(config, stack.enter_context(ExitStack()))
        if store is None:
            store = await stack.enter_async_context(open_store(config.data_dir, synchronous=config.synchronous))
        stack.enter_context(store.claim())
        accounts = SystemAccounts(store)
        await accounts.load()
        marks = SentMarks(config.idempotency)
        marks.remember(
            await store.recent_marks(first_id_at(time() - config.idempotency.window_s), config.idempotency.keys)
        )
        server = Server(
            config,
            store,
            accounts,
            marks,
            await store.last_message_id(),
            authenticate=authenticate,
            before_send=before_send,
            on_event=on_event,
        )
        await server.run(sockets, task_status)


@asynccontextmanager
async def open_server(
    config: Config | None = None,
    *,
    store: Store | None = None,
    authenticate: Authenticator | None = None,
    before_send: BeforeSend | None = None,
    on_event: OnEvent | None = None,
) -> AsyncIterator[Server]:
    """A server for the length of a `with` block; arguments and errors are those of `serve`.

    Leaving the block stops the server gracefully, within `config.drain_timeout_s`. An error of the block, or a single
    error of the server, is raised as it is, not inside a group.
    """
    with single_error():
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve,
                    config,
                    store=store,
                    authenticate=authenticate,
                    before_send=before_send,
                    on_event=on_event,
                )
            )
            try:
                yield server
            finally:
                server.shutdown()

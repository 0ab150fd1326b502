"""A running server: what the embedding program starts and holds in its hands.

serve        runs a server until it is stopped or cancelled
open_server  the same as a context manager
Server       the handle

`assembly` builds the parts, `lifecycle` runs and stops them, `listening` binds the sockets.
"""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial

import trio
from msgspec import Struct

from . import settings
from .assembly import Hooks, Parts, assemble
from .config import Config, Listeners
from .delivery.events import OnEvent
from .delivery.hooks import BeforeSend
from .errors import ConfigError, SearchUnavailableError, WukongError
from .groups import single_error
from .lifecycle import run_parts
from .listening import Endpoints, Sockets
from .model import ChannelType, ReasonCode, SendCommand, SendResult
from .search.query import SearchQuery
from .search.search import SearchResult
from .services.auth import Authenticator
from .services.message_events import Events
from .store import open_store
from .store.base import Store
from .tls import Certificate


class ServerStatistics(Struct, frozen=True, kw_only=True):
    """A snapshot. Counters count from the start of the server."""

    sessions: int
    """Authenticated connections now."""
    users: int
    """Distinct uids online now."""
    connections: int
    """Connections of clients that were opened, on WebSockets with their handshake."""
    connections_refused: int
    """Connections closed at once because too many had not authenticated."""
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
    """Events that the `on_event` hook never saw, because it was too slow or a stop cut them off."""
    webhook_requests: int
    """Requests that the receiver of webhooks has accepted."""
    webhook_failures: int
    """Those that he has not."""
    webhook_waiting: int
    """Stored messages that he has not been told of yet (`msg.notify`), now."""
    webhook_dropped: int
    """What he will never be told of: messages, and entries of `user.onlinestatus`."""


class Server:
    """A running server. Get one from `open_server`."""

    def __init__(self, parts: Parts, endpoints: Endpoints, stopping: trio.Event) -> None:
        self.endpoints = endpoints
        """Where it really listens."""
        self.users = parts.users
        """Tokens and devices, who is online, system accounts."""
        self.channels = parts.channels
        """Records, members, deny and allow lists."""
        self.history = parts.history
        """Stored messages."""
        self.conversations = parts.conversations
        """The channels of a user, and how far he is with them."""
        self.events = Events(parts.message_events)
        """What happens to messages after they were sent, such as an answer that is streamed."""
        self.commands = parts.commands
        """Messages for programs, apart from the history."""
        self.connections = parts.connections
        """Single connections of clients."""
        self._parts = parts
        self._stopping = stopping

    async def send(self, command: SendCommand) -> SendResult:
        """Sends a message on behalf of anybody, as a back-end may: only a banned or disbanded channel refuses it.

        Returns:
            What it has become. The message is durable when this returns.

        Raises:
            InvalidCommandError: a field has the wrong type or an impossible value; also a `ValueError`.
            SendRefusedError: the channel is banned or disbanded, or the `before_send` hook said no; says which.
            StoreError: it could not be stored, or the server is stopping or has stopped.

        If cancelled after the message was handed in, the message is stored and delivered nevertheless.
        """
        return await self._parts.message_events.send(command, self._parts.router.send)

    async def send_batch(
        self, from_uid: str, subscribers: Iterable[str], payload: bytes, *, flags: int = 0
    ) -> list[tuple[str, WukongError]]:
        """Sends the same payload to many users, to each as a message of its own, 512 at a time. Blank uids are skipped.

        Args:
            flags: header flags: NO_PERSIST, RED_DOT, SYNC_ONCE.

        Returns:
            Whom it was not sent to, each with the error that `send` would have raised. Everybody else has it.

        Raises:
            InvalidArgumentError: nobody could be sent this; nothing was sent.

        If cancelled, some have it and others do not.
        """
        return await self._parts.batches.send(from_uid, subscribers, payload, flags=flags)

    async def search(self, query: SearchQuery) -> SearchResult:
        """Searches the messages that a user may read: those of his person channels, and of channels he is a member of.

        Raises:
            InvalidArgumentError: a field has an impossible value.
            SearchUnavailableError: search is off (`Config.search`), or the index cannot be read at the moment.
            StoreError: the store could not be read.
        """
        if self._parts.search is None:
            raise SearchUnavailableError("search is off; switch it on with Config.search")
        return await self._parts.search.find(query)

    def kick(self, uid: str, device_flag: int | None = None, *, reason: str = "") -> int:
        """Sends the sessions of a user away: all, or those with one device flag. Official clients do not come back by
        themselves.

        Returns:
            How many sessions it hit.
        """
        flags = None if device_flag is None else (device_flag,)
        return self._parts.registry.kick(uid, flags, reason_code=ReasonCode.CONNECT_KICK, reason=reason)

    def reload_certificates(self) -> None:
        """Reads the files of the certificate again, for those who connect to `wss` or `tls` from now on.

        Raises:
            ConfigError: they cannot be used, or both listeners are off; nothing has changed.
        """
        if self._parts.certificate is None:
            raise ConfigError("wssAddr and tlsAddr are off: there is no certificate to read again")
        self._parts.certificate.reload()

    def shutdown(self) -> None:
        """Asks for a graceful stop and returns at once; `serve` returns when it is done. Repeating it does nothing."""
        self._stopping.set()

    def statistics(self) -> ServerStatistics:
        """How the server is doing."""
        parts = self._parts
        router, gateway, webhooks = parts.router.statistics, parts.gateway.statistics, parts.webhooks
        return ServerStatistics(
            sessions=len(parts.registry),
            users=parts.registry.users,
            connections=gateway.connections,
            connections_refused=parts.gateway.newcomers.refused,
            authenticated=gateway.authenticated,
            accepted=router.accepted,
            refused=router.refused,
            repeated=router.repeated,
            stored=router.stored,
            commits=router.commits,
            delivered=router.delivered,
            events_dropped=parts.events.dropped if parts.events is not None else 0,
            webhook_requests=webhooks.requests if webhooks is not None else 0,
            webhook_failures=webhooks.failures if webhooks is not None else 0,
            webhook_waiting=webhooks.waiting if webhooks is not None else 0,
            webhook_dropped=webhooks.dropped if webhooks is not None else 0,
        )


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
        InternalError: a part of the server has failed.

    When it ends, also by cancellation, sends under way are answered and clients are closed with 1001, for
    `config.drain_timeout_s` at most; no task, thread or socket is left behind.
    """
    config = config if config is not None else Config()
    settings.check(config)
    certificate = _certificate(config.listeners)
    with single_error():
        async with AsyncExitStack() as stack:
            sockets = Sockets(config, stack.enter_context(ExitStack()))
            if store is None:
                store = await stack.enter_async_context(open_store(config.data_dir, synchronous=config.synchronous))
            stack.enter_context(store.claim(silent_types=_silent_types(config)))
            parts = await assemble(config, store, Hooks(authenticate, before_send, on_event), certificate)
            stopping = trio.Event()
            server = Server(parts, sockets.endpoints(), stopping)
            await run_parts(parts, sockets, stopping, lambda: task_status.started(server))


def _silent_types(config: Config) -> Collection[ChannelType]:
    """Channels in which conversations do not begin by themselves."""
    if not config.conversation.on:
        return set(ChannelType)
    # Where allow lists are enforced, being listed begins a conversation.
    return set() if config.whitelist_off_of_person else {ChannelType.PERSON}


def _certificate(listeners: Listeners) -> Certificate | None:
    if not listeners.need_certificate or listeners.cert_file is None or listeners.key_file is None:
        return None
    return Certificate(listeners.cert_file, listeners.key_file)


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
    error of the server, is raised as it is, not inside a group. A group of the block's own that holds a single error,
    such as that of a nursery with one failed task, is unwrapped as well; `except*` catches both forms.
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

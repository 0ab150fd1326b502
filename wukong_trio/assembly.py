"""The composition root: builds the parts of a server and hands them to each other. Nothing runs yet."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time
from typing import NamedTuple

from .api.addresses import RouteTable
from .api.context import ApiContext
from .api.documents import ServerDocuments
from .api.encoded_pages import EncodedPages
from .api.endpoints import ENDPOINTS
from .api.guard import Guard
from .api.metrics import Metrics
from .api.vitals import Vitals
from .config import Config
from .delivery.connections import Connections
from .delivery.decide import Decider
from .delivery.dedup import SentMarks
from .delivery.deliver import Deliverer
from .delivery.events import Events, OnEvent
from .delivery.flush import FlushList
from .delivery.hooks import BeforeSend
from .delivery.ids import MessageIds
from .delivery.registry import SessionRegistry
from .delivery.router import Router
from .figures import (
    show_as_in_version_2,
    show_clients,
    show_messages,
    show_process,
    show_queues,
    show_removals,
    show_search,
    show_store,
    show_webhooks,
)
from .gateway.gateway import Gateway
from .lag import LagMeter
from .listening import Sockets, bound_port
from .meter import Meter
from .model import Message, first_id_at
from .search.search import MessageSearch, open_search
from .services.auth import Authentication, Authenticator
from .services.channel_calls import Channels
from .services.channel_history import ChannelHistory
from .services.channels import ChannelService
from .services.cleaner import Cleaner
from .services.command_sync import CommandSync
from .services.conversation_calls import UserConversations
from .services.conversations import ConversationService
from .services.directory import ChannelDirectory
from .services.history import History
from .services.message_events import MessageEvents
from .services.sending import Batches, Commands
from .services.users import SystemAccounts, Users
from .store.base import Store
from .tls import Certificate
from .webhooks.notify import Notifications
from .webhooks.webhooks import Webhooks, open_webhooks

OnStored = Callable[[Sequence[Message]], None]
"""Hears which messages were stored."""


class Hooks(NamedTuple):
    """The embedding program's own code."""

    authenticate: Authenticator | None = None
    before_send: BeforeSend | None = None
    on_event: OnEvent | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A server, taken apart."""

    config: Config
    store: Store
    system_accounts: SystemAccounts
    directory: ChannelDirectory
    registry: SessionRegistry
    events: Events | None
    webhooks: Webhooks | None
    search: MessageSearch | None
    router: Router
    command_sync: CommandSync
    cleaner: Cleaner
    authentication: Authentication
    message_events: MessageEvents
    gateway: Gateway
    lag: LagMeter
    certificate: Certificate | None
    users: Users
    channels: Channels
    history: ChannelHistory
    conversations: UserConversations
    batches: Batches
    commands: Commands
    connections: Connections


async def assemble(config: Config, store: Store, hooks: Hooks, certificate: Certificate | None) -> Parts:
    """Builds the parts, with what they keep in memory read from the store.

    Raises:
        ConfigError: the search is on, and this Python cannot search.
        StoreError: the store could not be read.
    """
    accounts = SystemAccounts(store)
    await accounts.load()
    marks = SentMarks(config.idempotency)
    marks.remember(await store.recent_marks(first_id_at(time() - config.idempotency.window_s), config.idempotency.keys))
    newest_id = await store.last_message_id()
    ids = MessageIds(newest_id)
    timeout_s = config.hook_timeout_s
    events = Events(hooks.on_event, hook_timeout_s=timeout_s) if hooks.on_event is not None else None
    registry, flushes, directory = SessionRegistry(), FlushList(), ChannelDirectory(store)
    webhooks = await open_webhooks(config, store, registry, accounts, newest_id)
    notify, offline, status = webhooks.told if webhooks is not None else (None, None, None)
    command_sync = CommandSync(store)
    search = open_search(config, store, newest_id)
    router = Router(
        store,
        Decider(store, directory, ids, marks, config, system_accounts=accounts),
        Deliverer(registry, flushes, events, offline.delivered if offline is not None else None),
        payload_limit_bytes=config.limits.payload_bytes,
        before_send=hooks.before_send,
        hook_timeout_s=timeout_s,
        on_stored=_all_told(
            notify.stored if notify is not None else None, search.stored if search is not None else None
        ),
    )
    kept_from = await _kept_from(config, store, notify)
    authentication = Authentication(store, config.auth, hooks.authenticate, hook_timeout_s=timeout_s)
    gateway = Gateway(
        config,
        router,
        registry,
        authentication,
        flushes,
        events,
        command_sync.received,
        status.changed if status is not None else None,
    )
    return Parts(
        config=config,
        store=store,
        system_accounts=accounts,
        directory=directory,
        registry=registry,
        events=events,
        webhooks=webhooks,
        search=search,
        router=router,
        command_sync=command_sync,
        cleaner=Cleaner(store, config.retention, kept_from),
        authentication=authentication,
        message_events=MessageEvents(store, router.push_event, payload_limit_bytes=config.limits.payload_bytes),
        gateway=gateway,
        lag=LagMeter(),
        certificate=certificate,
        users=Users(store, accounts, registry.kick, registry.device_flags_of),
        channels=Channels(ChannelService(store, directory, registry.kick)),
        history=ChannelHistory(History(store)),
        batches=Batches(router, payload_limit_bytes=config.limits.payload_bytes),
        conversations=UserConversations(ConversationService(store, user_max=config.conversation.user_max)),
        commands=Commands(router, command_sync),
        connections=Connections(registry, gateway.past_traffic),
    )


def _all_told(*listeners: OnStored | None) -> OnStored | None:
    """One who tells all of those that there are."""
    wanted = [listener for listener in listeners if listener is not None]
    if len(wanted) < 2:
        return wanted[0] if wanted else None

    def tell(messages: Sequence[Message]) -> None:
        for listener in wanted:
            listener(messages)

    return tell


async def _kept_from(config: Config, store: Store, notify: Notifications | None) -> Callable[[], int] | None:
    """From which message on all have to stay, because the receiver of webhooks may still be told of them."""
    if notify is not None:
        return lambda: notify.kept_from
    cursor = await store.webhook_cursor()
    if cursor is None:
        return None
    # Perhaps it is switched off by mistake.
    return lambda: max(cursor + 1, first_id_at(store.clock() - config.webhook.max_age_s))


def api_context(parts: Parts, sockets: Sockets, ready: Callable[[], bool]) -> ApiContext:
    """What the handlers of the API work with.

    Args:
        ready: whether the server takes connections.
    """
    requests = Counter[tuple[str, int]]()
    routes = RouteTable(
        parts.config,
        tcp_port=bound_port(sockets.tcp),
        ws_port=bound_port(sockets.ws),
        wss_port=bound_port(sockets.wss),
    )
    needs_token = parts.config.auth.manager_token != ""
    return ApiContext(
        config=parts.config,
        guard=Guard(parts.config),
        store=parts.store,
        users=parts.users,
        channels=parts.channels,
        history=parts.history,
        message_events=parts.message_events,
        search=parts.search,
        conversations=parts.conversations,
        encoded_pages=EncodedPages(parts.message_events),
        routes=routes,
        sender=parts.router,
        batches=parts.batches,
        commands=parts.commands,
        connections=parts.connections,
        slow_clients=lambda: parts.gateway.statistics.slow_clients,
        vitals=Vitals(),
        api_url=sockets.endpoints().http,
        documents=ServerDocuments(ENDPOINTS, routes.external, needs_token=needs_token),
        requests=requests,
        metrics=Metrics(_meter(parts).read, requests),
        ready=ready,
    )


def _meter(parts: Parts) -> Meter:
    registry, router, gateway = parts.registry, parts.router, parts.gateway
    meter = Meter(registry, gateway.past_traffic, parts.store, parts.lag)
    show_clients(meter, registry, gateway)
    show_messages(meter, router, gateway)
    show_queues(meter, router, parts.events)
    show_store(meter, router)
    show_webhooks(meter, parts.webhooks)
    show_removals(meter, parts.cleaner)
    show_search(meter, parts.search)
    show_process(meter, parts.lag)
    show_as_in_version_2(meter, registry, gateway)
    return meter

"""The composition root: builds the parts of a server and hands them to each other. Nothing runs yet."""

from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import NamedTuple

from .api.addresses import RouteTable
from .api.context import ApiContext
from .api.documents import ServerDocuments
from .api.encoded_pages import EncodedPages
from .api.endpoints import ENDPOINTS
from .api.guard import Guard
from .api.vitals import Vitals
from .config import Config
from .delivery.connections import Connections
from .delivery.decide import Decider
from .delivery.dedup import SentMarks
from .delivery.deliver import Deliverer
from .delivery.events import Events, OnEvent
from .delivery.flush import FlushList
from .delivery.hooks import BeforeSend
from .delivery.ids import MessageIds, first_id_at
from .delivery.registry import SessionRegistry
from .delivery.router import Router
from .gateway.gateway import Gateway
from .listening import Sockets, bound_port
from .services.auth import Authentication, Authenticator
from .services.channels import ChannelService
from .services.cleaner import Cleaner
from .services.directory import ChannelDirectory
from .services.history import History
from .services.users import SystemAccounts, UserService
from .store.base import Store
from .tls import Certificate
from .webhooks.notify import Notifications
from .webhooks.webhooks import Webhooks, open_webhooks


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
    router: Router
    cleaner: Cleaner
    authentication: Authentication
    gateway: Gateway
    certificate: Certificate | None


async def assemble(config: Config, store: Store, hooks: Hooks, certificate: Certificate | None) -> Parts:
    """Builds the parts, with what they keep in memory read from the store.

    Raises:
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
    router = Router(
        store,
        Decider(store, directory, ids, marks, config, system_accounts=accounts),
        Deliverer(registry, flushes, events, offline.delivered if offline is not None else None),
        payload_limit_bytes=config.limits.payload_bytes,
        before_send=hooks.before_send,
        hook_timeout_s=timeout_s,
        on_stored=notify.stored if notify is not None else None,
    )
    kept_from = await _kept_from(config, store, notify)
    authentication = Authentication(store, config.auth, hooks.authenticate, hook_timeout_s=timeout_s)
    return Parts(
        config=config,
        store=store,
        system_accounts=accounts,
        directory=directory,
        registry=registry,
        events=events,
        webhooks=webhooks,
        router=router,
        cleaner=Cleaner(store, config.retention, first_id_at, kept_from),
        authentication=authentication,
        gateway=Gateway(
            config,
            router,
            registry,
            authentication,
            flushes,
            events,
            status.changed if status is not None else None,
        ),
        certificate=certificate,
    )


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
    kick = parts.registry.kick
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
        users=UserService(parts.store, kick),
        system_accounts=parts.system_accounts,
        channels=ChannelService(parts.store, parts.directory, kick),
        history=History(parts.store),
        encoded_pages=EncodedPages(),
        routes=routes,
        sender=parts.router,
        device_flags_of=parts.registry.device_flags_of,
        connections=Connections(parts.registry, parts.gateway.past_traffic),
        slow_clients=lambda: parts.gateway.statistics.slow_clients,
        vitals=Vitals(),
        api_url=sockets.endpoints().http,
        documents=ServerDocuments(ENDPOINTS, routes.external, needs_token=needs_token),
        ready=ready,
    )

"""All webhooks of a server, and what they share."""

from collections.abc import Container
from typing import Final

import trio

from ..config import Config, Webhook, WebhookEvent
from ..delivery.registry import SessionRegistry
from ..store.base import Store
from ..supervision import supervise
from .connections import Connections
from .hook import Hook
from .notify import Notifications
from .offline import OfflineMessages
from .pace import Load, Pace
from .status import OnlineStatus

LEAST_SHARES: Final[dict[WebhookEvent, float]] = {"msg.notify": 0.08, "msg.offline": 0.01, "user.onlinestatus": 0.005}
"""Of a core, that the requests of an event may take whatever else there is to do."""


class Webhooks:
    """The events that the receiver wants. Get one from `open_webhooks`."""

    def __init__(
        self,
        connections: Connections,
        load: Load,
        notify: Notifications | None,
        offline: OfflineMessages | None,
        status: OnlineStatus | None,
    ) -> None:
        self._connections = connections
        self._load = load
        self.told = notify, offline, status
        self.wanted = [event for event in self.told if event is not None]
        """Those of them that the receiver wants."""

    @property
    def requests(self) -> int:
        """How many requests the receiver has accepted."""
        return sum(event.hook.requests for event in self.wanted)

    @property
    def failures(self) -> int:
        """How many he has not."""
        return sum(event.hook.failures for event in self.wanted)

    @property
    def dropped(self) -> int:
        """How many messages and entries he was not told of."""
        return sum(event.dropped for event in self.wanted)

    @property
    def waiting(self) -> int:
        """How many stored messages he has not been told of yet."""
        notify = self.told[0]
        return max(notify.waiting, 0) if notify is not None else 0

    async def run(self) -> None:
        """Tells until cancelled."""
        trio.lowlevel.add_instrument(self._load)
        try:
            async with self._connections, trio.open_nursery() as nursery:
                for event in self.wanted:
                    nursery.start_soon(supervise, f"the webhook {event.hook.event}", event.run)
        finally:
            trio.lowlevel.remove_instrument(self._load)

    async def drain(self) -> None:
        """Tells what is left, as long as the receiver accepts it. The caller bounds it."""
        async with trio.open_nursery() as nursery:
            for event in self.wanted:
                nursery.start_soon(event.drain)


async def open_webhooks(
    config: Config, store: Store, registry: SessionRegistry, system_accounts: Container[str], newest_id: int
) -> Webhooks | None:
    """What `config.webhook` asks for; None if that is nothing.

    Args:
        newest_id: of all stored messages.

    Raises:
        StoreError: the store could not be read.
    """
    settings = config.webhook
    if not settings.http_addr:
        return None
    connections, load = Connections(settings.http_addr), Load()

    def hook(event: WebhookEvent) -> Hook | None:
        if settings.focus_events and event not in settings.focus_events:
            return None
        return Hook(event, connections, settings.http_addr, settings.secret, Pace(load, LEAST_SHARES[event]))

    return Webhooks(
        connections,
        load,
        await _notifications(hook("msg.notify"), store, settings, newest_id),
        _offline_messages(hook("msg.offline"), registry, system_accounts, config),
        _online_status(hook("user.onlinestatus"), registry, settings),
    )


async def _notifications(hook: Hook | None, store: Store, settings: Webhook, newest_id: int) -> Notifications | None:
    if hook is None:
        return None
    notifications = Notifications(hook, store, settings, await store.webhook_cursor(), newest_id)
    # Before there are messages: where the first use began has to be known after a crash.
    await notifications.save()
    return notifications


def _offline_messages(
    hook: Hook | None, registry: SessionRegistry, system_accounts: Container[str], config: Config
) -> OfflineMessages | None:
    if hook is None:
        return None
    compress_of_count = config.webhook.compress_of_count
    return OfflineMessages(hook, registry, system_accounts, node_id=config.node_id, compress_of_count=compress_of_count)


def _online_status(hook: Hook | None, registry: SessionRegistry, settings: Webhook) -> OnlineStatus | None:
    if hook is None:
        return None
    return OnlineStatus(hook, registry, retry_max_count=settings.retry_max_count)

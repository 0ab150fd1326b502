"""msg.offline: which members of a channel have not received a message on a master device. For push services: told at
once, or never."""

from collections.abc import Collection, Container
from gzip import compress
from logging import getLogger
from time import time
from typing import Final

import msgspec
import trio
from msgspec import Raw, Struct, structs

from ..contract.messages import MessageRecord
from ..delivery.registry import SessionRegistry
from ..delivery.submission import Submission
from ..model import ChannelKey, ChannelType, Message
from ..services.directory import Channel
from ..services.records import record_of
from .hook import Hook

log = getLogger(__name__)

WORKERS: Final = 8
"""Requests under way."""
QUEUE: Final = 10_000
QUEUE_BYTES: Final = 32 * 1024 * 1024
"""Payloads of the messages that wait."""
FEW: Final = 32
"""Of so many members the receivers are found at once; of more when it is their turn, in slices."""
SLICE: Final = 4096
_LARGE_BYTES: Final = 64 * 1024
"""Lists of uids from this size on are compressed in a thread."""
_AGENT: Final = int(ChannelType.AGENT)


class OfflineRecord(MessageRecord, frozen=True, kw_only=True):
    """A message and who has not received it."""

    to_uids: Raw
    compress: str = ""
    compress_to_uids: bytes = b""
    source_id: int


class _Waiting(Struct, frozen=True, gc=False):
    """A message that the receiver is to be told of."""

    message: Message
    channel: Channel
    to_uids: list[str] | None
    """None: they have to be found yet."""


class OfflineMessages:
    """The messages whose receivers may be offline."""

    def __init__(
        self,
        hook: Hook,
        registry: SessionRegistry,
        system_accounts: Container[str],
        *,
        node_id: int,
        compress_of_count: int,
    ) -> None:
        self.hook = hook
        self._registry = registry
        self._system_accounts = system_accounts
        self._node_id = node_id
        self._compress_of_count = compress_of_count
        self._entry, self._queue = trio.open_memory_channel[_Waiting](QUEUE)
        self._queue_bytes = 0
        self._pending = 0
        """Those that wait and those under way."""
        self._idle = trio.Event()
        self._dropping = False
        self.dropped = 0
        """Messages that the receiver was not told of, because he was too slow or the server was stopped."""

    @property
    def waiting(self) -> int:
        """Messages that are not told, those under way included."""
        return self._pending

    def delivered(self, submission: Submission) -> None:
        """A message is with everybody who is online; never waits."""
        message, route = submission.message, submission.route
        assert message is not None
        assert route is not None
        if message.channel_type == _AGENT:
            return
        size_bytes = len(message.payload)
        if self._pending >= QUEUE or (self._pending and self._queue_bytes + size_bytes > QUEUE_BYTES):
            self._drop()
            return
        channel, to_uids = route.channel, None
        if len(channel.members) <= FEW:
            to_uids = self._offline(channel.members, message.from_uid)
            if not to_uids:
                return
        self._entry.send_nowait(_Waiting(message, channel, to_uids))
        self._queue_bytes += size_bytes
        self._pending += 1

    def _offline(self, uids: Collection[str], sender: str) -> list[str]:
        has_master, accounts = self._registry.has_master, self._system_accounts
        return [uid for uid in uids if uid != sender and not has_master(uid) and uid not in accounts]

    def _drop(self) -> None:
        self.dropped += 1
        if not self._dropping:
            self._dropping = True
            log.warning("webhook %s: the receiver is too slow: messages are not told", self.hook.event)

    async def run(self) -> None:
        """Tells until cancelled; what was not told by then counts as dropped."""
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(WORKERS):
                    nursery.start_soon(self._work)
        finally:
            if self._pending:
                self.dropped += self._pending
                log.warning("webhook %s: %d messages were not told in time", self.hook.event, self._pending)

    async def drain(self) -> None:
        """Waits until all is told. The caller bounds it."""
        self.hook.pace.hurry = True
        while self._pending:
            self._idle = trio.Event()
            await self._idle.wait()

    async def _work(self) -> None:
        async for waiting in self._queue:
            try:
                await self.hook.pace.give_way()
                await self._tell(waiting)
            except Exception:
                log.exception("webhook %s: a message was not told", self.hook.event)
            self._queue_bytes -= len(waiting.message.payload)
            self._pending -= 1
            if not self._pending:
                self._idle.set()
                self._dropping = False

    async def _tell(self, waiting: _Waiting) -> None:
        message, to_uids = waiting.message, waiting.to_uids
        if to_uids is None:
            to_uids = await self._offline_of_many(waiting.channel, message.from_uid)
        if to_uids:
            record = await self._record(message, waiting.channel.key, to_uids)
            await self.hook.post(msgspec.json.encode(record), f"offline-{message.message_id}")

    async def _offline_of_many(self, channel: Channel, sender: str) -> list[str]:
        found: list[str] = []
        members = list(channel.members)
        for start in range(0, len(members), SLICE):
            found += self._offline(members[start : start + SLICE], sender)
            await trio.lowlevel.checkpoint()
        return found

    async def _record(self, message: Message, key: ChannelKey, to_uids: list[str]) -> OfflineRecord:
        uids, method, packed = await _encoded(to_uids), "", b""
        if 0 < self._compress_of_count < len(to_uids):
            if len(uids) < _LARGE_BYTES:
                packed = compress(uids)
            else:
                packed = await trio.to_thread.run_sync(compress, uids, abandon_on_cancel=True)
            uids, method = b"[]", "gzip"
        # As it is shown to whom it was sent, not as it is stored: commands have a channel of their own there.
        shown = record_of(structs.replace(message, channel_id=key.channel_id, timestamp=int(time())))
        fields = structs.asdict(shown) | {"from_uid": message.from_uid}
        return OfflineRecord(
            **fields, to_uids=Raw(uids), compress=method, compress_to_uids=packed, source_id=self._node_id
        )


async def _encoded(uids: list[str]) -> bytes:
    """A list in JSON, made in slices."""
    if len(uids) <= SLICE:
        return msgspec.json.encode(uids)
    parts = []
    for start in range(0, len(uids), SLICE):
        parts.append(msgspec.json.encode(uids[start : start + SLICE])[1:-1])
        await trio.lowlevel.checkpoint()
    return b"[%b]" % b",".join(parts)

"""Commands that a user has missed: he fetches them, and acknowledges what he has fetched."""

from collections import OrderedDict
from collections.abc import Mapping
from operator import attrgetter
from typing import Final

import trio

from ..errors import StoreError
from ..model import COMMAND_CHANNEL_SUFFIX, ChannelKey, Message, command_key, plain_key
from ..store.base import Store, bytes_of
from ..store.conversations import ConversationChange
from .history import MAX_LIMIT, PAGE_BYTES

MAX_POSITIONS: Final = 500_000
"""Channels of fetches that are remembered, of all users together; who has waited longest has to fetch again."""
MAX_RECEIPTS: Final = 10_000
"""Acknowledged pushes that wait to be written down. What is beyond is fetched though it was seen."""
RECEIPTS_INTERVAL_S: Final = 1.0
AT_ONCE: Final = 256
"""Positions that are written down with one call; between two others have their turn."""


class CommandSync:
    """Hands out pending commands, and moves the position up to which a user has them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._fetched: OrderedDict[str, dict[ChannelKey, int]] = OrderedDict()
        """What each user was given last: up to which command of which channel."""
        self._positions = 0
        """In all fetches."""
        self._receipts: dict[tuple[str, ChannelKey], int] = {}
        self._received = trio.Event()

    async def fetch(self, uid: str, limit: int) -> list[Message]:
        """The commands that a user has not acknowledged, oldest first within a channel; channels in the order of their
        oldest one. At most `limit`, and no more than have PAGE_BYTES of payload together, but one in any case.

        It is remembered what they are, for `acknowledge`, instead of what was fetched before.

        Raises:
            StoreError: they could not be read; nothing is remembered.
        """
        self._forget(uid)
        left, left_bytes = min(limit, MAX_LIMIT), PAGE_BYTES
        found: list[Message] = []
        positions: dict[ChannelKey, int] = {}
        for pending in sorted(await self._store.pending_commands(uid), key=attrgetter("oldest_id")):
            low = max(pending.commands_to, self._receipts.get((uid, pending.key), 0)) + 1
            if low > pending.last_seq:
                continue
            page = await self._store.messages_between(
                command_key(pending.key), low, pending.last_seq, left, newest=False, max_bytes=left_bytes
            )
            found += page.messages
            left -= len(page.messages)
            left_bytes -= bytes_of(page.messages)
            if page.messages:
                positions[pending.key] = page.messages[-1].message_seq
            if page.more or left <= 0 or left_bytes <= 0:
                break
        self._remember(uid, positions)
        return found

    async def acknowledge(self, uid: str) -> None:
        """A user has what `fetch` gave him last; without that nothing happens.

        Raises:
            StoreError: not all of it was written down; it may be called again.
        """
        positions = self._fetched.get(uid)
        if not positions:
            return
        await self._write({(uid, key): seq for key, seq in positions.items()})
        if self._fetched.get(uid) is positions:
            self._forget(uid)

    async def _write(self, positions: Mapping[tuple[str, ChannelKey], int]) -> None:
        changes = [ConversationChange(uid=uid, key=key, commands_to=seq) for (uid, key), seq in positions.items()]
        for start in range(0, len(changes), AT_ONCE):
            await self._store.change_conversations(changes[start : start + AT_ONCE])

    def _remember(self, uid: str, positions: dict[ChannelKey, int]) -> None:
        self._forget(uid)
        if positions:
            self._fetched[uid] = positions
            self._positions += len(positions)
        while self._positions > MAX_POSITIONS:
            self._positions -= len(self._fetched.popitem(last=False)[1])

    def _forget(self, uid: str) -> None:
        self._positions -= len(self._fetched.pop(uid, ()))

    def received(self, uid: str, message: Message) -> None:
        """A user has got the push of a message; if it is of a command channel, he need not fetch it. Written down
        within a second; a crash before that only makes him fetch it."""
        if not message.channel_id.endswith(COMMAND_CHANNEL_SUFFIX):
            return
        place = uid, plain_key(message.channel_id, message.channel_type)
        message_seq = message.message_seq
        if place in self._receipts or len(self._receipts) < MAX_RECEIPTS:
            self._receipts[place] = max(self._receipts.get(place, 0), message_seq)
            self._received.set()

    async def run(self) -> None:
        """Writes receipts down until cancelled."""
        while True:
            await self._received.wait()
            await trio.sleep(RECEIPTS_INTERVAL_S)
            self._received = trio.Event()
            receipts = self._receipts.copy()
            try:
                await self._write(receipts)
            except StoreError:
                self._received.set()
                continue
            for place, seq in receipts.items():
                if self._receipts[place] == seq:
                    del self._receipts[place]

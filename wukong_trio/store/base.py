"""What the server needs of durable storage, and what a store promises.

Promises of every implementation:

* Writes happen one after another, in the order in which the calls were made, and each call is one transaction:
  all of it or nothing. One exception: a change of very many members is carried out in parts, so that messages need not
  wait for it, see `change_channel`.
* When a write returns, its effect is durable (as far as the store promises durability at all) and seen by every
  read that starts later.
* A write that has begun is finished even if the caller is cancelled.
* Writes but `append_messages` say what shall be: repeating one, after a failure too, changes nothing more.
* What went wrong is raised as `StoreError`; the store stays usable and tries again with the next call.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

from msgspec import Struct

from ..errors import ConfigError, StoreError
from ..model import ChannelFlags, ChannelKey, Device, Message
from .conversations import NO_CONVERSATIONS, ConversationStore
from .event_store import EventStore
from .memberships import Memberships
from .removals import Removals

MAX_MESSAGE_ID: Final = 2**53 - 1
"""The largest integer that JavaScript reads exactly. A durable store takes no higher id: later ones have to exceed it,
so it would have them for ever."""


SEARCHED_MESSAGES: Final = 100_000
"""So many messages of a channel, the newest, are gone through to find one by its `client_msg_no`."""


class MemberList(Enum):
    """The lists of uids that hang on a channel."""

    SUBSCRIBERS = 0
    DENIED = 1
    ALLOWED = 2


class MemberChange(Struct, frozen=True, kw_only=True):
    """A change of one list: first `reset` empties it, then `remove`, then `add`. Sets: repeating it changes nothing."""

    list: MemberList
    reset: bool = False
    remove: Sequence[str] = ()
    add: Sequence[str] = ()


class ChannelChange(Struct, frozen=True, kw_only=True):
    """One transaction on one channel."""

    key: ChannelKey
    flags: ChannelFlags | None = None
    """Creates the record or overwrites all its flags; None leaves an existing record alone."""
    create: bool = False
    """Creates the record with all flags off if there is none."""
    members: Sequence[MemberChange] = ()


class ChannelRecord(Struct, frozen=True, kw_only=True):
    """All that permission checks and delivery need to know of a channel."""

    key: ChannelKey
    flags: ChannelFlags | None = None
    """None: the channel has no record."""
    subscribers: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    last_seq: int = 0
    """The highest `message_seq` that it ever had, 0 if none."""
    version: int = 0
    """Grows with every change of flags and lists; an empty record has 1. 0: the store does not count. One that serves a
    single server need not."""


class Login(Struct, frozen=True, gc=False):
    """All that a connecting client is checked against."""

    device: Device | None = None
    """None: no token was ever stored for the device."""
    flags: ChannelFlags | None = None
    """The flags of the user's own record; None if there is no record."""
    registered: bool = False
    """A token was stored for some device of the user; it may have been cleared since."""


class SentMark(Struct, frozen=True, gc=False):
    """As much of a stored message as recognises its repetition."""

    key: ChannelKey
    from_uid: str
    client_msg_no: str
    message_id: int


class Page(Struct, frozen=True):
    """Part of a history, ascending; `more` tells whether the window holds further messages."""

    messages: list[Message]
    more: bool


class Wanted(Struct, frozen=True, kw_only=True):
    """Messages of one channel, by their names of three kinds."""

    message_seqs: Sequence[int] = ()
    message_ids: Sequence[int] = ()
    client_msg_nos: Sequence[str] = ()
    """Looked for among the newest SEARCHED_MESSAGES. Of several messages with the same one, the newest."""
    earliest: bool = False
    """Or the earliest of them."""


def bytes_of(messages: Iterable[Message]) -> int:
    """How much payload messages have together."""
    return sum([len(message.payload) for message in messages])


def cut(messages: Iterable[Message], limit: int, max_bytes: int, *, at_least: int = 1) -> tuple[list[Message], bool]:
    """As many of these messages as make a page, and whether there is another. None is taken from the iterator after the
    first that does not fit.

    Args:
        at_least: so many fit whatever their size.
    """
    if isinstance(messages, list) and len(messages) <= limit + 1:
        # Most pages are not cut short, and one by one takes twice as long.
        page = messages[:limit]
        if bytes_of(page) <= max_bytes:
            return page, len(messages) > limit
    page = []
    size = 0
    for message in messages:
        size += len(message.payload)
        if len(page) == limit or (len(page) >= at_least and size > max_bytes):
            return page, True
        page.append(message)
    return page, False


def page_of(messages: Iterable[Message], limit: int, max_bytes: int, *, newest: bool) -> Page:
    """A page of a channel's messages, given in the order in which they are wanted: the newest first, or the oldest."""
    taken, more = cut(messages, limit, max_bytes)
    return Page(taken[::-1] if newest else taken, more)


class ChannelsChangedError(StoreError):
    """Channels that messages go to are not what they were when these were decided. Nothing was stored.

    Attributes:
        keys: the channels; they have to be looked up again.
    """

    def __init__(self, keys: Collection[ChannelKey]) -> None:
        super().__init__(f"{len(keys):,} channels have changed meanwhile")
        self.keys = keys


class RepeatedSendsError(StoreError):
    """Drafts say again what stored messages have said: same channel, sender, `client_msg_no` and payload. Nothing was
    stored; the other drafts can be appended without them.

    Attributes:
        originals: what is stored, by the message ids of the drafts that repeat it.
    """

    def __init__(self, originals: Mapping[int, Message]) -> None:
        super().__init__(f"{len(originals):,} messages are stored already")
        self.originals = originals


class Store(ConversationStore, EventStore, Memberships, Removals):
    """Durable state. Get one from `open_store`."""

    _claimed = False
    _silent_types: Collection[int] = NO_CONVERSATIONS
    """Channel types of which becoming a member, or the first message, brings commands only."""

    @contextmanager
    def claim(self, *, silent_types: Collection[int] = ()) -> Iterator[None]:
        """Makes the caller the one who writes messages, for the length of a `with` block: he alone knows the ids that
        come next.

        Args:
            silent_types: in channels of these types conversations begin only when somebody asks for it.

        Raises:
            ConfigError: somebody else has claimed it.
        """
        if self._claimed:
            raise ConfigError("store: another server is using it; give each server a store of its own")
        self._claimed = True
        self._silent_types = NO_CONVERSATIONS.union(silent_types)
        try:
            yield
        finally:
            self._claimed = False
            self._silent_types = NO_CONVERSATIONS

    @abstractmethod
    async def append_messages(
        self,
        drafts: Sequence[Message],
        *,
        versions: Mapping[ChannelKey, int] = {},
        distinct: Collection[int] = (),
        direct: Mapping[int, Collection[str]] = {},
    ) -> Sequence[int]:
        """Stores messages in one transaction, and numbers them: in each channel those that come next, without a gap, in
        the order of the drafts. A call that raises uses up no number.

        Args:
            drafts: messages with ids that grow and are higher than all stored ones. Their `message_seq` is not looked
                at, and they are not changed.
            versions: with which `ChannelRecord.version` their channels were looked at. What is not named is not
                compared.
            distinct: ids of drafts that are messages of their own, whatever they repeat.
            direct: to whom those drafts go that are commands to users named with them: by id, their uids.

        Returns:
            The `message_seq` of each draft. Once it has returned the same call raises: its ids are taken.

        Raises:
            ChannelsChangedError: a channel has another version by now. None was stored.
            RepeatedSendsError: somebody else has stored before what drafts say again. None was stored.
            StoreError: none of them was stored.

        A store that serves a single server raises neither of the first two: he knows of every change, and recognises
        repetitions himself.

        If cancelled before it has begun, none of them was stored; after that it cannot be cancelled.
        """

    @abstractmethod
    async def last_message_id(self) -> int:
        """The highest id ever stored, 0 if none."""

    @abstractmethod
    async def recent_marks(self, since_message_id: int, limit: int) -> list[SentMark]:
        """The newest `limit` messages with an id of at least `since_message_id`, oldest first."""

    @abstractmethod
    async def messages_by_id(self, message_ids: Sequence[int], *, expired: bool = False) -> list[Message]:
        """The messages with these ids, in no particular order; unknown ids are left out.

        Args:
            expired: also those that have expired and were not removed yet.
        """

    @abstractmethod
    async def messages_after(self, message_id: int, limit: int, *, max_bytes: int) -> list[Message]:
        """The oldest messages of all channels with higher ids, in the order of their ids: at most `limit`, and no more
        than have `max_bytes` of payload together. The first one counts whatever its size. Those that have expired are
        among them until they are removed."""

    @abstractmethod
    async def message_ids_after(self, message_id: int, limit: int) -> list[int]:
        """The lowest `limit` ids above this one, ascending."""

    @abstractmethod
    async def messages_between(
        self, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool, max_bytes: int
    ) -> Page:
        """Messages with low <= message_seq <= high: the newest or the oldest of them, at most `limit`, and no more than
        have `max_bytes` of payload together. The first one counts whatever its size. What is beyond is not read."""

    @abstractmethod
    async def find_messages(self, key: ChannelKey, wanted: Wanted, *, max_bytes: int) -> Page:
        """The messages of a channel that are wanted: by sequence number, then by id, then by client_msg_no, each in the
        order of the names. What is not in the channel is left out; what is named twice is there twice.

        The page has no more than `max_bytes` of payload together, but the first message whatever its size; what is
        beyond is not read.
        """

    @abstractmethod
    async def last_seq(self, key: ChannelKey) -> int:
        """The highest `message_seq` that a channel ever had, 0 if it never had a stored message."""

    @abstractmethod
    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        """The records of these channels, in the same order; an unknown channel gives an empty record."""

    @abstractmethod
    async def change_channel(self, change: ChannelChange) -> None:
        """Carries out the change in one transaction; in several if it concerns many thousand members.

        Then each uid changes once, from what it was to what it shall be, and the call returns when all have. If it
        fails, some have changed and others have not; making the same call again completes it. Like any other write it
        is finished though its caller is cancelled. Changes of channels do not overtake each other.
        """

    @abstractmethod
    async def load_logins(self, keys: Sequence[tuple[str, int]]) -> list[Login]:
        """What is known of these (uid, device_flag), in the same order."""

    @abstractmethod
    async def put_device(self, device: Device) -> None:
        """Inserts or replaces a device record, which makes its user one for whom a token was stored."""

    @abstractmethod
    async def clear_tokens(self, uid: str, device_flags: Sequence[int]) -> None:
        """Empties the tokens of these devices, all at once; those without a record are left out."""

    @abstractmethod
    async def system_uids(self) -> list[str]:
        """The system accounts, sorted."""

    @abstractmethod
    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        """Changes the system accounts, all at once: first `remove`, then `add`."""

    @abstractmethod
    async def webhook_cursor(self) -> int | None:
        """Up to which message the receiver of webhooks has been told everything; None if nobody has ever said."""

    @abstractmethod
    async def move_webhook_cursor(self, message_id: int) -> None:
        """Says up to which message he has been told."""

    @property
    def directory(self) -> Path | None:
        """Where files that go with it may lie; None if there is no such place."""
        return None

    @property
    def durability(self) -> str:
        """What it promises of a write that has returned, in a word or two for people."""
        return "unknown"

    def size_bytes(self) -> Mapping[str, int]:
        """How large its files are: `database`, and `wal` for the write-ahead log. Empty if it has none, or cannot see
        them. Blocks: call it in a thread.
        """
        return {}

    @property
    @abstractmethod
    def failure(self) -> str:
        """Why the last write failed; empty while all is well."""

"""The conversations of a user: in which order, how much is unread, what has changed since he looked last."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from ..model import SYSTEM_UID, ChannelKey, ChannelType, Message, moment_of, parties
from ..store.base import Store, bytes_of
from ..store.conversations import Conversation, ConversationChange, ConversationState, NewestWish
from .addressing import peer_of
from .history import NO_BOUND, PAGE_BYTES

MAX_MESSAGES: Final = 20_000
"""Of all conversations of one answer together."""
DEFAULT_COUNT: Final = 15
"""Messages of each, where the caller does not say how many."""
_PERSON: Final = int(ChannelType.PERSON)


class ConversationView(Struct, frozen=True, gc=False):
    """A conversation as it is shown to its user."""

    key: ChannelKey
    channel_id: str
    """As he knows it: in a person channel, his peer's uid."""
    unread: int
    read_to: int
    """The `message_seq` up to which nothing is unread."""
    deleted_to: int
    active_at: int
    """When something was last said, or when it began: nanoseconds since 1970, a different moment for each message."""
    recents: list[Message]
    """Newest first."""
    left_out: bool
    """There are messages, but no room for one of them beside those of the others."""

    @property
    def last(self) -> Message | None:
        """The newest message that he has not deleted."""
        return self.recents[0] if self.recents else None


class ClientState(Struct, frozen=True, kw_only=True):
    """What a client knows already."""

    incremental: bool = False
    """It has the conversations: it wants those with something after the position up to which the user has read."""
    seqs: Mapping[tuple[str, int], int] = {}
    """The newest message it has of channels as its user knows them: (channel_id, channel_type) -> message_seq."""
    only_unread: bool = False


NOTHING_KNOWN: Final = ClientState()
"""Nothing is known."""


class ConversationChanges(Struct, frozen=True):
    """One page of conversations, the most recently active first."""

    views: list[ConversationView]
    deleted: list[tuple[str, int]]
    """Channels (channel_id, channel_type), as the user knows them, that are not in his list any more. On the first
    page."""
    coverage: int
    """Whoever has all pages has everything up to this moment."""
    next_before: tuple[int, str, int] | None
    """Where the next page begins; None: this is the last one."""
    reset_required: bool = False
    """The caller knows a moment that has not been yet; he has to begin with nothing."""


class ConversationService:
    """Reads conversations and marks them as read. Everything raises StoreError if the store does not work."""

    def __init__(self, store: Store, *, user_max: int) -> None:
        """Args:
        user_max: so many of a user are shown, the most recently active.
        """
        self._store = store
        self._user_max = user_max

    async def sync(
        self,
        uid: str,
        count: int,
        client: ClientState,
        *,
        excluded_types: Collection[int] = (),
        page: int = 0,
        page_size: int = 100,
    ) -> list[ConversationView]:
        """Conversations in which there is something, the most recently active first.

        Args:
            count: how many messages of each.
            excluded_types: types of channels that are left out, unless `client` names the channel.
            page: from 1; 0: all.
            page_size: how many make a page, before any is left out.
        """
        if count <= 0:
            return []
        candidates = await self._active_first(uid)
        if page > 0:
            candidates = candidates[(page - 1) * page_size : page * page_size]
        wanted: list[tuple[Conversation, int]] = []
        for conversation in candidates:
            known = None
            if client.seqs:
                known = client.seqs.get((_shown_id(uid, conversation), conversation.channel_type))
            if known is None and conversation.channel_type in excluded_types:
                continue
            low = _lower_bound(conversation, client, known or 0)
            if low <= conversation.last_seq:
                wanted.append((conversation, low))
        views = await self._views(uid, wanted, count)
        return [view for view in views if (view.recents or view.left_out) and (view.unread or not client.only_unread)]

    async def of_channels(self, uid: str, keys: Sequence[ChannelKey], count: int) -> list[ConversationView]:
        """The conversations of these channels, in the same order, also where there is none."""
        found = {c.key: c for c in (await self._store.conversations(uid)).items}
        wanted = [(found.get(key) or _nothing(key)) for key in keys]
        return await self._views(uid, [(c, c.deleted_to + 1) for c in wanted], count if count > 0 else DEFAULT_COUNT)

    async def messages_from(
        self, uid: str, places: Sequence[tuple[ChannelKey, int]], count: int, *, newest: bool
    ) -> list[tuple[list[Message], int]]:
        """Messages of channels from a `message_seq` on: the newest, descending, or the oldest, ascending. With those of
        each channel comes the number of the user's own last message."""
        count = count if count > 0 else DEFAULT_COUNT
        count = max(min(count, MAX_MESSAGES // max(len(places), 1)), 1)
        sent_to = {c.key: c.sent_to for c in (await self._store.conversations(uid)).items}
        if newest:
            wishes = [NewestWish(key, low, count) for key, low in places]
            found = await self._store.newest_messages(wishes, max_bytes=PAGE_BYTES)
        else:
            found, left_bytes = [], PAGE_BYTES
            for key, low in places:
                page = await self._store.messages_between(
                    key, low, NO_BOUND, count, newest=False, max_bytes=max(left_bytes, 0)
                )
                found.append(page.messages)
                left_bytes -= bytes_of(page.messages)
        return [(messages, sent_to.get(key, 0)) for (key, _), messages in zip(places, found, strict=True)]

    async def channels(self, uid: str) -> list[ChannelKey]:
        """The channels of a user's conversations, the most recently active first."""
        return [conversation.key for conversation in await self._active_first(uid)]

    async def latest(self, uid: str) -> list[ConversationView]:
        """All in which there is something, with their last messages, the most recently active first."""
        wanted = [(c, c.deleted_to + 1) for c in await self._active_first(uid)]
        return [view for view in await self._views(uid, wanted, 1) if view.recents]

    async def list_changes(
        self, uid: str, *, since: int, limit: int, before: tuple[int, str, int] | None = None, coverage: int = 0
    ) -> ConversationChanges:
        """One page of the conversations that have changed, with their last messages.

        Args:
            since: the coverage of an earlier list; 0: all conversations.
            before: `next_before` of the page before this one.
            coverage: that of the page before; with `before`.
        """
        found = await self._store.conversations(uid, gone=since > 0)
        coverage = coverage or found.moment
        if since > found.moment:
            return ConversationChanges([], [], found.moment, None, reset_required=True)
        visible = [c for c in found.items if _is_visible(c)]
        changed = [c for c in visible if max(_active_at(c), c.changed_at) > since]
        changed.sort(key=_place, reverse=True)
        if before is not None:
            changed = [c for c in changed if _place(c) < before]
        page, more = changed[:limit], len(changed) > limit
        deleted: list[tuple[str, int]] = []
        if since and before is None:
            gone = [c for c in found.items if not _is_visible(c) and c.changed_at > since]
            deleted = [(_shown_id(uid, c), c.channel_type) for c in gone]
        views = await self._views(uid, [(c, c.deleted_to + 1) for c in page], 1)
        # One at least, so that the walk goes on in any case.
        fitting = [view for view in views if not view.left_out] or views[:1]
        if len(fitting) < len(page):
            page, more = page[: len(fitting)], True
        return ConversationChanges(fitting, deleted, coverage, _place(page[-1]) if more else None)

    async def mark_read(self, uid: str, key: ChannelKey, *, leave_unread: int = 0) -> None:
        """Raises the position up to which a user has read to the end of a channel, or to so many messages before it."""
        last_seq = await self._store.last_seq(key)
        if leave_unread <= last_seq:
            await self._change(uid, key, read_to=last_seq - leave_unread)

    async def delete(self, uid: str, key: ChannelKey) -> None:
        """Hides a conversation until its next message, and what was said so far for good."""
        await self._change(uid, key, deleted_to=await self._store.last_seq(key), create=False)

    async def activate(self, uid: str, key: ChannelKey) -> None:
        """Shows a conversation in `list_changes` without a new message; what was deleted stays deleted."""
        await self._change(uid, key, show=True)

    async def _change(
        self,
        uid: str,
        key: ChannelKey,
        *,
        read_to: int = 0,
        deleted_to: int = 0,
        show: bool = False,
        create: bool | None = None,
    ) -> None:
        # Nobody has a conversation of a channel that he does not belong to.
        may_begin = uid in parties(key) if create is None else create
        change = ConversationChange(
            uid=uid, key=key, read_to=read_to, deleted_to=deleted_to, show=show, create=may_begin
        )
        await self._store.change_conversations([change])

    async def _active_first(self, uid: str) -> list[Conversation]:
        found = (await self._store.conversations(uid)).items
        found.sort(key=_last_said, reverse=True)
        return [c for c in found[: self._user_max] if not _is_with_system(c)]

    async def _views(self, uid: str, wanted: Sequence[tuple[Conversation, int]], count: int) -> list[ConversationView]:
        """The conversations with their newest messages from a `message_seq` on."""
        count = max(min(count, MAX_MESSAGES // max(len(wanted), 1)), 1)
        keys = [c.key for c, _ in wanted]
        wishes = [
            NewestWish(key, low, count, c.last_id)
            for key, (c, low) in zip(keys, wanted, strict=True)
            if low <= c.last_seq
        ]
        found = iter(await self._store.newest_messages(wishes, max_bytes=PAGE_BYTES))
        recents = [next(found) if low <= c.last_seq else [] for c, low in wanted]
        fitting = await self._fitting(wanted, recents)
        return [
            _view(uid, c, key, messages, left_out=place >= fitting)
            for place, ((c, _), key, messages) in enumerate(zip(wanted, keys, recents, strict=True))
        ]

    async def _fitting(self, wanted: Sequence[tuple[Conversation, int]], recents: Sequence[list[Message]]) -> int:
        """How many of these conversations had room for a message, if they have one: the first ones."""
        last = max((place for place, messages in enumerate(recents) if messages), default=-1)
        for place, (c, low) in enumerate(wanted[last + 1 :], start=last + 1):
            if c.last_id and low <= c.last_seq:
                gone = await self._store.gone_between(c.key, low, c.last_seq)
                if gone <= c.last_seq - low:
                    return place
        return len(wanted)


def _nothing(key: ChannelKey) -> Conversation:
    return Conversation(*key, ConversationState.SHOWN, 0, 0, 0, 0, 0, 0, 0, 0)


def _last_said(conversation: Conversation) -> tuple[int, int]:
    return conversation.last_id, conversation.created_at


def _active_at(conversation: Conversation) -> int:
    return moment_of(conversation.last_id) or conversation.created_at


def _place(conversation: Conversation) -> tuple[int, str, int]:
    """Where it stands in the list, the highest first."""
    return _active_at(conversation), *conversation.key


def _is_visible(conversation: Conversation) -> bool:
    if conversation.state is ConversationState.HIDDEN:
        return conversation.last_seq > conversation.deleted_to
    return conversation.state is ConversationState.SHOWN and not _is_with_system(conversation)


def _is_with_system(conversation: Conversation) -> bool:
    # Most ids do not even contain it.
    channel_id = conversation.channel_id
    return conversation.channel_type == _PERSON and SYSTEM_UID in channel_id and SYSTEM_UID in channel_id.split("@")


def _shown_id(uid: str, conversation: Conversation) -> str:
    if conversation.channel_type == _PERSON:
        return peer_of(uid, conversation.channel_id)
    return conversation.channel_id


def _lower_bound(conversation: Conversation, client: ClientState, known_seq: int) -> int:
    """The first message that a client may want."""
    if known_seq:
        low = known_seq + 1
    elif client.incremental or client.only_unread:
        low = conversation.read_to + 1
    else:
        low = 1
    return max(low, conversation.deleted_to + 1)


def _view(
    uid: str, conversation: Conversation, key: ChannelKey, recents: list[Message], *, left_out: bool
) -> ConversationView:
    unread, read_to = unread_of(uid, conversation, recents[0] if recents else None)
    return ConversationView(
        key,
        _shown_id(uid, conversation),
        unread,
        read_to,
        conversation.deleted_to,
        _active_at(conversation),
        recents,
        left_out,
    )


def unread_of(uid: str, conversation: Conversation, last: Message | None) -> tuple[int, int]:
    """How many messages are unread, and up to which `message_seq` everything is read.

    What a user has deleted is read, and so is everything up to what he has said himself. What nobody can read any more
    is not unread.
    """
    read_to = max(conversation.read_to, conversation.deleted_to)
    if last is not None and last.from_uid == uid:
        return 0, last.message_seq
    last_seq = last.message_seq if last is not None else 0
    end = max(conversation.last_seq, last_seq)
    unread = max(end - max(read_to, conversation.sent_to) - conversation.gone, 0)
    # What he has said himself may be gone, or newer than all that was read for him.
    return unread, max(read_to, min(conversation.sent_to, last_seq))

"""The conversations of users as back-ends and programs ask for them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeVar

from ..errors import InvalidArgumentError
from ..model import ChannelKey, Message
from .arguments import (
    NO_TYPE,
    any_key,
    check_id,
    check_not_blank,
    check_number,
    check_user,
    to_sequence,
    viewed_key,
)
from .conversations import NOTHING_KNOWN, ClientState, ConversationChanges, ConversationService, ConversationView

T = TypeVar("T")

MAX_CHANNELS: Final = 1000
MAX_PAGE_SIZE: Final = 500
"""Conversations of a page of `sync`."""
MAX_LISTED: Final = 200
"""Conversations of a page of `list_changes`."""
TOO_MANY: Final = f"are more than {MAX_CHANNELS:,}; ask in several calls"


class UserConversations:
    """Conversations: the channels of a user, and how far he is with each.

    `channel_id` is what he knows the channel by: in a person channel, the other one's uid. Cancelling a call that reads
    leaves nothing behind; what a cancelled call should have changed may be changed. All raise InvalidArgumentError if
    an argument is wrong, and StoreError if the store does not work.
    """

    def __init__(self, service: ConversationService) -> None:
        self._service = service

    async def sync(
        self,
        uid: str,
        msg_count: int = 1,
        *,
        client: ClientState = NOTHING_KNOWN,
        exclude_channel_types: Collection[int] = (),
        page: int = 0,
        page_size: int = 100,
    ) -> list[ConversationView]:
        """Conversations in which there is something, the most recently active first.

        Args:
            msg_count: how many of the newest messages of each. All together have 20,000 messages and 8 MiB of payloads;
                of each there is one, unless there was no room at all: see `ConversationView.left_out`.
            client: what the one who asks has already.
            exclude_channel_types: these are left out, unless `client` names the channel.
            page: from 1; 0 = all, which is `Config.conversation.user_max` at most.
            page_size: how many make a page, up to 500, before those without messages are left out.
        """
        check_user(uid)
        check_number("msg_count", msg_count)
        check_number("page", page, 0)
        check_number("page_size", page_size, 1, MAX_PAGE_SIZE)
        return await self._service.sync(
            uid, msg_count, client, excluded_types=exclude_channel_types, page=page, page_size=page_size
        )

    async def of_channels(
        self, uid: str, channels: Iterable[tuple[str, int]], msg_count: int = 15
    ) -> list[ConversationView]:
        """The conversations of these channels (channel_id, channel_type), 1000 at most, in the same order, also where
        there is none."""
        check_user(uid)
        check_number("msg_count", msg_count)
        keys = [viewed_key(uid, *channel) for channel in _some("channels", channels)]
        return await self._service.of_channels(uid, keys, msg_count)

    async def messages_from(
        self, uid: str, channels: Iterable[tuple[str, int, int]], msg_count: int = 15, *, newest: bool = False
    ) -> list[tuple[list[Message], int]]:
        """Messages of channels, 1000 at most, with each the number of the user's own newest one.

        Args:
            channels: stored channel_id, channel_type, and the first `message_seq` wanted.
            newest: the newest ones, descending; otherwise the oldest, ascending.
        """
        check_id("uid", uid)
        check_number("msg_count", msg_count)
        wanted = [(any_key(channel_id, kind), low) for channel_id, kind, low in _some("channels", channels)]
        for _, low in wanted:
            check_number("message_seq", low)
        return await self._service.messages_from(uid, wanted, msg_count, newest=newest)

    async def channels(self, uid: str) -> list[ChannelKey]:
        """The channels of all conversations, by their stored ids, the most recently active first."""
        check_user(uid)
        return await self._service.channels(uid)

    async def latest(self, uid: str) -> list[ConversationView]:
        """All conversations in which there is something, each with its last message, the most recently active first."""
        check_user(uid)
        return await self._service.latest(uid)

    async def list_changes(
        self,
        uid: str,
        *,
        since: int = 0,
        limit: int = 200,
        before: tuple[int, str, int] | None = None,
        coverage: int = 0,
    ) -> ConversationChanges:
        """A page of all conversations, or of those that have changed, with their last messages.

        Args:
            since: the `coverage` of an earlier list; 0 = all conversations.
            limit: at most so many, up to 200, and no more than have room for their last messages in 8 MiB of payloads.
            before: `next_before` of the page before this one.
            coverage: and its `coverage`.
        """
        check_user(uid)
        check_number("limit", limit, 1, MAX_LISTED)
        check_number("since", since, 0)
        check_number("coverage", coverage, 0)
        return await self._service.list_changes(uid, since=since, limit=limit, before=before, coverage=coverage)

    async def clear_unread(self, uid: str, channel_id: str, channel_type: int) -> None:
        """Marks everything in a conversation as read. Without effect if the user is not in the channel."""
        await self._service.mark_read(uid, _key(uid, channel_id, channel_type))

    async def set_unread(self, uid: str, channel_id: str, channel_type: int, unread: int) -> None:
        """Marks everything as read but so many messages. What is read stays read."""
        key = _key(uid, channel_id, channel_type)
        check_number("unread", unread, 0)
        await self._service.mark_read(uid, key, leave_unread=unread)

    async def delete(self, uid: str, channel_id: str, channel_type: int) -> None:
        """Hides a conversation until its next message. What was said so far is not shown in it again; the history
        stays."""
        await self._service.delete(uid, _key(uid, channel_id, channel_type))

    async def activate(self, uid: str, channel_id: str, channel_type: int) -> None:
        """Shows a deleted conversation in `list_changes` without a new message."""
        await self._service.activate(uid, _key(uid, channel_id, channel_type))


def _key(uid: str, channel_id: str, channel_type: int) -> ChannelKey:
    check_user(uid)
    check_not_blank("channel_id", channel_id)
    key = viewed_key(uid, channel_id, channel_type)
    if not key.channel_type:
        raise InvalidArgumentError("channel_type", NO_TYPE)
    return key


def _some(field: str, values: Iterable[T]) -> Sequence[T]:
    some = to_sequence(field, values)
    if len(some) > MAX_CHANNELS:
        raise InvalidArgumentError(field, TOO_MANY)
    return some

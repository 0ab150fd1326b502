"""The histories of channels as back-ends and programs ask for them."""

from collections.abc import Iterable
from typing import Final

from ..errors import InvalidArgumentError
from ..model import Message
from ..store.base import Page, Wanted
from .arguments import check_number, to_sequence, viewed_key, wrong_type
from .history import DEFAULT_LIMIT, PAGE_BYTES, History, PullMode

MAX_NAMED: Final = 10_000
"""Messages that one call may ask for."""
TOO_MANY: Final = f"are more than {MAX_NAMED:,}; ask in several calls"
MAX_SEQ: Final = 2**62


class ChannelHistory:
    """Stored messages: pages of a channel, and single ones.

    `channel_id` is the stored id, which `Message.channel_id` is too. For a person it may be the other one's uid
    instead; then `login_uid` is the one of the two who asks. Who is a member, banned or disbanded does not matter. An
    unknown channel has no messages. Cancelling leaves nothing behind.
    """

    def __init__(self, history: History) -> None:
        self._history = history

    async def page(
        self,
        channel_id: str,
        channel_type: int,
        *,
        login_uid: str = "",
        start_message_seq: int = 0,
        end_message_seq: int = 0,
        limit: int = DEFAULT_LIMIT,
        pull_mode: PullMode = PullMode.DOWN,
        max_bytes: int = PAGE_BYTES,
    ) -> Page:
        """A page of a history, ascending; without `start_message_seq` and `end_message_seq` the newest.

        Args:
            start_message_seq: the first number wanted, inclusive, in the direction of `pull_mode`.
            end_message_seq: where to stop, exclusive; 0 = no bound.
            limit: at most so many messages, and never more than 10,000; 0 = 100.
            pull_mode: DOWN towards older messages, UP towards newer ones.
            max_bytes: a page whose payloads would exceed it is shorter, but has a message if there is one.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: the store could not be read.
        """
        key = viewed_key(login_uid, channel_id, channel_type)
        check_number("start_message_seq", start_message_seq, 0, MAX_SEQ)
        check_number("end_message_seq", end_message_seq, 0, MAX_SEQ)
        check_number("limit", limit)
        if not isinstance(pull_mode, PullMode):
            check_number("pull_mode", pull_mode, PullMode.DOWN, PullMode.UP)
            pull_mode = PullMode(pull_mode)
        check_number("max_bytes", max_bytes, 0)
        return await self._history.page(
            key,
            start=start_message_seq,
            end=end_message_seq,
            limit=limit,
            mode=pull_mode,
            max_bytes=min(max_bytes, PAGE_BYTES),
        )

    async def find(
        self,
        channel_id: str,
        channel_type: int,
        *,
        login_uid: str = "",
        message_seqs: Iterable[int] = (),
        message_ids: Iterable[int] = (),
        client_msg_nos: Iterable[str] = (),
    ) -> Page:
        """Messages by their sequence numbers, ids and client numbers, in this order. What is not there is left out,
        and so is what has no room in 8 MiB of payloads; then `more` is true.

        Args:
            client_msg_nos: looked for among the newest 100,000 messages; of several with the same one, the newest.

        Raises:
            InvalidArgumentError: an argument is wrong, or more than 10,000 messages are asked for.
            StoreError: the store could not be read.
        """
        key = viewed_key(login_uid, channel_id, channel_type)
        wanted = Wanted(
            message_seqs=to_sequence("message_seqs", message_seqs),
            message_ids=to_sequence("message_ids", message_ids),
            client_msg_nos=[number for number in to_sequence("client_msg_nos", client_msg_nos) if number],
        )
        if len(wanted.message_seqs) + len(wanted.message_ids) + len(wanted.client_msg_nos) > MAX_NAMED:
            raise InvalidArgumentError("messages", TOO_MANY)
        _check_wanted(wanted)
        return await self._history.find(key, wanted)

    async def find_one(
        self,
        channel_id: str,
        channel_type: int,
        *,
        login_uid: str = "",
        message_id: int = 0,
        client_msg_no: str = "",
        earliest: bool = False,
    ) -> Message | None:
        """One message by its id or, if that is 0, by its client number; None if there is none.

        Args:
            earliest: of several with the same client number the earliest, not the newest.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: the store could not be read.
        """
        key = viewed_key(login_uid, channel_id, channel_type)
        if message_id:
            wanted = Wanted(message_ids=[message_id])
        elif client_msg_no:
            wanted = Wanted(client_msg_nos=[client_msg_no], earliest=earliest)
        else:
            return None
        _check_wanted(wanted)
        return await self._history.find_one(key, wanted)

    async def last(self, channel_id: str, channel_type: int, *, login_uid: str = "") -> Message | None:
        """The last message of a channel, None if it has none.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: the store could not be read.
        """
        return await self._history.last(viewed_key(login_uid, channel_id, channel_type))

    async def last_seq(self, channel_id: str, channel_type: int, *, login_uid: str = "") -> int:
        """The sequence number of the last message of a channel, 0 if it has none.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: the store could not be read.
        """
        return await self._history.last_seq(viewed_key(login_uid, channel_id, channel_type))


def _check_wanted(wanted: Wanted) -> None:
    for seq in wanted.message_seqs:
        check_number("message_seqs", seq, 0, MAX_SEQ)
    for message_id in wanted.message_ids:
        check_number("message_ids", message_id)
    for number in wanted.client_msg_nos:
        if problem := wrong_type(number, str):
            raise InvalidArgumentError("client_msg_nos", problem)

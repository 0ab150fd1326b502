"""Sends of back-ends and programs."""

from collections.abc import Awaitable, Iterable
from typing import Final, Protocol

from msgspec import structs

from ..errors import InvalidArgumentError, InvalidCommandError, WukongError
from ..model import SYNC_ONCE, ChannelType, Message, SendCommand, SendResult
from .addressing import direct_key
from .arguments import (
    EMPTY,
    check_not_blank,
    check_number,
    check_user,
    clean_uids,
    to_sequence,
    wrong_type,
)
from .command_sync import CommandSync

SENDS_AT_ONCE: Final = 512
"""Of a batch; between them others get their turn."""
DEFAULT_MISSED: Final = 200


class Sender(Protocol):
    """Sends on behalf of a back-end; implemented by the router."""

    def send(
        self, command: SendCommand, *, command_channel: bool = False, direct_to: frozenset[str] | None = None
    ) -> Awaitable[SendResult]:
        """Sends a message."""

    def send_all(
        self, commands: Iterable[SendCommand], *, command_channel: bool = False
    ) -> Awaitable[list[SendResult | WukongError]]:
        """Sends several; each has its own result, or error."""


class Batches:
    """The same message to many users."""

    def __init__(self, sender: Sender, *, payload_limit_bytes: int) -> None:
        self._sender = sender
        self._payload_limit_bytes = payload_limit_bytes

    async def send(
        self, from_uid: str, subscribers: Iterable[str], payload: bytes, *, flags: int = 0
    ) -> list[tuple[str, WukongError]]:
        """See `Server.send_batch`."""
        check_not_blank("from_uid", from_uid)
        receivers = to_sequence("subscribers", subscribers)
        if not receivers:
            raise InvalidArgumentError("subscribers", EMPTY)
        for field, value, type_ in (("payload", payload, bytes), ("flags", flags, int)):
            if problem := wrong_type(value, type_):
                raise InvalidArgumentError(field, problem)
        if len(payload) > self._payload_limit_bytes:
            raise InvalidArgumentError("payload", f"is larger than {self._payload_limit_bytes} bytes")
        failures: list[tuple[str, WukongError]] = []
        for start in range(0, len(receivers), SENDS_AT_ONCE):
            uids = [uid for uid in receivers[start : start + SENDS_AT_ONCE] if type(uid) is not str or uid.strip()]
            outcomes = await self._sender.send_all(
                [_person_message(from_uid, uid, payload, flags) for uid in uids],
                command_channel=flags & SYNC_ONCE != 0,
            )
            failures += [
                (uid, outcome) for uid, outcome in zip(uids, outcomes, strict=True) if isinstance(outcome, WukongError)
            ]
        return failures


def _person_message(from_uid: str, uid: str, payload: bytes, flags: int) -> SendCommand:
    return SendCommand(
        from_uid=from_uid, channel_id=uid, channel_type=int(ChannelType.PERSON), payload=payload, flags=flags
    )


class Commands:
    """Messages for programs, not for people: apart from the history, and not stopped by the state of a channel."""

    def __init__(self, sender: Sender, sync: CommandSync) -> None:
        self._sender = sender
        self._sync = sync

    async def send(self, command: SendCommand) -> SendResult:
        """Sends a command to the members of a channel, by its command channel. It has SYNC_ONCE, whether it says so or
        not.

        Raises:
            InvalidCommandError: a field has the wrong type or an impossible value.
            SendRefusedError: the `before_send` hook said no.
            StoreError: it could not be stored, or the server is stopping.

        If cancelled after it was handed in, it is stored and delivered nevertheless.
        """
        return await self._sender.send(_as_command(command), command_channel=True)

    async def send_to(self, subscribers: Iterable[str], command: SendCommand) -> SendResult:
        """Sends a command to exactly these users, once to each; blank uids are skipped. It is stored in a temporary
        channel that is made for the list: the same list in the same order is the same channel.

        Args:
            command: its channel does not matter, nor its `client_msg_no`.

        Raises:
            InvalidArgumentError: a uid is wrong, nobody is named, or a field of the command is wrong.
            SendRefusedError: the `before_send` hook said no.
            StoreError: it could not be stored, or the server is stopping.

        If cancelled after it was handed in, it is stored and delivered nevertheless.
        """
        uids = await clean_uids("subscribers", subscribers)
        if not uids:
            raise InvalidArgumentError("subscribers", EMPTY)
        channel_id, channel_type = direct_key(dict.fromkeys(uids))
        command = structs.replace(
            _as_command(command), channel_id=channel_id, channel_type=channel_type, client_msg_no=""
        )
        return await self._sender.send(command, direct_to=frozenset(uids))

    async def missed(self, uid: str, limit: int = 0) -> list[Message]:
        """The stored commands that a user has not acknowledged, oldest first within a channel, channels in the order of
        their oldest one. Asking again gives the same ones. Their `channel_id` is that of the command channel.

        Args:
            limit: at most so many, and never more than 10,000; 0 = 200.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: they could not be read; `acknowledge` has nothing to acknowledge then.
        """
        check_user(uid)
        check_number("limit", limit, 0)
        return await self._sync.fetch(uid, limit or DEFAULT_MISSED)

    async def acknowledge(self, uid: str) -> None:
        """A user has what `missed` gave him last; without that nothing happens.

        Raises:
            InvalidArgumentError: the uid is wrong.
            StoreError: it was not written down; it may be called again.
        """
        check_user(uid)
        await self._sync.acknowledge(uid)


def _as_command(command: SendCommand) -> SendCommand:
    if problem := wrong_type(command.flags, int):
        raise InvalidCommandError("flags", problem)
    return structs.replace(command, flags=command.flags | SYNC_ONCE)

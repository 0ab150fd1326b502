"""What travels through the router: sends and other things that have to keep their place among them.

These are Structs because one is made for every message: msgspec makes them in a fifth of the time of a class.
"""

from typing import ClassVar

import trio
from msgspec import Struct, field

from ..errors import SendRefusedError, StoreError
from ..model import NO_PERSIST, SYNC_ONCE, ChannelKey, Message, MessageEvent, ReasonCode, SendCommand, SendResult
from ..services.directory import Channel
from .registry import Receiver
from .routes import BACKEND, CLIENT, COMMAND, DIRECT, Route


class Errand(Struct, eq=False, gc=False):
    """Something to be done in its turn: after what came before it, before what comes after."""

    sender: Receiver | None
    """The session it came from, None for the server's own and back-ends'. Its messages are not sent back to it."""

    def finish(self) -> None:
        """Called by the deliver stage, synchronously. Must not raise."""
        raise NotImplementedError  # a Struct cannot be an ABC

    def abandon(self) -> None:
        """Ends it where nobody works on it any more. Must not raise."""
        self.finish()


class EventErrand(Errand, eq=False, gc=False):
    """An event of a message, for everybody of a channel who is online. It keeps its place behind that message."""

    key: ChannelKey
    event: MessageEvent
    channel: Channel | None = None
    """Found by the commit stage; None: it could not be read, and nobody gets the event."""

    def finish(self) -> None:
        pass


class Submission(Errand, eq=False, gc=False):
    """A send on its way: what is wanted, what was found out, how it ended."""

    command: SendCommand
    route: Route | None = None
    """Found before it is decided."""
    mark: int = 0
    """By which its repetition would be recognised; 0 if it has no number and so cannot be repeated."""
    message: Message | None = None
    """Set once it is accepted; for a repetition, the original. While it is being stored, a draft without its number."""
    repeated: bool = False
    """The message was delivered before; only the answer is missing."""
    reason: ReasonCode = ReasonCode.SUCCESS
    admitted: bool = False
    """The rate limit has let it pass, and does not count it again."""
    handed_in_at: float = 0.0
    """By Trio's clock, of the first of those that were handed in together; 0 for the others."""

    trusted: ClassVar[bool] = False
    """Back-ends may write anywhere that is neither banned nor disbanded."""

    @property
    def recipients(self) -> frozenset[str] | None:
        """Who receives it, if that is not for the channel to say."""
        return None

    @property
    def rights(self) -> int:
        """CLIENT, BACKEND, COMMAND or DIRECT."""
        return CLIENT

    @property
    def waits(self) -> bool:
        """Nothing has become of it yet: it is undecided, or accepted but not stored."""
        message = self.message
        if message is None:
            return self.reason is ReasonCode.SUCCESS
        return not message.message_seq and not message.flags & NO_PERSIST

    def refuse(self, reason: ReasonCode) -> None:
        """Ends it without a message."""
        self.message = None
        self.reason = reason

    def abandon(self) -> None:
        if self.waits:
            self.refuse(ReasonCode.SYSTEM_ERROR)
        self.finish()


class BackendSend(Submission, eq=False, gc=False):
    """A send of a back-end or of the embedding program, which waits for its end."""

    to_command_channel: bool = False
    direct_to: frozenset[str] | None = None
    """A command to these users; it goes to nobody else."""
    finished: trio.Event = field(default_factory=trio.Event)

    trusted: ClassVar[bool] = True

    @property
    def recipients(self) -> frozenset[str] | None:
        return self.direct_to

    @property
    def rights(self) -> int:
        if self.direct_to is not None:
            return DIRECT
        return COMMAND if self.to_command_channel and self.command.flags & SYNC_ONCE else BACKEND

    def finish(self) -> None:
        self.finished.set()

    @property
    def result(self) -> SendResult:
        """What it has become, once it is finished.

        Raises:
            StoreError: nothing; it was not stored.
            SendRefusedError: nothing; it may not be sent.
        """
        message, reason = self.message, self.reason
        if reason is ReasonCode.SYSTEM_ERROR:
            raise StoreError(
                "the message was not stored: the store or the before_send hook failed; the log says which and why. "
                "Try again later."
            )
        if message is None:
            raise SendRefusedError(int(reason), reason.wire_name, self.command.client_msg_no)
        return SendResult(
            reason_code=int(ReasonCode.SUCCESS),
            message_id=message.message_id,
            message_seq=message.message_seq,
            client_msg_no=message.client_msg_no,
            timestamp=message.timestamp,
        )

"""What travels through the router: sends and other things that have to keep their place among them."""

import trio

from ..model import SYNC_ONCE, Message, ReasonCode, SendCommand, SendResult
from ..services.directory import Channel
from .registry import Receiver


class Errand:
    """Something to be done in its turn: after what came before it, before what comes after."""

    __slots__ = ("sender",)

    def __init__(self, sender: Receiver | None = None) -> None:
        self.sender = sender
        """The session it came from, None for the server's own and back-ends'. Its messages are not sent back to it."""

    def finish(self) -> None:
        """Called by the deliver stage, synchronously. Must not raise."""
        raise NotImplementedError  # not an ABC: isinstance is asked for every message, and ABCMeta makes it slow


class Submission(Errand):
    """A send on its way: what is wanted, what was found out, how it ended."""

    __slots__ = ("channel", "command", "from_user", "message", "reason", "repeated", "target", "to_user")

    trusted = False
    """Back-ends may write anywhere that is neither banned nor disbanded."""
    to_command_channel: bool = False

    def __init__(self, command: SendCommand, sender: Receiver | None = None) -> None:
        super().__init__(sender)
        self.command = command
        self.channel: Channel | None = None
        """Whose members receive it."""
        self.target: Channel | None = None
        """Where it is stored: the channel itself, or its command channel."""
        self.from_user: Channel | None = None
        """The record of the sender; not looked up for back-ends."""
        self.to_user: Channel | None = None
        """The record of the peer in a person channel; the same."""
        self.message: Message | None = None
        """Set once it is accepted; for a repetition, the original."""
        self.repeated = False
        """The message was delivered before; only the answer is missing."""
        self.reason = ReasonCode.SUCCESS

    def refuse(self, reason: ReasonCode) -> None:
        """Ends it without a message."""
        self.message = None
        self.reason = reason

    @property
    def result(self) -> SendResult:
        """How it ended."""
        message = self.message
        if message is None:
            return SendResult(reason_code=int(self.reason), client_msg_no=self.command.client_msg_no)
        return SendResult(
            reason_code=int(ReasonCode.SUCCESS),
            message_id=message.message_id,
            message_seq=message.message_seq,
            client_msg_no=message.client_msg_no,
            timestamp=message.timestamp,
        )

    @property
    def is_command(self) -> bool:
        """A command message of a back-end: stored apart, and exempt from the channel's state."""
        return self.to_command_channel and self.command.flags & SYNC_ONCE != 0


class BackendSend(Submission):
    """A send of a back-end or of the embedding program, which waits for its end."""

    __slots__ = ("finished", "to_command_channel")

    trusted = True

    def __init__(self, command: SendCommand, *, to_command_channel: bool) -> None:
        super().__init__(command)
        self.to_command_channel = to_command_channel
        self.finished = trio.Event()

    def finish(self) -> None:
        self.finished.set()

"""Messages on their way to the online receivers: encoded once per wire form, shared by everybody who wants that form.

A `Push` is one message, a `PushRun` several of one channel that go to each receiver together.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct

from ..model import Message
from ..protocol.answers import encode_push
from ..protocol.websocket import text_frame

FORM_FRAMED: Final = 4
"""Beside the bits that say how the text is written: as a whole WebSocket frame, ready for the socket."""


class Delivery(Protocol):
    """What a session takes for writing."""

    @property
    def pushes(self) -> "Sequence[Push]":
        """The messages one by one."""

    def frame(self, form: int) -> bytes:
        """All of it in a wire form, which must be a framed one if there are several messages."""

    def wait_in(self, waiting: "dict[int, Push]") -> int:
        """Enters the stored messages by their ids; returns the bytes of their payloads."""


class Push(Struct, eq=False, gc=False):
    """One view of a message. Receivers with the same view share the object, and so the encoded frames."""

    message: Message
    channel_id: str
    """The channel as these receivers know it."""
    pushed_at: float
    """By Trio's clock."""
    red_dot: bool = True
    """Whether it may count as unread for them; the sender has no unread messages from himself."""
    frames: dict[int, bytes] = {}
    """What was encoded so far, by wire form. Emptied when everybody was served: repetitions are rare."""

    @property
    def pushes(self) -> "Sequence[Push]":
        return (self,)

    def frame(self, form: int) -> bytes:
        frame = self.frames.get(form)
        if frame is None:
            frame = self.frames[form] = self.encode(form)
        return frame

    def encode(self, form: int, *, dup: bool = False) -> bytes:
        """The bytes in a wire form, made anew; `dup` marks a repetition."""
        text = encode_push(self.message, form, self.channel_id, red_dot=self.red_dot, dup=dup)
        return text_frame(text) if form & FORM_FRAMED else text

    def wait_in(self, waiting: "dict[int, Push]") -> int:
        message = self.message
        if not message.message_seq:
            return 0
        waiting[message.message_id] = self
        return len(message.payload)


class PushRun:
    """Several messages of one channel, oldest first, in the same view."""

    __slots__ = ("_frames", "_stored", "_stored_bytes", "pushes")

    def __init__(self, pushes: Sequence[Push]) -> None:
        self.pushes = pushes
        self._frames: dict[int, bytes] = {}
        self._stored: dict[int, Push] = {}
        self._stored_bytes = sum([push.wait_in(self._stored) for push in pushes])

    def frame(self, form: int) -> bytes:
        frame = self._frames.get(form)
        if frame is None:
            frame = self._frames[form] = b"".join([push.encode(form) for push in self.pushes])
        return frame

    def wait_in(self, waiting: dict[int, Push]) -> int:
        waiting.update(self._stored)
        return self._stored_bytes

"""Messages on their way to the online receivers: encoded once per form, shared by everybody who wants that form.

A `Push` is one message, a `PushRun` several of one channel that go to each receiver together.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from ..model import Message
from ..services.traffic import ONE_MESSAGE


class Form(ABC):
    """A way of writing pushes: the speech and its dialect, and what its frames look like."""

    __slots__ = ()

    shared = True
    """The bytes are the same for all who want this form."""
    joinable = True
    """Frames may be written one behind the other in one piece."""

    @abstractmethod
    def encode(self, push: "Push", *, dup: bool = False) -> bytes:
        """A whole frame; empty if the message cannot be written in this form. `dup` marks a repetition."""


class Delivery(Protocol):
    """What a session takes for writing."""

    work: ClassVar[int]
    """As how many single pushes it counts where all is encoded already."""

    @property
    def pushes(self) -> "Sequence[Push]":
        """The messages one by one."""

    def frame(self, form: Form) -> bytes:
        """All of it in a shared form, which must be joinable if there are several messages."""

    @property
    def tally(self) -> int:
        """Its messages and their bytes, see services/traffic.py."""

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
    made: dict[object, Any] = {}
    """What was made of it so far: frames by their forms, and what forms keep for each other. Emptied when everybody was
    served: repetitions are rare."""
    tally: int = 0

    def __post_init__(self) -> None:
        self.tally = ONE_MESSAGE + len(self.message.payload)

    work: ClassVar[int] = 1

    @property
    def pushes(self) -> "Sequence[Push]":
        return (self,)

    def frame(self, form: Form) -> bytes:
        frame: bytes | None = self.made.get(form)
        if frame is None:
            frame = self.made[form] = form.encode(self)
        return frame

    def wait_in(self, waiting: "dict[int, Push]") -> int:
        message = self.message
        if not message.message_seq:
            return 0
        waiting[message.message_id] = self
        return len(message.payload)


class PushRun:
    """Several messages of one channel, oldest first, in the same view."""

    __slots__ = ("_frames", "_stored", "_stored_bytes", "pushes", "tally")

    work: ClassVar[int] = 4

    def __init__(self, pushes: Sequence[Push]) -> None:
        self.pushes = pushes
        self._frames: dict[Form, bytes] = {}
        self._stored: dict[int, Push] = {}
        self._stored_bytes = sum([push.wait_in(self._stored) for push in pushes])
        self.tally = sum([push.tally for push in pushes])

    def frame(self, form: Form) -> bytes:
        frame = self._frames.get(form)
        if frame is None:
            frame = self._frames[form] = b"".join([form.encode(push) for push in self.pushes])
        return frame

    def wait_in(self, waiting: dict[int, Push]) -> int:
        waiting.update(self._stored)
        return self._stored_bytes

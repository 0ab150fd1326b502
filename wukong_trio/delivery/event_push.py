"""Events of messages on their way to the online receivers: encoded once per form. They are not repeated."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..model import MessageEvent


class EventForm(ABC):
    """A way of writing events: the protocol, and what its frames look like."""

    __slots__ = ("joinable",)

    joinable: bool
    """Frames may be written one behind the other in one piece."""

    @abstractmethod
    def encode(self, event: MessageEvent) -> bytes:
        """A whole frame; empty if the event cannot be written in this form."""


class EventRun:
    """Events of one channel, oldest first, that go to each receiver together."""

    __slots__ = ("_frames", "events")

    def __init__(self, events: Sequence[MessageEvent]) -> None:
        self.events = events
        self._frames: dict[EventForm, Sequence[bytes]] = {}

    def frames(self, form: EventForm) -> Sequence[bytes]:
        """All of it in a form: one piece where frames can be joined."""
        frames = self._frames.get(form)
        if frames is None:
            frames = [form.encode(event) for event in self.events]
            self._frames[form] = frames = [b"".join(frames)] if form.joinable else frames
        return frames

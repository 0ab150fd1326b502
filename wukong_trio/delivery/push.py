"""A message on its way to the online receivers: encoded once per wire form, shared by everybody who wants that form."""

from ..model import Message
from ..protocol.answers import encode_push


class Push:
    """One view of a message. Receivers with the same view share the object, and so the encoded frames."""

    __slots__ = ("_frames", "_red_dot", "channel_id", "message", "pushed_at")

    def __init__(self, message: Message, channel_id: str, *, pushed_at: float, red_dot: bool = True) -> None:
        """Args:
        channel_id: the channel as these receivers know it.
        pushed_at: now, by Trio's clock.
        red_dot: whether it may count as unread for them.
        """
        self.message = message
        self.channel_id = channel_id
        self.pushed_at = pushed_at
        self._red_dot = red_dot
        self._frames: list[bytes | None] = [None, None, None, None]

    def frame(self, form: int) -> bytes:
        """The JSON text in a wire form (FORM_* bits)."""
        frame = self._frames[form]
        if frame is None:
            frame = encode_push(self.message, form, channel_id=self.channel_id, red_dot=self._red_dot)
            self._frames[form] = frame
        return frame

    def repetition(self, form: int) -> bytes:
        """The same, marked as a repetition."""
        return encode_push(self.message, form, channel_id=self.channel_id, red_dot=self._red_dot, dup=True)

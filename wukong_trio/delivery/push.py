"""A message on its way to the online receivers: encoded once per wire form, shared by everybody who wants that form."""

from msgspec import Struct

from ..model import Message
from ..protocol.answers import encode_push


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
    """What was encoded so far, by wire form."""

    def frame(self, form: int) -> bytes:
        """The JSON text in a wire form (FORM_* bits)."""
        frame = self.frames.get(form)
        if frame is None:
            frame = self.frames[form] = encode_push(self.message, form, self.channel_id, red_dot=self.red_dot)
        return frame

    def repetition(self, form: int) -> bytes:
        """The same, marked as a repetition."""
        return encode_push(self.message, form, self.channel_id, red_dot=self.red_dot, dup=True)

"""A message on its way to the online receivers: encoded once per wire form, shared by everybody who wants that form."""

from ..model import RED_DOT, ChannelType, Message
from ..protocol.answers import encode_push
from ..services.addressing import peer_of
from ..services.directory import Channel


class Push:
    """One view of a message. Receivers with the same view share the object, and so the encoded frames."""

    __slots__ = ("_channel_id", "_frames", "_red_dot", "message")

    def __init__(self, message: Message, channel_id: str, *, red_dot: bool = True) -> None:
        self.message = message
        self._channel_id = channel_id
        self._red_dot = red_dot
        self._frames: list[bytes | None] = [None, None, None, None]

    def frame(self, form: int) -> bytes:
        """The JSON text in a wire form (FORM_* bits)."""
        frame = self._frames[form]
        if frame is None:
            frame = encode_push(self.message, form, channel_id=self._channel_id, red_dot=self._red_dot)
            self._frames[form] = frame
        return frame

    def repetition(self, form: int) -> bytes:
        """The same, marked as a repetition."""
        return encode_push(self.message, form, channel_id=self._channel_id, red_dot=self._red_dot, dup=True)


def views_of(message: Message, channel: Channel) -> tuple[Push, Push]:
    """How the other members see a message, and how the sender's own other sessions do.

    In a person channel each side sees the other as the channel. Nobody has unread messages from himself.
    """
    if channel.key.channel_type == ChannelType.PERSON:
        peer = peer_of(message.from_uid, channel.key.channel_id)
        return Push(message, message.from_uid), Push(message, peer, red_dot=False)
    shown_id = channel.key.channel_id
    if channel.key.channel_type == ChannelType.AGENT:
        # Both sides see the channel as its owner has addressed it.
        shown_id = shown_id.partition("@")[2]
    theirs = Push(message, shown_id)
    return theirs, Push(message, shown_id, red_dot=False) if message.flags & RED_DOT else theirs

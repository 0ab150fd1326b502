"""A message on its way to the online receivers: encoded once per wire form, shared by everybody who wants that form."""

from ..model import RED_DOT, ChannelType, Message
from ..protocol.answers import encode_push
from ..services.addressing import peer_of
from ..services.directory import Channel


class Push:
    """One view of a message. Receivers with the same view share the object, and so the encoded frames."""

    __slots__ = ("_frames", "_red_dot", "channel_id", "message")

    def __init__(self, message: Message, channel_id: str, *, red_dot: bool = True) -> None:
        self.message = message
        self.channel_id = channel_id
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


class Views:
    """How the receivers of a message see it: the other members, and the sender's own other sessions.

    In a person channel each side sees the other as the channel. Nobody has unread messages from himself.
    """

    __slots__ = ("_channel", "_own", "theirs")

    def __init__(self, message: Message, channel: Channel) -> None:
        self._channel = channel
        self._own: Push | None = None
        shown_id = channel.key.channel_id
        if channel.key.channel_type == ChannelType.PERSON:
            shown_id = message.from_uid
        elif channel.key.channel_type == ChannelType.AGENT:
            # Both sides see the channel as its owner has addressed it.
            shown_id = shown_id.partition("@")[2]
        self.theirs = Push(message, shown_id)

    @property
    def own(self) -> Push:
        """The sender's own view; most messages never need it."""
        if self._own is None:
            message, key = self.theirs.message, self._channel.key
            if key.channel_type == ChannelType.PERSON:
                self._own = Push(message, peer_of(message.from_uid, key.channel_id), red_dot=False)
            elif message.flags & RED_DOT:
                self._own = Push(message, self.theirs.channel_id, red_dot=False)
            else:
                self._own = self.theirs
        return self._own

"""Events of messages in the forms of both protocols: one for each wire, shared by everybody."""

from typing import Final

from ..delivery.event_push import EventForm
from ..model import MessageEvent
from ..protocol.answers import encode_event
from ..protocol.wkproto import LATEST_VERSION, Event, PacketError
from ..protocol.wkproto_writer import encode
from .framing import WIRES, Wire

EVENT_VERSION: Final = 5
"""The first version of the binary protocol that has EVENT packets. Many clients of earlier ones break at them."""


class JsonEventForm(EventForm):
    """Notifications."""

    __slots__ = ("_frame",)

    def __init__(self, wire: Wire) -> None:
        self._frame = wire.frame
        self.joinable = wire.joinable

    def encode(self, event: MessageEvent) -> bytes:
        return self._frame(encode_event(event))


class PacketEventForm(EventForm):
    """EVENT packets, which are never encrypted."""

    __slots__ = ("_frame",)

    def __init__(self, wire: Wire) -> None:
        self._frame = wire.frame
        self.joinable = wire.joinable

    def encode(self, event: MessageEvent) -> bytes:
        try:
            packet = Event(event.event_id, event.type, event.timestamp, event.data)
            return self._frame(encode(packet, LATEST_VERSION))
        except PacketError:
            return b""


JSON_EVENTS: Final = {wire: JsonEventForm(wire) for wire in WIRES}
PACKET_EVENTS: Final = {wire: PacketEventForm(wire) for wire in WIRES}

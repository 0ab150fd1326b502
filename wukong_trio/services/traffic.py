"""What passes over the connections of clients, and how one of them is doing."""

from typing import Final

from msgspec import Struct

from ..model import DeviceLevel

ONE_MESSAGE: Final = 1 << 48
"""A tally counts messages and the bytes of their payloads in one number, because two would cost every session memory
and every push time: the bytes have the lower 48 bits."""


def read_tally(tally: int) -> tuple[int, int]:
    """Messages and bytes."""
    return divmod(tally, ONE_MESSAGE)


class Traffic(Struct):
    """What has passed over connections of clients since they authenticated."""

    in_msgs: int = 0
    """Messages that they have sent."""
    out_msgs: int = 0
    """Messages that were pushed to them, repetitions included."""
    in_msg_bytes: int = 0
    """Payloads of these; so is `out_msg_bytes`."""
    out_msg_bytes: int = 0
    in_packets: int = 0
    """Everything that they have sent, frames of WebSocket's own included."""
    out_packets: int = 0
    """Pushes, and answers and notices."""
    in_packet_bytes: int = 0
    """As counted by the kernel, from the first byte on; 0 where it does not count. So is `out_packet_bytes`, without
    what the client has not acknowledged."""
    out_packet_bytes: int = 0

    def add(self, other: "Traffic") -> None:
        """Adds what has passed elsewhere."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Snapshot(Struct, frozen=True, kw_only=True):
    """A session at one moment. Times are Trio's."""

    session_id: int
    uid: str
    device_flag: int
    device_id: str
    level: DeviceLevel
    remote_address: str
    version: int
    """Of the binary protocol; others say the newest that there is."""
    opened_at: float
    last_inbound: float
    """When the client last sent anything."""
    pending_bytes: int
    """What its socket did not take yet."""
    unacknowledged: int
    """Pushes that wait for being acknowledged, or repeated."""
    traffic: Traffic

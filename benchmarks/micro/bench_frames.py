"""How long the WebSocket frame reader takes for a frame, and others beside it.

python benchmarks/micro/bench_frames.py
"""

from functools import partial

from timing import show
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side
from wsproto.frame_protocol import FrameProtocol

from wukong_trio.protocol.websocket import FrameReader

FRAMES_PER_CHUNK = 16
SIZES = (30, 170, 4000)
LIMIT_BYTES = 2 * 1024 * 1024


def chunk(size: int) -> bytes:
    """What a client sends in one go."""
    return Frame(Opcode.TEXT, b"x" * size).serialize(mask=True) * FRAMES_PER_CHUNK


def read_wsproto(protocol: FrameProtocol, data: bytes) -> None:
    """The same with wsproto."""
    protocol.receive_bytes(data)
    for _ in protocol.received_frames():
        pass


def read_websockets(protocol: Protocol, data: bytes) -> None:
    """The same with websockets' core."""
    protocol.receive_data(data)
    protocol.events_received()


def main() -> None:
    """Measures and prints."""
    for size in SIZES:
        data = chunk(size)
        readers = {
            "ours": FrameReader(limit_bytes=LIMIT_BYTES).receive,
            "wsproto": partial(read_wsproto, FrameProtocol(client=False, extensions=[])),
            "websockets": partial(read_websockets, Protocol(Side.SERVER)),
        }
        for name, read in readers.items():
            show(f"frame of {size} bytes, {name}", partial(read, data), per=FRAMES_PER_CHUNK)


if __name__ == "__main__":
    main()

"""Raw exchanges with an HTTP server, and what they mean."""

from typing import NamedTuple

import trio

from wukong_trio import Server

QUIET_S = 1.5
"""A server that says nothing for so long waits for more."""
UNIMPORTANT = {"date", "connection"}
"""Headers that say the same thing in another way: whether the connection stays open is compared itself."""


class Answer(NamedTuple):
    """One answer, without what may differ."""

    status: int
    headers: dict[str, str]
    body: bytes


class Exchange(NamedTuple):
    """All that a server has to say about some bytes."""

    answers: list[Answer]
    closed: bool


async def connect(server: Server) -> trio.SocketStream:
    """A connection to the HTTP listener."""
    return await trio.open_tcp_stream("127.0.0.1", int(server.endpoints.http.rpartition(":")[2]))


async def exchange(server: Server, *parts: bytes) -> Exchange:
    """Sends bytes on a new connection, part by part, and reads until the server closes it or waits."""
    async with await connect(server) as stream:
        try:
            for part in parts:
                await stream.send_all(part)
                await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            pass
        received, closed = await _read(stream)
    return Exchange(_answers(received), closed)


async def _read(stream: trio.SocketStream) -> tuple[bytes, bool]:
    received = b""
    try:
        while True:
            with trio.move_on_after(QUIET_S) as quiet:
                data = await stream.receive_some()
            if quiet.cancelled_caught:
                return received, False
            if not data:
                return received, True
            received += data
    except trio.BrokenResourceError:
        return received, True


def _answers(received: bytes) -> list[Answer]:
    answers = []
    while received:
        head, mark, received = received.partition(b"\r\n\r\n")
        assert mark, head
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.pop("content-length", "0"))
        kept = {name: value for name, value in headers.items() if name not in UNIMPORTANT}
        answers.append(Answer(int(first.split()[1]), kept, received[:length]))
        received = received[length:]
    return answers

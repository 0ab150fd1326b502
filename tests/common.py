"""What tests of several directories need."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio
import trustme

from wukong_trio import Client, RequestError, SendCommand, Server

ENGINES = ("reference", "native", "native over TLS")
"""The ways to serve WebSockets that the suites take. Only the native engine has code of its own for TLS."""
OpenServer = Callable[..., AbstractAsyncContextManager[Server]]


def person(content: bytes = b"{}", from_uid: str = "robot", to: str = "bob") -> SendCommand:
    """A message to one user."""
    return SendCommand(from_uid=from_uid, channel_id=to, channel_type=1, payload=content)


async def reason(client: Client, channel_id: str, channel_type: int = 2) -> int:
    """The reason code of a send, 1 if it is accepted."""
    try:
        return (await client.send(channel_id, b"{}", channel_type=channel_type)).reason_code
    except RequestError as error:
        return error.reason_code


def write_certificate(directory: Path) -> trustme.CA:
    """Writes cert.pem and key.pem of a server on 127.0.0.1, and authority.pem, whom its clients have to trust."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    authority.cert_pem.write_to_path(directory / "authority.pem")
    return authority


async def stolen_cancelled() -> trio.Cancelled:
    """The exception object of a cancellation that is over."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            stolen = cancelled
            raise
    return stolen


class Turns:
    """How many turns the scheduler has given to a task that always wants one."""

    def __init__(self) -> None:
        self.count = 0


@asynccontextmanager
async def counted_turns() -> AsyncIterator[Turns]:
    """Counts the turns that others would get while the block runs."""
    turns = Turns()

    async def take() -> None:
        while True:
            turns.count += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        yield turns
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something is so."""
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await trio.sleep(0.01)


def free_port() -> int:
    """A port that nobody uses at the moment, for a process that cannot say which one it got."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def wait_listening(port: int) -> None:
    """Waits until somebody accepts connections there."""
    while True:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
        else:
            await stream.aclose()
            return

"""A server on a thread with little stack, and a client that sends 2 MiB of packets in one WebSocket message."""

import threading

import trio

from wukong_trio.protocol.wkproto import PING_BYTES, PONG_BYTES, Pong
from wukong_trio.testing import open_raw_packet_client, open_test_server

MESSAGE_BYTES = 2 * 2**20
STACK_BYTES = 512 * 1024


async def main() -> None:
    """Prints `answered` at the end."""
    with trio.fail_after(60):
        async with open_test_server() as server, open_raw_packet_client(server.endpoints.ws) as client:
            await client.connect("ann")
            await client.send_bytes(PONG_BYTES * (MESSAGE_BYTES - 1) + PING_BYTES)
            assert isinstance(await client.receive(), Pong)
    print("answered")


if __name__ == "__main__":
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    thread.join()

"""Helpers for tests of programs that embed or talk to a server.

    async with open_test_server() as server, open_raw_client(server.endpoints.ws) as ann:
        await ann.connect("ann")
        result = await ann.call("send", {...})

`open_raw_packet_client` is the same for the binary protocol, over TCP, TLS and WebSockets.

Ports are chosen by the kernel and messages are kept in memory, so tests do not get in each other's way. Nothing here
waits with a limit of its own: put `trio.fail_after` around the test.
"""

from .raw_client import RawClient as RawClient
from .raw_client import SocketClosed as SocketClosed
from .raw_client import open_raw_client as open_raw_client
from .raw_packets import RawPacketClient as RawPacketClient
from .raw_packets import open_raw_packet_client as open_raw_packet_client
from .servers import config_for_tests as config_for_tests
from .servers import open_test_server as open_test_server

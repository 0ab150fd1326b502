"""A small client: for tests, benchmarks and programs that want to chat.

    async with open_client("ws://127.0.0.1:5200", uid="ann") as ann:
        await ann.send("bob", b'{"type":1,"content":"hi"}')
        async for message in ann:
            print(message.from_uid, message.payload)

    client     the connection as a program sees it, its states, its tasks
    inbox      received messages and events that wait to be taken
    outbox     frames that wait to be written
    place      URLs, and what may be spoken there
    opening    which of the following it takes for one

    speech     what is said, whatever carries it: requests into frames, what arrives into answers and messages; no I/O
        jsonrpc, wkproto
    wire       what carries it, whatever is said
        websocket, stream

Only a speech knows the form of a frame, and only a wire how it travels.
"""

from .client import Client as Client
from .client import open_client as open_client

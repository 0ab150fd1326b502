"""A small client: for tests, benchmarks and programs that want to chat.

    async with open_client("ws://127.0.0.1:5200", uid="ann") as ann:
        await ann.send("bob", b'{"type":1,"content":"hi"}')
        async for message in ann:
            print(message.from_uid, message.payload)

    client     the connection as a program sees it, its states, its tasks
    inbox      received messages that wait to be taken
    outbox     frames that wait to be written
    jsonrpc    frames of JSON-RPC, as the official SDKs write and read them
    wire       a WebSocket over TCP or TLS, and why it could not be had

Only `jsonrpc` knows the form of a frame, and only `wire` how it travels.
"""

from .client import Client as Client
from .client import open_client as open_client

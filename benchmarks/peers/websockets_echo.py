"""A server on websockets' Trio interface to compare with: answers every request at once and stores nothing.

python benchmarks/peers/websockets_echo.py PORT
"""

import sys
from functools import partial

import msgspec
import trio
from websockets.exceptions import ConnectionClosed
from websockets.trio.server import ServerConnection, serve


class Request(msgspec.Struct):
    """As much of a request as an answer needs."""

    id: str = ""


async def answer(connection: ServerConnection) -> None:
    """One connection."""
    decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
    result = {"messageId": 1, "messageSeq": 1, "reasonCode": 1}
    try:
        async for message in connection:
            request = decode(message)
            if request.id:
                await connection.send(encode({"jsonrpc": "2.0", "id": request.id, "result": result}).decode())
    except ConnectionClosed:
        pass


trio.run(partial(serve, answer, int(sys.argv[1]), host="127.0.0.1", compression=None))

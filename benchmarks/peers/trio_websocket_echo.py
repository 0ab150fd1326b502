"""A bare trio-websocket server to compare with: answers every `send` and `connect` at once and stores nothing.

python benchmarks/peers/trio_websocket_echo.py PORT
"""

import sys

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket


class Request(msgspec.Struct):
    """As much of a request as an answer needs."""

    id: str = ""


async def serve(request: WebSocketRequest) -> None:
    """One connection."""
    decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
    websocket = await request.accept()
    try:
        while True:
            message = decode(await websocket.get_message())
            if message.id:
                answer = {
                    "jsonrpc": "2.0",
                    "id": message.id,
                    "result": {"messageId": 1, "messageSeq": 1, "reasonCode": 1},
                }
                await websocket.send_message(encode(answer).decode())
    except ConnectionClosed:
        pass


trio.run(serve_websocket, serve, "127.0.0.1", int(sys.argv[1]), None)

"""A compiled asyncio server (picows on uvloop) to compare with: answers every request at once and stores nothing.

python benchmarks/peers/picows_echo.py PORT
"""

import asyncio
import sys

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server


class Request(msgspec.Struct):
    """As much of a request as an answer needs."""

    id: str = ""


decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
RESULT = {"messageId": 1, "messageSeq": 1, "reasonCode": 1}


class Echo(WSListener):
    """One connection."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answers a message, or the closing handshake."""
        if frame.msg_type == WSMsgType.TEXT:
            request = decode(frame.get_payload_as_bytes())
            if request.id:
                answer = encode({"jsonrpc": "2.0", "id": request.id, "result": RESULT})
                transport.send(WSMsgType.TEXT, answer)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()


def listen(_request: WSUpgradeRequest) -> Echo:
    """For each connection."""
    return Echo()


async def main() -> None:
    """Serves for ever."""
    server = await ws_create_server(listen, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.install()
asyncio.run(main())

"""Takes webhooks as cheaply as Python can, and says on GET what came: requests and messages by event, as JSON.

python webhook_receiver.py PORT
"""

import asyncio
import json
import sys
from collections import Counter

import httptools

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
MESSAGE = b'"message_id":'


class Receiver(asyncio.Protocol):
    """One connection. httptools calls the methods that its documentation names."""

    def __init__(self, counts: "Counter[str]") -> None:
        self._counts = counts
        self._parser = httptools.HttpRequestParser(self)
        self._target = ""
        self._messages = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._messages = 0

    def on_url(self, url: bytes) -> None:
        self._target = url.decode()

    def on_body(self, body: bytes) -> None:
        # What two pieces share is missed: pieces are large.
        self._messages += body.count(MESSAGE)

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            body = json.dumps(self._counts).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return
        event = self._target.rpartition("event=")[2]
        self._counts[f"{event} requests"] += 1
        self._counts[f"{event} messages"] += self._messages
        self._transport.write(OK)


async def main(port: int) -> None:
    """Serves until it is killed."""
    counts: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(counts), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

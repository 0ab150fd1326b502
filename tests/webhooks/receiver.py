"""A receiver of webhooks that answers as a test wants it to."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import h11
import trio


class Request:
    """What the server has sent."""

    def __init__(self, target: str, headers: dict[str, str], body: bytes) -> None:
        self.target, self.headers, self.body = target, headers, body
        self.query = dict(parse_qsl(urlsplit(target).query))
        self.answered = 0

    @property
    def event(self) -> str:
        return self.query["event"]

    @property
    def data(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Request], Awaitable[int]]
"""Gives the status; 0 closes the connection instead."""


async def accept(_request: Request) -> int:
    return 200


def statuses(*first: int, then: int = 200) -> Answer:
    """Answers with these, one after another."""
    left = list(first)

    async def answer(_request: Request) -> int:
        return left.pop(0) if left else then

    return answer


async def hang(_request: Request) -> int:
    await trio.sleep_forever()
    raise AssertionError


class Receiver:
    """Takes requests, and remembers them in the order in which they were answered."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.arrived = 0
        self.answer: Answer = accept
        self.more_headers: list[tuple[str, str]] = []
        self.rest = b"ok"
        self.missing = 0
        """Bytes of the rest that are announced and never sent."""
        self.port = 0
        self._changed = trio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def of(self, event: str) -> list[Request]:
        """The requests of one event, refused ones included."""
        return [request for request in self.requests if request.event == event]

    def accepted(self, event: str) -> list[Any]:
        """The data of those that were accepted."""
        return [request.data for request in self.of(event) if request.answered // 100 == 2]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The records of all msg.notify that were accepted."""
        return [record for records in self.accepted("msg.notify") for record in records]

    @property
    def entries(self) -> list[str]:
        """Those of all user.onlinestatus that were accepted."""
        return [entry for entries in self.accepted("user.onlinestatus") for entry in entries]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Waits until the requests are as they should be."""
        with trio.fail_after(timeout_s):
            while not condition():
                await self._changed.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while await self._serve_one(stream, connection):
                    connection.start_next_cycle()
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
                pass

    async def _serve_one(self, stream: trio.SocketStream, connection: h11.Connection) -> bool:
        head, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        request = Request(head.target.decode(), headers, body)
        self.arrived += 1
        self._notice()
        request.answered = await self.answer(request)
        self.requests.append(request)
        self._notice()
        if not request.answered:
            return False
        answer_headers = [*self.more_headers, ("content-length", str(len(self.rest) + self.missing))]
        await stream.send_all(
            (connection.send(h11.Response(status_code=request.answered, headers=answer_headers)) or b"")
            + (connection.send(h11.Data(data=self.rest)) or b"")
        )
        if self.missing:
            await trio.sleep_forever()
        connection.send(h11.EndOfMessage())
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    def _notice(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        receiver.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, receiver.serve, [listener])
        yield receiver
        nursery.cancel_scope.cancel()

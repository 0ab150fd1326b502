"""`http`: requests over connections that stay open, one at a time on each."""

import select
import socket
from collections import deque
from itertools import cycle
from pathlib import Path
from typing import Final

import httptools
import msgspec
from msgspec import Struct

from .plan import Plan
from .scenario import Opener, Places
from .swarm import Swarm, dial, now_us, words
from .verify import Sent

_IN: Final = select.EPOLLIN
_OUT: Final = select.EPOLLOUT


class _Data(Struct):
    message_id: int | str = 0


class _Sent(Struct):
    data: _Data


_decode_sent = msgspec.json.Decoder(_Sent).decode


class HttpConnection:
    """One connection. httptools calls the methods that its documentation names."""

    def __init__(self, load: "HttpLoad", swarm: Swarm, plan: Plan) -> None:
        self._load = load
        self._swarm = swarm
        self._plan = plan
        self._sock: socket.socket | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self.due_us = 0
        """When the request under way was due, 0 if there is none."""

    def open(self, serial: int) -> None:
        """Part of `Openable`."""
        try:
            self._sock = dial(self._plan.target, self._plan.source_address(serial))
        except OSError as error:
            self._load.ended(self, words(error))
            return
        self._swarm.add(self._sock.fileno(), self, _OUT)

    def request(self, data: bytes, due_us: int) -> None:
        """Writes a request."""
        assert self._sock is not None
        self.due_us = due_us
        try:
            taken = self._sock.send(data)
        except OSError as error:
            self._end(words(error))
            return
        if taken < len(data):
            self._end("the server does not read a request")

    def on_event(self, events: int) -> None:
        """Part of `Source`."""
        assert self._sock is not None
        if events & _OUT:
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._end(words(OSError(code, "")))
                return
            self._swarm.change(self._sock.fileno(), _IN)
            self._load.opened(self)
            return
        try:
            size = self._sock.recv_into(self._swarm.buffer)
            if size:
                self._parser.feed_data(self._swarm.buffer[:size])
            else:
                self._end("closed by the server")
        except OSError as error:
            self._end(words(error))
        except httptools.HttpParserError as error:
            self._end(f"not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        """Part of httptools' protocol."""
        self._body += body

    def on_message_complete(self) -> None:
        """Part of httptools' protocol."""
        body, self._body = self._body, b""
        due_us, self.due_us = self.due_us, 0
        self._load.answered(self, due_us, self._parser.get_status_code(), body)

    def drop(self) -> None:
        """Closes it; `ended` is not called."""
        if self._sock is not None:
            self._swarm.remove(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _end(self, why: str) -> None:
        self.drop()
        self._load.ended(self, why)


class HttpLoad(Places):
    """The connections of one process."""

    def __init__(self, plan: Plan, swarm: Swarm) -> None:
        super().__init__(plan)
        self._requests = cycle(_requests(plan))
        self._sends = plan.http_path == "/message/send"
        self._ids: set[int | str] = set()
        """Of the messages that the server has accepted: none may come twice."""
        self._connections = [HttpConnection(self, swarm, plan) for _ in plan.own_members()]
        self._free: deque[HttpConnection] = deque()
        self.opener = Opener(self._connections)

    def opened(self, connection: HttpConnection) -> None:
        """A connection is there."""
        self.opener.open += 1
        self._free.append(connection)

    def ended(self, connection: HttpConnection, why: str) -> None:
        """A connection is gone, although nobody here has closed it."""
        self.books.faults.broken += 1
        self.books.note(f"a connection ended: {why}")
        if not self.opener.finished:
            self.opener.failed += 1
        elif connection in self._free:
            self._free.remove(connection)

    def answered(self, connection: HttpConnection, due_us: int, status: int, body: bytes) -> None:
        """An answer has come."""
        books, at_us = self.books, now_us()
        if not due_us:
            books.faults.answered_twice += 1
            return
        books.tick.answer_us.record(at_us - due_us)
        if status != 200:
            books.faults.refused += 1
            books.note(f"status {status}: {body[:200].decode(errors='replace')}")
        elif self._sends and not self._is_new(body):
            books.faults.doubled += 1
            books.note(f"no new message: {body[:200].decode(errors='replace')}")
        else:
            books.tick.answered += 1
        if self._schedule.take():
            self._send(connection, at_us)
        else:
            self._free.append(connection)

    def _is_new(self, body: bytes) -> bool:
        try:
            message_id = _decode_sent(body).data.message_id
        except msgspec.MsgspecError:
            return False
        if not message_id or message_id in self._ids:
            return False
        self._ids.add(message_id)
        return True

    @property
    def under_way(self) -> int:
        """Part of `Places`."""
        return sum(1 for connection in self._connections if connection.due_us)

    @property
    def free(self) -> int:
        """Part of `Places`."""
        return len(self._free)

    def make(self, due_us: int) -> None:
        """Part of `Places`."""
        self._send(self._free.popleft(), due_us)

    def _send(self, connection: HttpConnection, due_us: int) -> None:
        self.books.tick.sent += 1
        connection.request(next(self._requests), due_us)

    def finish(self, totals: dict[int, Sent]) -> None:
        """Part of `Scenario`."""
        self.books.faults.unanswered += self.under_way
        self.books.unmade += len(self._due)
        for connection in self._connections:
            connection.drop()


def _requests(plan: Plan) -> list[bytes]:
    """What is requested, in turn."""
    path = plan.target.path + plan.http_path
    if plan.bodies_file:
        return [_post(plan, path, body) for body in Path(plan.bodies_file).read_bytes().splitlines() if body]
    if plan.http_path != "/message/send":
        return [f"GET {path} HTTP/1.1\r\nHost: {plan.target.netloc}\r\n{_token(plan)}\r\n".encode()]
    message = {
        "header": {"red_dot": 1},
        "from_uid": plan.uid(0),
        "channel_id": plan.uid(1),
        "channel_type": 1,
        "payload": b"x" * plan.payload_bytes,
    }
    return [_post(plan, path, msgspec.json.encode(message))]


def _post(plan: Plan, path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: {plan.target.netloc}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{_token(plan)}\r\n".encode() + body


def _token(plan: Plan) -> str:
    """A header, if the server wants it."""
    return f"token: {plan.manager_token}\r\n" if plan.manager_token else ""

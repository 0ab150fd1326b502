"""The native HTTP engine: one task per connection on a raw socket, nothing else per connection or request.

A request that needs no waiting is read, answered and written without giving way to other tasks. What the native engine
does not answer goes to the reference, connection and all (`http_parser`), which is loaded when that happens first.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from importlib import import_module
from itertools import chain
from logging import getLogger
from typing import TYPE_CHECKING, Final

import trio

from ..config import Address
from ..net import API_SPARE, accept_connections
from ..supervision import supervise
from . import time_limits
from .http_answers import AnswerWriter
from .http_parser import HandOver, Refusal, Request, RequestReader
from .room import close_idle
from .table import ApiTable, HttpAnswer

if TYPE_CHECKING:
    from .quart_app import QuartEngine

log = getLogger(__name__)

RECEIVE_BYTES: Final = 64 * 1024
HEAD_RECEIVE_BYTES: Final = 16 * 1024
"""Less is received while no head is complete: until then nothing is known of the client."""
UNSENT_BYTES: Final = 64 * 1024
"""Up to this size answers to pipelined requests are collected, and a long answer is copied behind its head."""
TICK_S: Final = 1.0
"""How exact time limits are. A timer for each connection would cost more than answering."""
_NEVER: Final = float("inf")


class NativeEngine:
    """The connections of one server."""

    def __init__(self, table: ApiTable) -> None:
        self.table = table
        self.paths = frozenset(path.encode() for _, path in table.routes)
        self.writer = AnswerWriter()
        self.now = 0.0
        """Trio's clock, at most TICK_S old."""
        self.stopping = False
        self._connections: dict[_Connection, None] = {}
        """In the order in which they came."""
        self._changed = trio.Event()
        self._reference: QuartEngine | None = None
        self._loading = trio.Lock()

    async def accept(self, sockets: Sequence[socket.socket], connections: trio.Nursery) -> None:
        """Accepts until cancelled."""

        def take(sock: socket.socket, address: tuple[str, int]) -> None:
            connections.start_soon(self._serve, sock, str(Address(*address[:2])), name="HTTP connection")

        self._tick()
        connections.start_soon(supervise, "the clock of HTTP connections", self._watch)
        async with trio.open_nursery() as nursery:
            for sock in sockets:
                nursery.start_soon(
                    partial(accept_connections, sock, take, spare_descriptors=API_SPARE, make_room=self._make_room)
                )

    def _make_room(self) -> bool:
        handed_over = self._reference.conversations if self._reference is not None else ()
        return close_idle(chain(self._connections, handed_over))

    async def _watch(self) -> None:
        """Ends the connections that keep the server waiting for too long, until cancelled."""
        while True:
            await trio.sleep(TICK_S)
            self._tick()
            for connection in self._connections:
                if connection.due <= self.now:
                    connection.close()

    def _tick(self) -> None:
        self.now = trio.current_time()
        self.writer.set_date()

    async def _serve(self, sock: socket.socket, peer: str) -> None:
        """One connection, closed at the end. An error in it ends here, in one log line."""
        connection = _Connection(self, sock, peer)
        self._connections[connection] = None
        try:
            outcome = await connection.run()
            if outcome is not None:
                await self._hand_over(sock, outcome.unread)
        except (OSError, trio.ClosedResourceError):
            pass  # the client is gone, or was closed
        except Exception:
            log.exception("an HTTP connection was dropped")
        finally:
            connection.close()
            del self._connections[connection]
            self._changed.set()

    async def _hand_over(self, sock: socket.socket, unread: bytes) -> None:
        reference = await self._load_reference()
        await reference.serve(sock, unread)

    async def _load_reference(self) -> "QuartEngine":
        # Importing Quart takes half a second and a dozen megabytes. Most servers never need it, so it waits for the
        # first hand-over; and it happens in a thread, because chat must not stand still for so long.
        async with self._loading:
            if self._reference is None:
                await trio.to_thread.run_sync(partial(import_module, ".quart_app", __package__))
                from .quart_app import QuartEngine

                self._reference = QuartEngine(self.table)
                if self.stopping:
                    await self._reference.stop()
        return self._reference

    async def finish(self) -> None:
        """Closes the connections for which nothing is at work, and the others after their answer; returns when none is
        left.
        """
        self.stopping = True
        for connection in self._connections:
            if not connection.at_work:
                connection.close()
        if self._reference is not None:
            await self._reference.stop()
        while self._connections:
            self._changed = trio.Event()
            await self._changed.wait()

    def abort(self) -> None:
        """Closes what is still open."""
        for connection in self._connections:
            connection.close()


class _Connection:
    """One client, from the first byte to the last or to the hand-over."""

    __slots__ = (
        "_answers",
        "_answers_bytes",
        "_engine",
        "_held_bytes",
        "_in_head",
        "_keep_alive",
        "_peer",
        "_reader",
        "_sock",
        "due",
    )

    def __init__(self, engine: NativeEngine, sock: socket.socket, peer: str) -> None:
        table = engine.table
        self._engine = engine
        self._sock = sock
        self._peer = peer
        self._reader = RequestReader(engine.paths, table.admit, table.bodies, peer)
        self._answers: list[bytes] = []
        self._answers_bytes = 0
        self._held_bytes = 0
        """What the budget of answers counts for the last one."""
        self._keep_alive = True
        self._in_head = False
        self.due = engine.now + time_limits.KEEP_ALIVE_S
        """When the client will have kept the server waiting for too long; never, while the server is at work."""

    @property
    def at_work(self) -> bool:
        """A request is answered, or the answer is on its way. Half a request is nothing that anybody waits for."""
        return self.due == _NEVER

    @property
    def idle_since(self) -> float:
        """When the client was last heard of, or its head began; infinite while the server is at work, and once this is
        closed.
        """
        if self._sock.fileno() < 0:
            return _NEVER
        if self._in_head:
            return self.due - time_limits.HEAD_S
        return self.due - (time_limits.BODY_PAUSE_S if self._reader.reading_body else time_limits.KEEP_ALIVE_S)

    def close(self) -> None:
        """Closes the socket; whoever waits for it gets a ClosedResourceError."""
        self._reader.release()
        self._release_answer()
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    async def run(self) -> HandOver | None:
        """Serves until the connection has to be closed, or handed over.

        Raises:
            OSError: the client is gone, or takes nothing.
            trio.ClosedResourceError: `close` was called.
        """
        while self._keep_alive:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(RECEIVE_BYTES if self._reader.reading_body else HEAD_RECEIVE_BYTES)
            except BlockingIOError:
                continue
            if data:
                self._reader.receive(data)
                outcome = await self._answer_requests()
            elif self._reader.between_requests:
                return None
            else:
                outcome = Refusal(400)
            if isinstance(outcome, HandOver):
                self.due = _NEVER
                return outcome
            if outcome is not None:
                await self._refuse(outcome)
        await self._part()
        return None

    async def _answer_requests(self) -> HandOver | Refusal | None:
        """Answers everything that has come completely; returns what is beyond it."""
        table, encode, progress = self._engine.table, self._engine.writer.encode, False
        while isinstance(taken := self._reader.take(), Request):
            (head, keep_alive, _), body, refused = taken
            if self._answers and table.waits(head, body):
                # No answer waits for the work on the next one.
                await self._flush()
            answer = refused if refused is not None else table.answer(head, body)
            if not isinstance(answer, HttpAnswer):
                self.due = _NEVER
                answer = await answer
            table.count(head.path, answer.status)
            self._keep_alive = keep_alive and not answer.close and not self._engine.stopping
            if answer.held_bytes:
                await self._write_long(answer)
            else:
                self._queue(encode(answer, keep_alive=self._keep_alive))
            if not self._keep_alive:
                taken = None
                break
            if self._answers_bytes > UNSENT_BYTES:
                await self._flush()
                await self._give_way()
            progress = True
        if self._answers:
            await self._flush()
        self._look_ahead(progress)
        return taken

    async def _give_way(self) -> None:
        """Many requests at once must not keep everybody else waiting."""
        self.due = _NEVER
        await trio.lowlevel.checkpoint()

    def _look_ahead(self, progress: bool) -> None:
        """Decides what may come next, and how long the client may take for it."""
        now = self._engine.now
        if self._reader.between_requests:
            self._in_head = False
            self._keep_alive = self._keep_alive and not self._engine.stopping
            self.due = now + time_limits.KEEP_ALIVE_S
        elif self._reader.reading_body:
            self._in_head = False
            self.due = now + time_limits.BODY_PAUSE_S
        elif progress or not self._in_head:
            # Later bytes of the same head do not prolong it.
            self._in_head = True
            self.due = now + time_limits.HEAD_S

    async def _write_long(self, answer: HttpAnswer) -> None:
        """Sends an answer that the budget counts, without making another copy of it unless that is cheaper."""
        self._held_bytes = answer.held_bytes
        self._queue(self._engine.writer.encode(answer, keep_alive=self._keep_alive, with_body=False))
        if len(answer.body) > UNSENT_BYTES:
            await self._flush()
        self._queue(answer.body)
        await self._flush()
        self._release_answer()

    def _release_answer(self) -> None:
        self._engine.table.answers.give_back(self._held_bytes)
        self._held_bytes = 0

    def _queue(self, data: bytes) -> None:
        self._answers.append(data)
        self._answers_bytes += len(data)

    async def _flush(self) -> None:
        """Sends what is answered; waits only if the socket does not take it at once."""
        data = self._answers[0] if len(self._answers) == 1 else b"".join(self._answers)
        self._answers.clear()
        self._answers_bytes = 0
        sent = self._send(data)
        if sent < len(data):
            self.due = _NEVER
            await self._drain(memoryview(data)[sent:])

    def _send(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def _drain(self, unsent: memoryview) -> None:
        while unsent:
            with trio.move_on_after(time_limits.STALLED_S) as stalled:
                await trio.lowlevel.wait_writable(self._sock)
            if stalled.cancelled_caught:
                raise TimeoutError("the client takes nothing")
            unsent = unsent[self._send(unsent) :]

    async def _refuse(self, refusal: Refusal) -> None:
        """Says why, as the last thing on this connection."""
        self._keep_alive = False
        table, writer = self._engine.table, self._engine.writer
        head_is_known = self._reader.reading_body or refusal.limit_bytes
        table.count(self._reader.path if head_is_known else "", refusal.http_status)
        if refusal.is_tls:
            table.journal.spoke_tls(self._peer)
        if refusal.http_status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            self._queue(writer.encode(table.too_large(refusal.limit_bytes), keep_alive=False))
        elif refusal.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._queue(writer.encode(table.too_busy(), keep_alive=False))
        else:
            self._queue(writer.refusal(refusal.http_status))
        self._reader.release()
        await self._flush()

    async def _part(self) -> None:
        """Ends our side. Closing while the client sends would destroy the answer on its way, so that is ignored for a
        while.
        """
        self.due = _NEVER
        self._sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(time_limits.LINGER_S):
            while True:
                await trio.lowlevel.wait_readable(self._sock)
                with suppress(BlockingIOError):
                    if not self._sock.recv(RECEIVE_BYTES):
                        return

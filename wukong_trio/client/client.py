"""The connection as a program sees it.

    CONNECTING ──answer to connect──► OPEN ──► CLOSED
         └────────────────────────────────────►┘

Three tasks work for it: one reads, one writes, one pings. Whatever ends the connection, a close frame, a notice, a
silent server, the end of the block, comes to `_finish`, which nobody outlasts: every call that waits and every later
one raises `ConnectionClosed`.
"""

import enum
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import trio

from ..errors import ConnectionClosed, RequestError
from ..groups import single_error
from ..model import NO_PERSIST, RED_DOT, SYNC_ONCE, ChannelType, Message, MessageEvent, SendCommand, SendResult
from .inbox import Inbox
from .opening import choose_speech, run_wire
from .outbox import Outbox
from .place import Protocol, read_url
from .speech import Answer, Login, Push, Request, Speech
from .wire import CLOSE_TIMEOUT_S, Wire

PING_INTERVAL_S = 25.0
PING_TIMEOUT_S = 10.0


class State(enum.Enum):
    """Where a client is in its life."""

    CONNECTING = "connecting"
    """Its `connect` has not been answered."""
    OPEN = "open"
    CLOSED = "closed"


class _Waiting:
    """A request without an answer, and before that without a frame."""

    def __init__(self, make: Callable[[], Request]) -> None:
        self.make = make
        self.key: Hashable = None
        self.over = trio.Event()
        self.answer: Answer | None = None


class Client:
    """An authenticated connection. Get one from `open_client`.

    Iterating gives the received messages as `Message`s, with `channel_id` as this user sees it: for persons the peer's
    uid. A message is acknowledged when it arrives, before it is taken. Up to 16,384 messages or 32 MiB wait to be
    taken; beyond that the oldest are given up, and the iteration raises `MessagesMissed` once. It can be begun again
    after that. Sends, pings and acknowledgements go on whether or not anybody iterates.

    When the connection is over, the iteration gives what had arrived and then raises `ConnectionClosed`, as every
    other call does at once.
    """

    def __init__(self, wire: Wire, speech: Speech, uid: str) -> None:
        self.uid = uid
        self._wire = wire
        self._speech = speech
        self._state = State.CONNECTING
        self._closed: ConnectionClosed | None = None
        self._waiting: dict[Hashable, _Waiting] = {}
        self._messages = Inbox[Message](lambda message: len(message.payload))
        self._events = Inbox[MessageEvent](lambda event: len(event.data))
        self._outbox = Outbox()
        self._working = trio.CancelScope()

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self._state

    async def send(
        self,
        channel_id: str,
        payload: bytes,
        *,
        channel_type: int = ChannelType.PERSON,
        client_msg_no: str = "",
        red_dot: bool = True,
        no_persist: bool = False,
        sync_once: bool = False,
        topic: str = "",
    ) -> SendResult:
        """Sends a message. If cancelled, it may have been sent.

        Args:
            channel_id: for persons the peer's uid, otherwise the id of the channel.
            payload: any bytes, by convention a JSON object with an integer `type`.
            client_msg_no: repeating a send with the same number and payload has no effect; by default a new UUID.

        Returns:
            Where the message stands. WKProto tells no moment of acceptance: `timestamp` is 0.

        Raises:
            RequestError: the server refused it, or it fits into no packet of WKProto, where `code` is the one that
                JSON-RPC has for the same `reason_code`.
            ConnectionClosed: the connection ended before the answer. The message may have been sent.
        """
        command = SendCommand(
            from_uid=self.uid,
            channel_id=channel_id,
            channel_type=int(channel_type),
            payload=payload,
            client_msg_no=client_msg_no or str(uuid.uuid4()),
            flags=red_dot * RED_DOT | no_persist * NO_PERSIST | sync_once * SYNC_ONCE,
            topic=topic,
        )
        return self._speech.sent(command, await self._ask(partial(self._speech.send, command)))

    async def ping(self) -> None:
        """Asks the server for a sign of life.

        Raises:
            ConnectionClosed: there was none, the connection has ended.
        """
        await self._ask(self._speech.ping)

    async def request(self, method: str, params: dict[str, object]) -> dict[str, Any]:
        """Sends any request of JSON-RPC and returns its result. If cancelled, it may have been sent.

        Raises:
            ConfigError: the client speaks WKProto.
            RequestError: the server refused it.
            ConnectionClosed: the connection is over, or ended before the answer.
        """
        result: dict[str, Any] = await self._ask(partial(self._speech.request, method, params))
        return result

    def __aiter__(self) -> "Client":
        return self

    async def __anext__(self) -> Message:
        return await self._messages.__anext__()

    @property
    def events(self) -> AsyncIterator[MessageEvent]:
        """What happens to messages after they were sent, the pieces of an AI's answer for example. Iterating gives one
        event after the other, beside the iteration over messages and by the same rules. A message comes before its
        events."""
        return self._events

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed.again()

    async def _connect(self, login: Login) -> None:
        await self._ask(partial(self._speech.connect, login))
        if self._state is State.CONNECTING:  # The end may have come with the answer.
            self._state = State.OPEN

    async def _ask(self, make: Callable[[], Request]) -> Any:
        """Makes a request when there is room for it, and returns the result of the answer."""
        self._check_open()
        waiting = _Waiting(make)
        try:
            await self._outbox.put(partial(self._enter, waiting))
            self._check_open()
            await waiting.over.wait()
        finally:
            self._waiting.pop(waiting.key, None)
        answer = waiting.answer
        if answer is None:
            self._check_open()
            raise AssertionError("an open connection answers")
        if answer.error is not None:
            raise answer.error
        return answer.result

    def _enter(self, waiting: _Waiting) -> bytes:
        """Makes the frame of a request and waits for its answer from here on."""
        waiting.key, frame = waiting.make()
        self._waiting[waiting.key] = waiting
        return frame

    async def _work(self) -> None:
        """Reads, writes and pings until the connection is over, and closes it."""
        try:
            with self._working:
                async with trio.open_nursery() as nursery:
                    for task in (self._read, self._write, self._keep_alive):
                        nursery.start_soon(self._until_closed, task)
        finally:
            self._finish(ConnectionClosed(1006, "the client was cancelled"))
            await self._wire.aclose()

    async def _leave(self) -> None:
        """Ends it from this side. Acknowledgements go out before, or the server would repeat those messages."""
        with trio.move_on_after(CLOSE_TIMEOUT_S):
            await self._outbox.drain()
        self._finish(ConnectionClosed(1000, "the block of open_client has ended"))

    async def _until_closed(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except ConnectionClosed as closed:
            self._finish(closed)

    def _finish(self, closed: ConnectionClosed) -> None:
        """The one end of everything; only the first reason counts."""
        if self._state is State.CLOSED:
            return
        self._state, self._closed = State.CLOSED, closed
        self._working.cancel()
        self._outbox.close()
        self._messages.close(closed)
        self._events.close(closed)
        for waiting in self._waiting.values():
            waiting.over.set()

    async def _read(self) -> None:
        while True:
            for incoming in self._speech.read(await self._wire.read()):
                match incoming:
                    case Push(message, receipt):
                        if not self._outbox.put_receipt(receipt):
                            raise ConnectionClosed(1006, "the server does not read what it is sent")
                        self._messages.put(message)
                    case MessageEvent():
                        self._events.put(incoming)
                    case Answer(key) if key in self._waiting:
                        self._waiting[key].answer = incoming
                        self._waiting[key].over.set()

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.take()
            await self._wire.write(frame)
            self._outbox.written(frame)

    async def _keep_alive(self) -> None:
        """Pings now and then; a server that does not answer is given up."""
        while True:
            await trio.sleep(PING_INTERVAL_S)
            with trio.move_on_after(PING_TIMEOUT_S) as patience, suppress(RequestError):
                await self.ping()
            if patience.cancelled_caught:
                raise ConnectionClosed(1006, "the server does not answer pings")


@asynccontextmanager
async def open_client(
    url: str,
    *,
    uid: str,
    token: str = "",
    device_flag: int = 0,
    device_id: str = "",
    protocol: Protocol | None = None,
    encryption: bool = True,
    ssl_context: ssl.SSLContext | None = None,
    connect_timeout_s: float = 10.0,
) -> AsyncIterator[Client]:
    """Connects and authenticates; leaving the block closes the connection.

    Args:
        url: where the server listens, for example `ws://127.0.0.1:5200` or `tcp://127.0.0.1:5100`; with TLS `wss://` or
            `tls://`.
        device_id: tells devices of a user apart; by default a new one each time.
        protocol: `jsonrpc` or `wkproto`, the binary protocol; by default `jsonrpc` for WebSockets. The others carry
            WKProto only.
        encryption: whether WKProto encrypts payloads. The server must want the same. JSON-RPC never does.
        ssl_context: for `wss` and `tls` URLs, instead of the default trust.
        connect_timeout_s: for all of TCP, TLS, WebSocket and authentication together.

    Raises:
        ConfigError: the URL names no server, or the protocol is not spoken there.
        RequestError: the server did not accept the uid or token.
        ConnectionClosed: there is no server, or it ended the connection. The code is 1015 if TLS could not be had, for
            example because the certificate is not trusted; 1002 if the server does not encrypt and was to. Without a
            WebSocket there are no close codes: what ends without a notice is 1006.
    """
    place = read_url(url)
    speech = choose_speech(place, protocol, encryption=encryption)
    steps: list[str] = []
    with single_error():
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(connect_timeout_s) as patience:
                wire = await nursery.start(run_wire, place, speech.text, ssl_context, steps)
                client = Client(wire, speech, uid)
                steps.append("the server does not answer connect")
                nursery.start_soon(client._work)
                await client._connect(Login(uid, token, device_flag, device_id))
            if patience.cancelled_caught:
                raise place.closed(f"{steps[-1]} ({connect_timeout_s:g} s)")
            yield client
            await client._leave()

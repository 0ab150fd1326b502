"""Streams of Trio, where there is no epoll for the shared reader: the connection's task reads, another writes."""

import trio

from .connection import errors_end_here, run_connection
from .gateway import Gateway
from .native import NativeTransport
from .pipes import Pipe, StreamPipe
from .proxied import ProxyHeader
from .transport import DisconnectedError, Served
from .writer import Writer


class StreamTransport(NativeTransport):
    """A connection on a Trio stream."""

    __slots__ = ("_resumed", "_stream_pipe", "writer")

    def __init__(self, gateway: Gateway, stream: trio.abc.Stream, remote_address: str, *, bare: bool = False) -> None:
        super().__init__(gateway, remote_address, bare=bare)
        self._stream_pipe = StreamPipe(stream)
        self.writer = Writer(self._outbox, self._stream_pipe.send_all, timeout_s=self.limits.write_timeout_s)
        self._resumed = trio.Event()

    @property
    def _pipe(self) -> Pipe:
        return self._stream_pipe

    def carried_bytes(self) -> tuple[int, int]:
        return self._stream_pipe.carried_bytes()

    async def carry(self, session: Served) -> None:
        errands = self._begin(session)
        while True:
            if errands:
                # Outside the scope: what came before the end counts, and a client may send and leave in one breath.
                await self._gateway.router.submit(errands)
                errands = []
            if self.closing is not None:
                return
            if self.over:
                raise DisconnectedError(self.over)
            with self.awaiting():
                while session.in_flight >= self.limits.sends_in_flight:
                    self._resumed = trio.Event()
                    await self._resumed.wait()
                if self.unserved:
                    # Not faster than the answers go out.
                    await self.writer.written()
                    await trio.lowlevel.checkpoint()
                    self.go_on(errands)
                else:
                    self.feed(await self._pipe.receive(self._chunk_bytes), trio.current_time(), errands)
            self._flushes.flush()

    def resume(self) -> None:
        self._resumed.set()

    def flush(self) -> None:
        self._flush_through(self.writer)

    def check_writing(self, now: float) -> float | None:
        return self.writer.check(now)

    async def write(self) -> None:
        """Writes until cancelled; a task beside the connection's."""
        try:
            await self.writer.run()
        except trio.TooSlowError:
            self._cut_off()
            await self._pipe.aclose()

    async def _write_out(self, pipe: Pipe) -> None:
        self.flush()
        await self.writer.written()


async def serve_stream(
    gateway: Gateway,
    stream: trio.abc.Stream,
    remote_address: str,
    proxy_header: ProxyHeader | None = None,
    *,
    bare: bool = False,
) -> None:
    """Serves a client on a connected stream; returns when the stream is closed."""
    transport = StreamTransport(gateway, stream, remote_address, bare=bare)
    transport.proxy_header = proxy_header
    with errors_end_here(remote_address):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.write)
            await run_connection(gateway, transport)
            nursery.cancel_scope.cancel()

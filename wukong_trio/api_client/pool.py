"""The connections of a client, which outlast calls that are cancelled.

Where a call is cancelled at certain moments, httpcore 1.0 keeps its connection as one in use, for ever; in the end
nobody gets one. So after some cancelled calls all connections are replaced, and the old ones closed when the calls on
them have ended.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Self

import httpx


class _Connections:
    """Those that are used together."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self.transport = transport
        self.calls = 0
        """Under way."""
        self.cancelled = 0
        """Calls that were."""


class Pool:
    """Sends requests over connections that are used again."""

    def __init__(self, connect: Callable[[], httpx.AsyncBaseTransport], *, most_cancelled: int) -> None:
        """
        Args:
            connect: makes a transport, which has no connections yet.
            most_cancelled: after so many cancelled calls there is a new one.
        """
        self._connect = connect
        self._most_cancelled = most_cancelled
        self._current = _Connections(connect())
        self._old: set[_Connections] = set()

    async def send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer to a request.

        Raises:
            httpx.HTTPError: there is none.
        """
        used = self._current
        used.calls += 1
        try:
            return await _exchange(used.transport, request)
        except Exception:
            raise
        except BaseException:
            self._note_cancelled(used)
            raise
        finally:
            used.calls -= 1
            if used in self._old and not used.calls:
                self._old.discard(used)
                with suppress(Exception):
                    await used.transport.aclose()

    def _note_cancelled(self, used: _Connections) -> None:
        used.cancelled += 1
        if used is self._current and used.cancelled >= self._most_cancelled:
            self._old.add(used)
            self._current = _Connections(self._connect())

    async def aclose(self) -> None:
        """Closes all connections."""
        for connections in (*self._old, self._current):
            await connections.transport.aclose()


class _Body(httpx.AsyncByteStream):
    """A body that leaves nothing to be cleaned up where sending it is cancelled, as the generators of httpx do."""

    def __init__(self, content: bytes) -> None:
        self._parts = iter((content,))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    request.stream = _Body(request.content)
    answer = await transport.handle_async_request(request)
    try:
        await answer.aread()
    finally:
        await answer.aclose()
    return answer

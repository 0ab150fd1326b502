"""`/metrics`: what is known about the server, for Prometheus.

The figures are taken on the event loop, where they are counted, in slices. They become text in a thread, together with
what the kernel says about the process. The library that writes it is imported at the first scrape, in that thread: it
takes some 20 ms, and most servers are never asked.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Final

import trio

from ..counting import Figure, Kind

if TYPE_CHECKING:
    from .prometheus import Exposition

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The content type."""


class Metrics:
    """One server's metrics."""

    def __init__(self, read: Callable[[], Awaitable[list[Figure]]], requests: Counter[tuple[str, int]]) -> None:
        """Args:
        read: gives the figures of all but the API.
        requests: answers by path and status.
        """
        self._read = read
        self._requests = requests
        self._scraping = trio.Lock()
        self._exposition: Exposition | None = None

    async def scrape(self) -> bytes:
        """The text; one at a time, however many ask."""
        async with self._scraping:
            figures = [*await self._read(), *self._own()]
            return await trio.to_thread.run_sync(self._render, figures)

    def _own(self) -> Iterator[Figure]:
        values = [((path, str(status)), count) for (path, status), count in sorted(self._requests.items())]
        meaning = "Requests to the HTTP API, by path (other: none of ours) and status."
        yield Figure("wukong_http_requests", Kind.COUNTER, meaning, ("path", "status"), values)

    def _render(self, figures: list[Figure]) -> bytes:
        if self._exposition is None:
            from .prometheus import Exposition

            self._exposition = Exposition()
        return self._exposition.render(figures)

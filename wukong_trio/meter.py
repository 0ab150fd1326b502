"""Reads what the parts of a server have counted. They know nothing of it; nothing is counted twice for it.

Which figures there are is said in figures.py.
"""

from collections.abc import Callable, Mapping
from typing import Final

import trio

from .counting import Figure, Histogram, Kind
from .delivery.crowd import Crowd, ask_everybody
from .delivery.registry import SessionRegistry
from .lag import LagMeter
from .services.traffic import Traffic
from .store.base import Store

PREFIX: Final = "wukong_"
SIZES_S: Final = 1.0
"""How long the sizes of files may take; a disk that hangs must not hide everything else."""


class Meter:
    """One server's figures: names, and where to read them when somebody asks."""

    def __init__(self, registry: SessionRegistry, past_traffic: Traffic, store: Store, lag: LagMeter) -> None:
        self._registry = registry
        self._past_traffic = past_traffic
        self._store = store
        self._lag = lag
        self._looking = trio.CapacityLimiter(1)
        self._figures: list[Callable[[], Figure]] = []
        self.crowd = Crowd()
        """All sessions, as of this reading."""
        self.sizes: Mapping[str, int] = {}
        """Of the store's files, likewise; empty: they could not be had in time."""

    def counter(self, name: str, meaning: str, read: Callable[[], float], *, prefix: str = PREFIX) -> None:
        """One more figure that only grows, from 0 at the start.

        Args:
            name: without what all names end in that are counters.
            meaning: for people, with the unit if there is one.
            read: called when somebody asks. It must neither wait nor raise, and so in all of these.
        """
        self._add(prefix + name, Kind.COUNTER, meaning, read)

    def gauge(self, name: str, meaning: str, read: Callable[[], float], *, prefix: str = PREFIX) -> None:
        """One more that goes up and down."""
        self._add(prefix + name, Kind.GAUGE, meaning, read)

    def histogram(self, name: str, meaning: str, counted: Histogram) -> None:
        """One more distribution."""
        # Whoever shows it takes his time.
        self._add(PREFIX + name, Kind.HISTOGRAM, meaning, counted.copy)

    def counters(self, name: str, label: str, meaning: str, read: Callable[[], Mapping[str, float]]) -> None:
        """One more counter with a value for each of a few things, told apart by what the label says. Strangers must
        not be able to name new ones.
        """
        self._add_several(name, Kind.COUNTER, label, meaning, read)

    def gauges(self, name: str, label: str, meaning: str, read: Callable[[], Mapping[str, float]]) -> None:
        """The same for what goes up and down."""
        self._add_several(name, Kind.GAUGE, label, meaning, read)

    def _add_several(
        self, name: str, kind: Kind, label: str, meaning: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        def figure() -> Figure:
            return Figure(PREFIX + name, kind, meaning, (label,), [((said,), value) for said, value in read().items()])

        self._figures.append(figure)

    def _add(self, name: str, kind: Kind, meaning: str, read: Callable[[], float | Histogram]) -> None:
        self._figures.append(lambda: Figure(name, kind, meaning, (), [((), read())]))

    async def read(self) -> list[Figure]:
        """All figures, as they are when this returns; only what needs every session asked is a little older."""
        self._lag.want()
        self.sizes = await self._file_sizes()
        self.crowd = await ask_everybody(self._registry, self._past_traffic)
        return [figure() for figure in self._figures]

    async def _file_sizes(self) -> Mapping[str, int]:
        with trio.move_on_after(SIZES_S):
            return await trio.to_thread.run_sync(self._store.size_bytes, limiter=self._looking, abandon_on_cancel=True)
        return {}

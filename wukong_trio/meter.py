"""Reads what the parts of a server have counted. They know nothing of it; nothing is counted twice for it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import trio

from .counting import Figure, Histogram, Kind
from .delivery.events import Events
from .delivery.registry import SessionRegistry
from .delivery.router import Router
from .gateway.gateway import Gateway
from .lag import LagMeter
from .model import ReasonCode
from .store.base import Store

USERS_PER_TURN: Final = 256
"""Other tasks get a turn after so many users were asked for what waits for them."""
SIZES_S: Final = 1.0
"""How long the sizes of files may take; a disk that hangs must not hide everything else."""


class Crowd:
    """What all sessions together are and have, added up."""

    def __init__(self) -> None:
        self.sessions = Counter({"jsonrpc": 0, "wkproto": 0})
        self.users = self.sessions.copy()
        """By speech; who uses several counts for each."""
        self.unacknowledged = 0
        self.backlog_bytes = 0


class Meter:
    """One server's figures."""

    def __init__(
        self,
        *,
        router: Router,
        registry: SessionRegistry,
        gateway: Gateway,
        events: Events | None,
        store: Store,
        lag: LagMeter,
    ) -> None:
        self._router = router
        self._registry = registry
        self._gateway = gateway
        self._events = events
        self._store = store
        self._lag = lag
        self._looking = trio.CapacityLimiter(1)

    async def read(self) -> list[Figure]:
        """All figures, as they are when this returns; only what needs every session asked is a little older."""
        self._lag.want()
        sizes = await self._file_sizes()
        crowd = await self._ask_everybody()
        return [
            *self._people(crowd),
            *self._connections(),
            *self._messages(),
            *self._queues(crowd),
            *self._storage(sizes),
            _histogram("event_loop_lag_seconds", "How late a sleep of 100 ms ended.", self._lag.lag_s),
            *self._as_in_version_2(crowd),
        ]

    async def _file_sizes(self) -> Mapping[str, int]:
        with trio.move_on_after(SIZES_S):
            return await trio.to_thread.run_sync(self._store.size_bytes, limiter=self._looking, abandon_on_cancel=True)
        return {}

    async def _ask_everybody(self) -> Crowd:
        crowd = Crowd()
        uids = self._registry.uids()
        for start in range(0, len(uids), USERS_PER_TURN):
            for uid in uids[start : start + USERS_PER_TURN]:
                speeches = set()
                for session in self._registry.sessions_of(uid):
                    speech, unacknowledged, backlog_bytes = session.load()
                    speeches.add(speech)
                    crowd.sessions[speech] += 1
                    crowd.unacknowledged += unacknowledged
                    crowd.backlog_bytes += backlog_bytes
                for speech in speeches:
                    crowd.users[speech] += 1
            await trio.lowlevel.checkpoint()
        return crowd

    def _people(self, crowd: Crowd) -> Iterator[Figure]:
        yield _each("sessions", Kind.GAUGE, "Clients that have authenticated, by speech.", "speech", crowd.sessions)
        yield _each(
            "users",
            Kind.GAUGE,
            "Users online, by speech; who uses both counts twice.",
            "speech",
            crowd.users,
        )
        yield _gauge("online_users", "Users online.", self._registry.users)
        yield _gauge(
            "waiting_connections", "Connections that have not authenticated yet.", len(self._gateway.newcomers)
        )

    def _connections(self) -> Iterator[Figure]:
        counted = self._gateway.statistics
        yield _counter("connections_opened", "Connections, on WebSockets with their handshake.", counted.connections)
        yield _counter(
            "connections_refused",
            "Connections closed at once because too many had not authenticated.",
            self._gateway.newcomers.refused,
        )
        yield _counter("connections_authenticated", "Clients that were let in.", counted.authenticated)
        yield _by_reason("connections_turned_away", "Clients that were not let in, by the reason.", counted.turned_away)
        closes = {str(code): count for code, count in counted.closes.items()}
        yield _each(
            "connections_closed", Kind.COUNTER, "Connections that the server has ended, by close code.", "code", closes
        )

    def _messages(self) -> Iterator[Figure]:
        counted, early = self._router.statistics, self._gateway.statistics
        refused = dict.fromkeys(set(ReasonCode) - {ReasonCode.SUCCESS}, 0)
        for refusals in (counted.refusals, early.refusals):
            for reason, count in refusals.items():
                refused[reason] += count
        yield _counter("sends_accepted", "Sends that became messages, stored or not.", counted.accepted)
        yield _by_reason("sends_refused", "Sends that were refused, by the reason.", refused)
        yield _counter("sends_repeated", "Sends answered with what they repeated.", counted.repeated)
        yield _counter("messages_stored", "Messages stored.", counted.stored)
        yield _counter("deliveries", "Pushes handed to sessions.", counted.delivered)
        yield _counter("redeliveries", "Pushes written again because no recvack came.", early.repetitions)
        yield _counter("recvacks", "Acknowledgements of pushes.", early.recvacks)
        yield _counter("pings", "Pings of the protocols that were answered.", early.pings)
        yield _histogram(
            "answer_latency_seconds",
            "From handing a send to the router to its answer; one send of each batch, the one that came first.",
            counted.answer_s,
        )

    def _queues(self, crowd: Crowd) -> Iterator[Figure]:
        queues, events = self._router.queues, self._events
        yield _gauge("inbox_batches", "Batches that wait for the router.", queues.inbox_batches)
        yield _gauge("errands", "Requests that the router is not done with.", queues.errands)
        yield _gauge("lane_messages", "Messages to large channels that not everybody has got.", queues.lane_messages)
        yield _gauge("lane_bytes", "Payloads of these messages, in bytes.", queues.lane_bytes)
        yield _gauge("events_waiting", "Events that on_event has not seen.", 0 if events is None else events.waiting)
        yield _counter("events_dropped", "Events it will never see.", 0 if events is None else events.dropped)
        yield _gauge("unacknowledged_pushes", "Pushes that wait for their recvack.", crowd.unacknowledged)
        yield _gauge("outbox_backlog_bytes", "Bytes that wait because sockets did not take them.", crowd.backlog_bytes)

    def _storage(self, sizes: Mapping[str, int]) -> Iterator[Figure]:
        counted = self._router.statistics
        yield _counter("commits", "Transactions in which messages were stored.", counted.commits)
        yield _histogram("commit_duration_seconds", "How long each took.", counted.commit_s)
        yield _histogram("commit_messages", "How many messages were in each.", counted.batch_messages)
        yield _each("store_bytes", Kind.GAUGE, "Size of the files of the store, in bytes.", "file", sizes)

    def _as_in_version_2(self, crowd: Crowd) -> Iterator[Figure]:
        """What dashboards made for WuKongIM 2 look for. There, too, the first three are called counters."""
        counted, early = self._router.statistics, self._gateway.statistics
        sessions = sum(crowd.sessions.values())
        sends = counted.client_sends + sum(early.refusals.values())
        answered = early.authenticated + sum(early.turned_away.values())
        for name, count in (
            ("conn_count", sessions),
            ("online_user_count", self._registry.users),
            ("online_device_count", sessions),
            ("ping_count", early.pings),
            ("pong_count", early.pings),
            ("send_packet_count", sends),
            ("sendack_packet_count", sends),
            ("recv_packet_count", counted.delivered + early.repetitions),
            ("recvack_packet_count", early.recvacks),
            ("conn_packet_count", early.connects),
            ("connack_packet_count", answered),
        ):
            yield Figure(f"app_{name}", Kind.COUNTER, "As in WuKongIM 2.", (), [((), count)])


def _figure(name: str, kind: Kind, meaning: str, value: float | Histogram) -> Figure:
    return Figure(f"wukong_{name}", kind, meaning, (), [((), value)])


def _counter(name: str, meaning: str, value: int) -> Figure:
    return _figure(name, Kind.COUNTER, meaning, value)


def _gauge(name: str, meaning: str, value: int) -> Figure:
    return _figure(name, Kind.GAUGE, meaning, value)


def _histogram(name: str, meaning: str, value: Histogram) -> Figure:
    # Whoever shows it takes his time.
    return _figure(name, Kind.HISTOGRAM, meaning, value.copy())


def _each(name: str, kind: Kind, meaning: str, label: str, values: Mapping[str, int]) -> Figure:
    return Figure(f"wukong_{name}", kind, meaning, (label,), [((said,), value) for said, value in values.items()])


def _by_reason(name: str, meaning: str, counts: Mapping[ReasonCode, int]) -> Figure:
    named: Iterable[tuple[str, int]] = sorted((reason.wire_name, count) for reason, count in counts.items())
    return _each(name, Kind.COUNTER, meaning, "reason", dict(named))

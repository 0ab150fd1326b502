"""The figures that a server shows of itself. One more is one more line: its name, what it means, where it is read.

Operators know them from docs/operating.md, and a test compares.
"""

from collections.abc import Mapping
from functools import partial
from time import time

from .delivery.events import Events
from .delivery.registry import SessionRegistry
from .delivery.router import Router
from .gateway.gateway import Gateway
from .lag import LagMeter
from .meter import Meter
from .model import ReasonCode
from .search.search import MessageSearch
from .services.cleaner import Cleaner
from .version import __version__
from .webhooks.webhooks import Webhooks


def show_clients(meter: Meter, registry: SessionRegistry, gateway: Gateway) -> None:
    """Who is there, who has come, and who was sent away."""
    counted, newcomers = gateway.statistics, gateway.newcomers
    gauge, counter, counters = meter.gauge, meter.counter, meter.counters
    meter.gauges("sessions", "speech", "Clients that have authenticated, by speech.", lambda: meter.crowd.sessions)
    gauge("online_users", "Users online.", lambda: registry.users)
    gauge("waiting_connections", "Connections that have not authenticated yet.", lambda: len(newcomers))
    counter("connections_opened", "Connections, on WebSockets with their handshake.", lambda: counted.connections)
    meaning = "Connections closed at once because too many had not authenticated."
    counter("connections_refused", meaning, lambda: newcomers.refused)
    counter("connections_authenticated", "Clients that were let in.", lambda: counted.authenticated)
    meaning = "Clients that were not let in, by the name of the reason code."
    counters("connections_turned_away", "reason", meaning, lambda: _by_name(counted.turned_away))
    meaning = "Connections that the server has ended, by close code."
    counters("connections_closed", "code", meaning, lambda: {str(code): n for code, n in counted.closes.items()})
    meaning = "Clients closed because they did not take what was sent to them, by how that was seen."
    counters("slow_clients", "reason", meaning, lambda: counted.cut_off)


def show_messages(meter: Meter, router: Router, gateway: Gateway) -> None:
    """What clients and back-ends do."""
    counted, early = router.statistics, gateway.statistics
    counter = meter.counter
    counter("sends_accepted", "Sends that became messages, stored or not.", lambda: counted.accepted)
    meaning = "Sends that were refused, by the name of the reason code."
    meter.counters("sends_refused", "reason", meaning, lambda: _by_name(counted.refusals, early.refusals))
    counter("sends_repeated", "Sends answered with the message that they repeated.", lambda: counted.repeated)
    counter("messages_stored", "Messages stored.", lambda: counted.stored)
    meaning = "Sends of clients that got to the router, whatever became of them."
    counter("received_messages", meaning, lambda: meter.crowd.in_msgs)
    counter("received_bytes", "Payloads of these sends, in bytes.", lambda: meter.crowd.in_msg_bytes)
    counter("pushes", "Messages pushed to clients, repetitions included.", lambda: meter.crowd.out_msgs)
    counter("pushed_bytes", "Payloads of pushes, in bytes.", lambda: meter.crowd.out_msg_bytes)
    counter("repeated_pushes", "Pushes written again because no recvack came.", lambda: early.repetitions)
    counter("recvacks", "Acknowledgements of pushes.", lambda: early.recvacks)
    counter("pings", "Pings of the protocols that were answered.", lambda: early.pings)
    meaning = "From handing a send to the router to its answer; one send of each batch, the one that came first."
    meter.histogram("answer_latency_seconds", meaning, counted.answer_s)


def show_queues(meter: Meter, router: Router, events: Events | None) -> None:
    """What waits."""
    gauge = meter.gauge
    gauge("inbox_batches", "Batches that wait for the router.", lambda: router.queues.inbox_batches)
    gauge("errands", "Requests that the router is not done with.", lambda: router.queues.errands)
    meaning = "Messages to large channels that not everybody has got."
    gauge("lane_messages", meaning, lambda: router.queues.lane_messages)
    meaning = "Payloads of messages to large channels that not everybody has got, in bytes."
    gauge("lane_bytes", meaning, lambda: router.queues.lane_bytes)
    gauge("events_waiting", "Events that on_event has not seen.", lambda: 0 if events is None else events.waiting)
    meaning = "Events that on_event will never see."
    meter.counter("events_dropped", meaning, lambda: 0 if events is None else events.dropped)
    gauge("unacknowledged_pushes", "Pushes that wait for their recvack.", lambda: meter.crowd.unacknowledged)
    meaning = "Bytes that wait because sockets did not take them."
    gauge("outbox_backlog_bytes", meaning, lambda: meter.crowd.backlog_bytes)


def show_store(meter: Meter, router: Router) -> None:
    """Commits and files."""
    counted = router.statistics
    meter.histogram("commit_duration_seconds", "How long transactions with messages took.", counted.commit_s)
    meter.histogram("commit_messages", "How many messages were in one transaction.", counted.batch_messages)
    meter.gauges("store_bytes", "file", "Size of the files of the store, in bytes.", lambda: meter.sizes)


def show_webhooks(meter: Meter, webhooks: Webhooks | None) -> None:
    """What the receiver of webhooks has been told, and what not yet, by event."""
    wanted = () if webhooks is None else webhooks.wanted
    notify = None if webhooks is None else webhooks.told[0]
    counters = meter.counters

    def waiting() -> dict[str, int]:
        # A message may be told before it is counted.
        return {told.hook.event: max(told.waiting, 0) for told in wanted}

    meaning = "Requests that the receiver of webhooks has accepted."
    counters("webhook_requests", "event", meaning, lambda: {told.hook.event: told.hook.requests for told in wanted})
    meaning = "Requests that the receiver of webhooks has not accepted."
    counters("webhook_failures", "event", meaning, lambda: {told.hook.event: told.hook.failures for told in wanted})
    meaning = "Messages, or entries of user.onlinestatus, that the receiver of webhooks will never be told of."
    counters("webhook_dropped", "event", meaning, lambda: {told.hook.event: told.dropped for told in wanted})
    meaning = "Messages, or entries of user.onlinestatus, that the receiver of webhooks has not been told of yet."
    meter.gauges("webhook_waiting", "event", meaning, waiting)
    meaning = "How old the oldest message is that waits for msg.notify; 0 if none does."
    meter.gauge("webhook_oldest_seconds", meaning, lambda: 0 if notify is None else notify.oldest_s(time()))


def show_removals(meter: Meter, cleaner: Cleaner) -> None:
    """What has left the store."""
    meaning = "Messages that were removed: those that had expired, were too old, or too many in their channels."
    meter.counters(
        "messages_removed", "reason", meaning, lambda: {str(why): count for why, count in cleaner.removed.items()}
    )


def show_search(meter: Meter, search: MessageSearch | None) -> None:
    """The index of words."""
    meaning = "How long the oldest stored message has waited that search does not find yet; 0 if none does."
    meter.gauge("search_lag_seconds", meaning, lambda: 0 if search is None else search.lag_s)
    meaning = "Messages that were put into the index of search."
    meter.counter("search_indexed", meaning, lambda: 0 if search is None else search.indexed)


def show_process(meter: Meter, lag: LagMeter) -> None:
    """The version, and how the event loop is."""
    meter.gauges("build_info", "version", "Always 1; the label says the version.", lambda: {__version__: 1})
    meter.histogram("event_loop_lag_seconds", "How late a sleep of 100 ms ended.", lag.lag_s)


def show_as_in_version_2(meter: Meter, registry: SessionRegistry, gateway: Gateway) -> None:
    """What dashboards made for WuKongIM 2 look for. A SENDACK is counted with its SEND."""
    counted = gateway.statistics
    gauge, counter = partial(meter.gauge, prefix="app_"), partial(meter.counter, prefix="app_")
    # There, too, these end like counters, and go up and down.
    gauge("conn_count_total", "Clients that have authenticated.", lambda: len(registry))
    gauge("online_user_count_total", "Users online.", lambda: registry.users)
    gauge("online_device_count_total", "Clients that have authenticated.", lambda: len(registry))

    def sends() -> int:
        return meter.crowd.in_msgs + sum(counted.refusals.values())

    counter("send_packet_count", "SEND packets.", sends)
    counter("send_packet_bytes", "Payloads of SEND packets, in bytes.", lambda: meter.crowd.in_msg_bytes)
    counter("sendack_packet_count", "SENDACK packets.", sends)
    counter("sendack_packet_bytes", "SENDACK packets, in bytes.", lambda: counted.sendack_bytes)
    counter("recv_packet_count", "RECV packets, repetitions included.", lambda: meter.crowd.out_msgs)
    counter("recv_packet_bytes", "Payloads of RECV packets, in bytes.", lambda: meter.crowd.out_msg_bytes)
    counter("recvack_packet_count", "RECVACK packets.", lambda: counted.recvacks)
    counter("recvack_packet_bytes", "RECVACK packets, in bytes.", lambda: counted.recvack_bytes)
    counter("conn_packet_count", "CONNECT packets.", lambda: counted.connects)
    counter("conn_packet_bytes", "CONNECT packets, in bytes.", lambda: counted.connect_bytes)
    counter("connack_packet_count", "CONNACK packets.", lambda: counted.connacks)
    counter("connack_packet_bytes", "CONNACK packets, in bytes.", lambda: counted.connack_bytes)
    counter("ping_count", "PING packets that were answered.", lambda: counted.pings)
    counter("ping_bytes", "PING packets that were answered, in bytes.", lambda: counted.ping_bytes)
    counter("pong_count", "PONG packets.", lambda: counted.pings)
    counter("pong_bytes", "PONG packets, in bytes.", lambda: counted.pong_bytes)


def _by_name(*counts: Mapping[ReasonCode, int]) -> dict[str, int]:
    """Added up, by the names of the reason codes: all of them, so that none appears out of nowhere with its first."""
    names = dict.fromkeys(sorted(reason.wire_name for reason in ReasonCode if reason is not ReasonCode.SUCCESS), 0)
    for some in counts:
        for reason, count in some.items():
            names[reason.wire_name] += count
    return names

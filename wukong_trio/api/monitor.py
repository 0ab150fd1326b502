"""`/varz` and `/varz/setting`: how the server is doing."""

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from ..version import __version__
from .bodies import encode_list
from .connections import BUSIEST, DEFAULT_LIMIT, MAX_LIMIT, ConnectionRecords, records
from .context import ApiContext
from .guard import Head
from .table import ApiError, Query
from .vitals import duration

SERVER_NAME: Final = "WuKongIM"


class VarsQuery(Struct):
    """Parameters of `/varz`."""

    show: str = ""
    conn_limit: int = 0
    node_id: int = 0


class LoggerFeatures(Struct, frozen=True):
    """Where the original can send its log."""

    trace_on: int
    loki_on: int


class Features(Struct, frozen=True):
    """Which of the original's features are on."""

    logger: LoggerFeatures
    prometheus_on: int
    """Whether it shows charts, which it reads from a Prometheus server. `/metrics` needs none, and is always there."""
    stress_on: int


FEATURES: Final = Features(LoggerFeatures(trace_on=0, loki_on=0), prometheus_on=0, stress_on=0)


class Vars(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer of `/varz`."""

    server_id: str
    server_name: str
    version: str
    connections: int
    user_handler_count: int
    user_handler_conn_count: int
    uptime: str
    goroutine: int
    mem: int
    cpu: float
    in_msgs: int
    out_msgs: int
    in_bytes: int
    out_bytes: int
    slow_clients: int
    retry_queue: int
    tcp_addr: str
    ws_addr: str
    wss_addr: str
    manager_addr: str
    manager_on: int
    commit: str
    commit_date: str
    tree_state: str
    api_url: str
    manager_uid: str
    manager_token_on: int
    conversation_cache_count: int
    conns: ConnectionRecords | UnsetType = UNSET
    """If it was asked for."""


async def get_vars(context: ApiContext, _head: Head, query: Query) -> object:
    """Counters of the server and, with `show=conn`, its busiest connections."""
    config, connections, vitals = context.config, context.connections, context.vitals
    if query.integer("node_id") not in (0, config.node_id):
        raise ApiError("node not found")
    conns: ConnectionRecords | UnsetType = UNSET
    if query.get("show") == "conn":
        limit = min(query.integer("conn_limit") or DEFAULT_LIMIT, MAX_LIMIT)
        conns = await encode_list(await records(context, BUSIEST, offset=0, limit=limit))
    traffic, unacknowledged = await connections.totals()
    route = context.routes.external
    return Vars(
        server_id=str(config.node_id),
        server_name=SERVER_NAME,
        version=__version__,
        connections=connections.count,
        user_handler_count=connections.users,
        user_handler_conn_count=connections.count,
        uptime=duration(vitals.uptime_s),
        goroutine=vitals.tasks(),
        mem=vitals.resident_bytes(),
        cpu=vitals.cpu_percent(),
        in_msgs=traffic.in_packets,
        out_msgs=traffic.out_packets,
        in_bytes=traffic.in_packet_bytes,
        out_bytes=traffic.out_packet_bytes,
        slow_clients=context.slow_clients(),
        retry_queue=unacknowledged,
        tcp_addr=route.tcp_addr,
        ws_addr=route.ws_addr,
        wss_addr=route.wss_addr,
        manager_addr="",
        manager_on=0,
        commit="",
        commit_date="",
        tree_state="",
        api_url=context.api_url,
        manager_uid=config.auth.manager_uid,
        manager_token_on=int(config.auth.manager_token != ""),
        conversation_cache_count=0,
        conns=conns,
    )


def get_features(_context: ApiContext, _head: Head, _query: Query) -> object:
    """Which of the original's features are on."""
    return FEATURES

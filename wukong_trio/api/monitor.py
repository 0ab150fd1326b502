"""`/varz` and `/varz/setting`: how the server is doing."""

from typing import Final

from msgspec import UNSET, UnsetType

from ..contract.connections import ConnectionRecord
from ..contract.monitor import Features, LoggerFeatures, Vars
from ..version import __version__
from .bodies import as_list, encode_list
from .connections import BUSIEST, DEFAULT_LIMIT, MAX_LIMIT, records
from .context import ApiContext
from .guard import Head
from .table import ApiError, Query
from .vitals import duration

SERVER_NAME: Final = "WuKongIM"


FEATURES: Final = Features(LoggerFeatures(trace_on=0, loki_on=0), prometheus_on=0, stress_on=0)


async def get_vars(context: ApiContext, _head: Head, query: Query) -> object:
    """Counters of the server and, with `show=conn`, its busiest connections."""
    config, connections, vitals = context.config, context.connections, context.vitals
    if query.integer("node_id") not in (0, config.node_id):
        raise ApiError("node not found")
    conns: list[ConnectionRecord] | UnsetType = UNSET
    if query.get("show") == "conn":
        limit = min(query.integer("conn_limit") or DEFAULT_LIMIT, MAX_LIMIT)
        conns = as_list(await encode_list(await records(context, BUSIEST, offset=0, limit=limit)))
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

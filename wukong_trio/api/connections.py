"""`/conn/kick`, `/conn/remove` and `/connz`: single connections of clients."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import trio

from ..contract.connections import ConnectionList, ConnectionRecord, ConnectionRef
from ..model import DeviceLevel
from ..services.traffic import Snapshot
from .bodies import as_list, encode_list
from .context import ApiContext
from .guard import Head
from .table import STATUS_OK, ApiError, Query
from .vitals import duration

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 10_000
LOCAL: Final = "本地连接"
"""How a connection of this very server is called, and not one that another server passes on."""
_DEVICES: Final = {0: "App", 1: "Web", 2: "PC"}
_RANKS: Final[dict[str, Callable[[Snapshot], float]]] = {
    "id": lambda s: s.session_id,
    "inMsg": lambda s: s.traffic.in_msgs,
    "outMsg": lambda s: s.traffic.out_msgs,
    "inMsgBytes": lambda s: s.traffic.in_msg_bytes,
    "outMsgBytes": lambda s: s.traffic.out_msg_bytes,
    "pendingBytes": lambda s: s.pending_bytes,
    "inPacket": lambda s: s.traffic.in_packets,
    "outPacket": lambda s: s.traffic.out_packets,
    "inPacketBytes": lambda s: s.traffic.in_packet_bytes,
    "outPacketBytes": lambda s: s.traffic.out_packet_bytes,
    "uptime": lambda s: -s.opened_at,
    "idle": lambda s: -s.last_inbound,
    "protoVersion": lambda s: s.version,
}
BUSIEST: Final = "inMsgDesc"


async def kick(context: ApiContext, request: ConnectionRef, _query: Query) -> object:
    """Sends a connection away with a notice."""
    if _is_here(context, request):
        context.connections.kick(request.uid, request.conn_id)
    return STATUS_OK


async def remove(context: ApiContext, request: ConnectionRef, _query: Query) -> object:
    """Closes a connection without one."""
    if _is_here(context, request):
        context.connections.remove(request.uid, request.conn_id)
    return STATUS_OK


def _is_here(context: ApiContext, request: ConnectionRef) -> bool:
    """Whether the connection would be one of this server's."""
    if request.op_node_id not in (0, context.config.node_id):
        raise ApiError("node not found")
    if request.conn_id == 0:
        raise ApiError("conn_id is 0")
    return request.node_id in (0, context.config.node_id)


async def list_connections(context: ApiContext, _head: Head, query: Query) -> object:
    """Some of the connections, in a certain order."""
    if query.integer("node_id") not in (0, context.config.node_id):
        raise ApiError("节点不存在！")
    offset, limit = query.integer("offset"), min(query.integer("limit") or DEFAULT_LIMIT, MAX_LIMIT)
    found = await records(context, query.get("sort", ""), offset=offset, limit=limit, uid_part=query.get("uid", ""))
    return ConnectionList(
        as_list(await encode_list(found)), _clock(time.time()), context.connections.count, offset, limit
    )


async def records(
    context: ApiContext, sort: str, *, offset: int, limit: int, uid_part: str = ""
) -> Iterable[ConnectionRecord]:
    """The records of some connections.

    Args:
        sort: a key of _RANKS, with `Desc` behind it for the opposite order; anything else counts as `id`.
        uid_part: only of users whose uid has this in it.
    """
    rank = _RANKS.get(sort.removesuffix("Desc"), _RANKS["id"])
    sign = -1 if sort.endswith("Desc") else 1
    selected = await context.connections.select(
        lambda snapshot: sign * rank(snapshot), end=offset + limit, uid_part=uid_part
    )
    now, wall_s, node_id = trio.current_time(), time.time(), context.config.node_id
    return (_record(snapshot, now, wall_s, node_id) for snapshot in selected[offset:])


def _record(snapshot: Snapshot, now: float, wall_s: float, node_id: int) -> ConnectionRecord:
    ip, _, port = snapshot.remote_address.rpartition(":")
    idle_s, traffic = now - snapshot.last_inbound, snapshot.traffic
    level = "主" if snapshot.level == DeviceLevel.MASTER else "从"
    return ConnectionRecord(
        id=snapshot.session_id,
        uid=snapshot.uid,
        ip=ip.strip("[]"),
        port=int(port) if port.isdecimal() else 0,
        last_activity=_clock(wall_s - idle_s),
        uptime=duration(now - snapshot.opened_at),
        idle=duration(idle_s),
        pending_bytes=snapshot.pending_bytes,
        in_msgs=traffic.in_msgs,
        out_msgs=traffic.out_msgs,
        in_msg_bytes=traffic.in_msg_bytes,
        out_msg_bytes=traffic.out_msg_bytes,
        in_packets=traffic.in_packets,
        out_packets=traffic.out_packets,
        in_packet_bytes=traffic.in_packet_bytes,
        out_packet_bytes=traffic.out_packet_bytes,
        device=f"{_DEVICES.get(snapshot.device_flag, '未知')}({level})",
        device_id=snapshot.device_id,
        version=snapshot.version,
        proxy_type_format=LOCAL,
        leader_id=node_id,
        node_id=node_id,
    )


def _clock(wall_s: float) -> str:
    """A moment in RFC 3339, in the machine's time zone."""
    return datetime.fromtimestamp(wall_s, UTC).astimezone().isoformat(timespec="seconds")

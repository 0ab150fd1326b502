"""`/route`, `/conn/*` and `/connz`: where clients connect, and their connections."""

from msgspec import Struct

from .fields import Int64


class RouteQuery(Struct):
    """Parameters of `/route` and `/route/batch`."""

    intranet: int = 0


class Route(Struct, frozen=True):
    """Where clients connect. Empty where there is no such listener."""

    tcp_addr: str
    """`host:port`"""
    ws_addr: str
    """`ws://host:port`"""
    wss_addr: str
    """`wss://host:port`"""


class Group(Route, frozen=True):
    """Users who connect to the same addresses."""

    uids: list[str]


class ConnectionRef(Struct):
    """Body of `/conn/kick` and `/conn/remove`."""

    uid: str = ""
    conn_id: Int64 = 0
    node_id: Int64 = 0
    op_node_id: Int64 = 0


class ConnectionRecord(Struct, frozen=True):
    """A connection, for people."""

    id: int
    uid: str
    ip: str
    port: int
    last_activity: str
    uptime: str
    idle: str
    pending_bytes: int
    in_msgs: int
    out_msgs: int
    in_msg_bytes: int
    out_msg_bytes: int
    in_packets: int
    out_packets: int
    in_packet_bytes: int
    out_packet_bytes: int
    device: str
    device_id: str
    version: int
    proxy_type_format: str
    leader_id: int
    node_id: int


class ConnectionsQuery(Struct):
    """Parameters of `/connz`."""

    sort: str = ""
    offset: int = 0
    limit: int = 0
    uid: str = ""
    node_id: int = 0


class ConnectionList(Struct, frozen=True):
    """Answer of `/connz`."""

    connections: list[ConnectionRecord]
    now: str
    total: int
    offset: int
    limit: int

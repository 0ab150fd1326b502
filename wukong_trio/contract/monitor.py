"""`/varz` and `/varz/setting`: how the server is doing."""

from msgspec import UNSET, Struct, UnsetType

from .connections import ConnectionRecord


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
    conns: list[ConnectionRecord] | UnsetType = UNSET
    """If it was asked for."""

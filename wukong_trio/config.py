"""The settings of a server: one frozen tree, every default safe for a machine on the Internet.

`Config()` is usable as it stands. Names carry their unit. How a YAML file, the environment and the command line
become a `Config` is in `settings.py`; the names of the original's keys are there as well.
"""

from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

TokenAuth = Literal["off", "auto", "on"]
Engine = Literal["native", "reference"]
NotificationProfile = Literal["auto", "doc", "sdk", "both"]
WebhookEvent = Literal["msg.notify", "msg.offline", "user.onlinestatus"]

ANY = "*"
"""In a list of what is allowed: everything."""


class Address(Struct, frozen=True):
    """Where a listener binds. Port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listeners(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server listens on; None switches a listener off."""

    http: Address | None = Address("127.0.0.1", 5001)
    tcp: Address | None = Address("127.0.0.1", 5100)
    """The binary protocol, WKProto."""
    tls: Address | None = None
    """The same inside TLS."""
    ws: Address | None = Address("127.0.0.1", 5200)
    wss: Address | None = None
    cert_file: Path | None = None
    """The certificate of `wss` and `tls`."""
    key_file: Path | None = None

    @property
    def need_certificate(self) -> bool:
        """Whether one of them cannot do without."""
        return self.wss is not None or self.tls is not None


class RouteAddresses(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `/route` tells clients to connect to. Empty parts are derived from the listeners."""

    ip: str = ""
    tcp_addr: str = ""
    ws_addr: str = ""
    wss_addr: str = ""


class Auth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may connect."""

    token_auth: TokenAuth = "auto"
    """`auto`: as soon as a token was stored for any device of a user, each of his devices needs its own, and a revoked
    one never works again; a user who was never registered may come as he likes."""
    auth_timeout_s: float = 2.0
    """From the WebSocket handshake, or from accepting a TCP connection, to the answered `connect`, absolute."""
    manager_token: str = ""
    """Required in the header `token` of HTTP requests, except `GET /route` and probes; empty: no check."""
    manager_uid: str = "____manager"
    allow_open_api: bool = False
    """Lets the HTTP listener bind to a non-loopback address without a manager token."""
    allowed_origins: tuple[str, ...] = ()
    """Origins, besides those of this machine, whose pages may use the HTTP API without a manager token; `*`: all."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides addresses and those of `external` and `intranet`, under which that API may be called; `*`: all."""

    def __repr__(self) -> str:
        shown = asdict(self) | {"manager_token": "******" if self.manager_token else ""}
        return f"Auth({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds on what one client can make the server do."""

    handshake_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    """How long a closing connection may still send what waits and take part in the closing handshake."""
    write_timeout_s: float = 10.0
    """How long a frame may wait to be written before the client counts as a slow consumer."""
    conn_idle_time_s: float = 180.0
    ws_message_bytes: int = 2 * 1024 * 1024
    payload_bytes: int = 512 * 1024
    http_body_bytes: int = 64 * 1024 * 1024
    outbox_frames: int = 1024
    outbox_bytes: int = 8 * 1024 * 1024
    sends_in_flight: int = 256
    """Unanswered sends of one connection before it is not read any more."""
    waiting_connections: int = 4096
    """Connections that have not authenticated yet; further ones are closed at once."""
    waiting_per_address: int = 1024
    """The same from one IP address."""
    protocol_errors: int = 16
    """Erroneous frames within 60 s that a connection survives."""
    rate_limit_per_s: float = 0.0
    """Sends per second and uid, with bursts of one second's worth; 0 = no limit."""


class MessageRetry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Repeating pushes that were not acknowledged."""

    interval_s: float = 60.0
    max_count: int = 5
    waiting_bytes: int = 4 * 1024 * 1024
    """Payloads of unacknowledged pushes that are kept for one session; beyond that the oldest are not repeated."""


class Idempotency(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a client_msg_no is remembered: whichever bound comes first."""

    window_s: float = 24 * 3600.0
    keys: int = 200_000


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long messages are kept that do not expire by themselves."""

    max_age_s: float = 0.0
    """0: for ever."""
    max_per_channel: int = 0
    """Of each channel the newest; 0: all."""


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telling a back-end over HTTP what happens."""

    http_addr: str = ""
    """Where to; empty: nobody is told."""
    secret: str = ""
    """Signs the requests: `whsec_` and 24 to 64 bytes in base64; empty: they are not signed."""
    focus_events: tuple[WebhookEvent, ...] = ()
    """Of what; empty: of everything."""
    push_interval_s: float = 0.5
    """How long a stored message waits for others, to be told together."""
    count_per_push: int = 100
    retry_max_count: int = 0
    """After so many attempts messages are given up; 0: never."""
    max_age_s: float = 72 * 3600.0
    max_waiting: int = 10_000_000
    """Stored messages that wait for the receiver; when there are more, or older ones, the oldest are given up."""
    compress_of_count: int = 0
    """Lists of more receivers than this are compressed; 0: never."""

    def __repr__(self) -> str:
        shown = asdict(self) | {"secret": "******" if self.secret else ""}
        return f"Webhook({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class Conversation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conversations of users."""

    on: bool = True
    """They begin by themselves, with messages and with becoming a member."""
    user_max: int = 1000
    """So many of a user are shown, the most recently active ones."""


class Search(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Searching the stored messages."""

    on: bool = False
    """Keeps an index of the words of all messages, which costs about as much disk and time as storing them does."""


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one server."""

    engine: Engine = "native"
    """Who speaks WebSocket and HTTP: `native` is ours, `reference` is trio-websocket and Quart-Trio."""
    listeners: Listeners = Listeners()
    proxies: tuple[str, ...] = ()
    """Addresses and networks such as `10.0.0.0/8`: connections of clients that come from there begin with a PROXY
    protocol header. Nobody else's header is believed."""
    encryption: bool = True
    """Payloads of the binary protocol are encrypted between client and server. No official SDK works without."""
    external: RouteAddresses = RouteAddresses()
    intranet: RouteAddresses = RouteAddresses()
    auth: Auth = Auth()
    limits: Limits = Limits()
    message_retry: MessageRetry = MessageRetry()
    idempotency: Idempotency = Idempotency()
    retention: Retention = Retention()
    webhook: Webhook = Webhook()
    search: Search = Search()
    data_dir: Path | None = None
    """Where the database lives; None keeps everything in memory."""
    command_sync: bool = True
    """Users fetch the commands that they have missed; otherwise there are never any for them."""
    conversation: Conversation = Conversation()
    synchronous: Literal["full", "normal"] = "full"
    """`full`: an acknowledged message has been fsynced. `normal`: a power cut may lose the last moments."""
    notification_profile: NotificationProfile = "auto"
    node_id: int = 1001
    whitelist_off_of_person: bool = True
    drain_timeout_s: float = 5.0
    """How long a stopping server waits for sends in flight and closing clients."""
    hook_timeout_s: float = 5.0

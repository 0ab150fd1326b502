"""The names of the settings.

`KEYS` is the one table: reading, names of environment variables, command-line options, the output of
`wukong-trio config` and the checks of `settings.check` all follow it. Names are WuKongIM's where it has the setting;
the names that its version 3 uses in the environment are accepted as well.
"""

from typing import NamedTuple

from . import setting_kinds as kinds
from .setting_kinds import Kind


class Key(NamedTuple):
    """One setting: its name in a file, its field in `Settings`, its kind.

    An alias is another name for a field that has a key already. Secrets are never shown.
    """

    name: str
    field: str
    kind: Kind
    option: str = ""
    help: str = ""
    alias: bool = False
    secret: bool = False

    @property
    def env(self) -> str:
        """The environment variable: camel case is not split."""
        return env_name(self.name)


def env_name(key: str) -> str:
    return "WK_" + key.upper().replace(".", "_")


_TEXT = kinds.text()
_HOST = kinds.host()
_BOOLEAN = kinds.boolean()
_PATH = kinds.path()
_DURATION = kinds.duration()
_BYTES = kinds.integer(1, 2**40)
_COUNT = kinds.integer(1, 2**31 - 1)
_HTTP_ADDRESS = kinds.address("http", 5001)
_NODE_ID = kinds.integer(1, 1023)
_ON_OFF = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}
_EVENTS = kinds.choices(("msg.notify", "msg.offline", "user.onlinestatus"))
_TOKEN_AUTH = kinds.choice(("off", "auto", "on"), _ON_OFF)
_LOG_LEVELS = {"0": "info", "1": "debug", "2": "info", "3": "warning", "4": "error", "warn": "warning"}

KEYS: tuple[Key, ...] = (
    Key("httpAddr", "listeners.http", _HTTP_ADDRESS, "--http", "Where the HTTP API listens."),
    Key("api.listen_addr", "listeners.http", _HTTP_ADDRESS, alias=True),
    Key("addr", "listeners.tcp", kinds.address("tcp", 5100), "--tcp", "Where clients of the binary protocol connect."),
    Key("tlsAddr", "listeners.tls", kinds.address("tls", 5110), "--tls", "The same with TLS."),
    Key("wsAddr", "listeners.ws", kinds.address("ws", 5200), "--ws", "Where WebSocket clients connect."),
    Key("wssAddr", "listeners.wss", kinds.address("wss", 5210), "--wss", "The same with TLS."),
    Key("wssConfig.certFile", "listeners.cert_file", _PATH, "--cert", "Certificate chain for --wss and --tls, PEM."),
    Key("wssConfig.keyFile", "listeners.key_file", _PATH, "--key", "Private key for --wss and --tls, PEM."),
    Key("proxyProtocol.from", "proxies", kinds.networks()),
    Key("disableEncryption", "encryption", kinds.boolean(inverted=True)),
    Key("rootDir", "root_dir", _PATH),
    Key("dataDir", "data_dir", _PATH, "--data-dir", "Where the database lives (default: ~/wukongim/data)."),
    Key("engine", "engine", kinds.choice(("native", "reference")), "--engine", "Who speaks WebSocket and HTTP."),
    Key("tokenAuth", "auth.token_auth", _TOKEN_AUTH, "--token-auth", "Whether the tokens of clients are checked."),
    Key("tokenAuthOn", "auth.token_auth", _TOKEN_AUTH, alias=True),
    Key(
        "managerToken",
        "auth.manager_token",
        _TEXT,
        "--manager-token",
        "What HTTP requests must carry. Other users of this machine can read options; WK_MANAGERTOKEN is safer.",
        secret=True,
    ),
    Key("managerUID", "auth.manager_uid", _TEXT),
    Key("allowOpenApi", "auth.allow_open_api", _BOOLEAN),
    Key("allowedOrigins", "auth.allowed_origins", kinds.origins()),
    Key("allowedHosts", "auth.allowed_hosts", kinds.host_names()),
    Key("authTimeout", "auth.auth_timeout_s", _DURATION),
    Key("whitelistOffOfPerson", "whitelist_off_of_person", _BOOLEAN),
    Key("message.person_whitelist_enabled", "whitelist_off_of_person", kinds.boolean(inverted=True), alias=True),
    Key("external.ip", "external.ip", _HOST),
    Key("external.tcpAddr", "external.tcp_addr", _TEXT),
    Key("external.wsAddr", "external.ws_addr", _TEXT),
    Key("external.wssAddr", "external.wss_addr", _TEXT),
    Key("intranet.ip", "intranet.ip", _HOST),
    Key("intranet.tcpAddr", "intranet.tcp_addr", _TEXT),
    Key("intranet.wsAddr", "intranet.ws_addr", _TEXT),
    Key("intranet.wssAddr", "intranet.wss_addr", _TEXT),
    Key("connIdleTime", "limits.conn_idle_time_s", _DURATION),
    Key("messageRetry.interval", "message_retry.interval_s", _DURATION),
    Key("messageRetry.maxCount", "message_retry.max_count", kinds.integer(0, 1000)),
    Key("messageRetry.waitingBytes", "message_retry.waiting_bytes", _BYTES),
    Key("limits.handshakeTimeout", "limits.handshake_timeout_s", _DURATION),
    Key("limits.closeTimeout", "limits.close_timeout_s", _DURATION),
    Key("limits.writeTimeout", "limits.write_timeout_s", _DURATION),
    Key("limits.maxWsMessage", "limits.ws_message_bytes", _BYTES),
    Key("limits.maxPayload", "limits.payload_bytes", _BYTES),
    Key("limits.maxHttpBody", "limits.http_body_bytes", _BYTES),
    Key("limits.sendQueueFrames", "limits.outbox_frames", _COUNT),
    Key("limits.sendQueueBytes", "limits.outbox_bytes", _BYTES),
    Key("limits.sendsInFlight", "limits.sends_in_flight", _COUNT),
    Key("limits.waitingConnections", "limits.waiting_connections", _COUNT),
    Key("limits.waitingPerAddress", "limits.waiting_per_address", _COUNT),
    Key("limits.maxProtocolErrors", "limits.protocol_errors", _COUNT),
    Key("limits.rateLimit", "limits.rate_limit_per_s", kinds.rate(1_000_000)),
    Key("idempotency.window", "idempotency.window_s", _DURATION),
    Key("idempotency.keys", "idempotency.keys", _COUNT),
    Key("retention.maxAge", "retention.max_age_s", kinds.duration(zero=True)),
    Key("retention.maxPerChannel", "retention.max_per_channel", kinds.integer(0, 2**31 - 1)),
    Key("webhook.httpAddr", "webhook.http_addr", kinds.url()),
    Key("webhook.url", "webhook.http_addr", kinds.url(), alias=True),
    Key("webhook.http_addr", "webhook.http_addr", kinds.url(), alias=True),
    Key("webhook.secret", "webhook.secret", kinds.signing_secret(), secret=True),
    Key("webhook.focusEvents", "webhook.focus_events", _EVENTS),
    Key("webhook.msgNotifyEventPushInterval", "webhook.push_interval_s", _DURATION),
    Key("webhook.msgNotifyEventCountPerPush", "webhook.count_per_push", kinds.integer(1, 1000)),
    Key("webhook.msgNotifyEventRetryMaxCount", "webhook.retry_max_count", kinds.integer(0, 1_000_000)),
    Key("webhook.maxAge", "webhook.max_age_s", _DURATION),
    Key("webhook.maxWaiting", "webhook.max_waiting", _COUNT),
    Key("channel.subscriberCompressOfCount", "webhook.compress_of_count", kinds.integer(0, 2**31 - 1)),
    Key("disableCMDMessageSync", "command_sync", kinds.boolean(inverted=True)),
    Key("conversation.on", "conversation.on", _BOOLEAN),
    Key("conversation.userMaxCount", "conversation.user_max", kinds.integer(1, 100_000)),
    Key("search.on", "search.on", _BOOLEAN),
    Key("synchronous", "synchronous", kinds.choice(("full", "normal"))),
    Key("notificationProfile", "notification_profile", kinds.choice(("auto", "doc", "sdk", "both"))),
    Key("cluster.nodeId", "node_id", _NODE_ID),
    Key("node.id", "node_id", _NODE_ID, alias=True),
    Key("drainTimeout", "drain_timeout_s", kinds.duration(zero=True)),
    Key("hookTimeout", "hook_timeout_s", _DURATION),
    Key("logger.format", "log_format", kinds.choice(("console", "json")), "--log-format", "How log lines look."),
    Key(
        "logger.level",
        "log_level",
        kinds.choice(("debug", "info", "warning", "error"), _LOG_LEVELS),
        "--log-level",
        "The least important lines to log.",
    ),
)

UNSUPPORTED: tuple[str, ...] = (
    *("mode", "ginMode", "stress", "pprofOn", "oldV1Api", "migrateStartStep"),
    *("timingWheelTick", "timingWheelSize", "userMsgQueueMaxSize"),
    "disableJSONRPC",
    *("external.managerAddr", "external.apiUrl", "external.autoGetExternalIP", "external.monitorAddr"),
    *("messageRetry.scanInterval", "messageRetry.workerCount"),
    *("manager", "demo", "channel", "tmpChannel", "datasource", "streamCache", "auth"),
    *("conversation.cacheExpire", "conversation.syncInterval", "conversation.syncOnce", "conversation.bytesPerSave"),
    *("conversation.savePoolSize", "conversation.workerNum", "conversation.workerScanInterval"),
    *("webhook.grpcAddr", "webhook.timeout"),
    *("jwt", "logger", "trace", "cluster", "plugin", "agent", "customerService", "tag", "monitor"),
)
"""Names of the original that have no effect here. A section stands for everything in it."""

"""The names of the settings, and how a YAML file, the environment and the command line become a `Config`.

`KEYS` is the one table: reading, names of environment variables, command-line options, the output of
`wukong-trio config` and the checks of `check` all follow it. Names are WuKongIM's where it has the setting; the names
that its version 3 uses in the environment are accepted as well.

Later sources win: file, then `WK_*` variables, then options. An empty value counts as not given.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from . import setting_kinds as kinds
from .config import Config
from .errors import ConfigError
from .hosts import is_loopback
from .setting_kinds import Kind

DEFAULT_FILE = "wk.yaml"
MASK = "******"

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `Config` of a standalone process, and what only such a process decides."""

    root_dir: Path = Path("~/wukongim")
    """Base of the data directory if `data_dir` is not given: `<root_dir>/data`."""
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"


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
_HTTP_ADDRESS = kinds.address("http", 5001, optional=True)
_NODE_ID = kinds.integer(1, 1023)
_ON_OFF = {"true": "on", "yes": "on", "1": "on", "false": "off", "no": "off", "0": "off"}
_TOKEN_AUTH = kinds.choice(("off", "auto", "on"), _ON_OFF)
_LOG_LEVELS = {"0": "info", "1": "debug", "2": "info", "3": "warning", "4": "error", "warn": "warning"}

KEYS: tuple[Key, ...] = (
    Key("httpAddr", "listeners.http", _HTTP_ADDRESS, "--http", "Where the HTTP API listens."),
    Key("api.listen_addr", "listeners.http", _HTTP_ADDRESS, alias=True),
    Key("wsAddr", "listeners.ws", kinds.address("ws", 5200, optional=True), "--ws", "Where WebSocket clients connect."),
    Key("wssAddr", "listeners.wss", kinds.address("wss", 5210, optional=True), "--wss", "The same with TLS."),
    Key("wssConfig.certFile", "listeners.cert_file", _PATH, "--cert", "Certificate chain for --wss, PEM."),
    Key("wssConfig.keyFile", "listeners.key_file", _PATH, "--key", "Private key for --wss, PEM."),
    Key(
        "addr",
        "listeners.tcp",
        kinds.address("tcp", 5100, optional=False),
        "--tcp",
        "Address of the binary protocol: reported by /route, not opened yet.",
    ),
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
    Key("allowedOrigins", "auth.allowed_origins", kinds.words("https://admin.example.org")),
    Key("allowedHosts", "auth.allowed_hosts", kinds.words("im.example.org")),
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
    Key("limits.handshakeTimeout", "limits.handshake_timeout_s", _DURATION),
    Key("limits.closeTimeout", "limits.close_timeout_s", _DURATION),
    Key("limits.writeTimeout", "limits.write_timeout_s", _DURATION),
    Key("limits.maxWsMessage", "limits.ws_message_bytes", _BYTES),
    Key("limits.maxPayload", "limits.payload_bytes", _BYTES),
    Key("limits.maxHttpBody", "limits.http_body_bytes", _BYTES),
    Key("limits.sendQueueFrames", "limits.outbox_frames", _COUNT),
    Key("limits.sendQueueBytes", "limits.outbox_bytes", _BYTES),
    Key("limits.sendsInFlight", "limits.sends_in_flight", _COUNT),
    Key("limits.maxProtocolErrors", "limits.protocol_errors", _COUNT),
    Key("limits.rateLimit", "limits.rate_limit_per_s", kinds.rate(1_000_000)),
    Key("idempotency.window", "idempotency.window_s", _DURATION),
    Key("idempotency.keys", "idempotency.keys", _COUNT),
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
    *("disableEncryption", "disableJSONRPC", "disableCMDMessageSync"),
    *("external.managerAddr", "external.apiUrl", "external.autoGetExternalIP", "external.monitorAddr"),
    *("messageRetry.scanInterval", "messageRetry.workerCount"),
    *("manager", "demo", "channel", "tmpChannel", "webhook", "datasource", "conversation", "streamCache", "auth"),
    *("jwt", "logger", "trace", "cluster", "plugin", "agent", "customerService", "tag", "monitor"),
)
"""Names of the original that have no effect here. A section stands for everything in it."""

_BY_NAME = {key.name.lower(): key for key in KEYS}
_BY_ENV = {key.env: key for key in KEYS}
_SECTIONS = {key.name.lower().rpartition(".")[0] for key in KEYS} - {""}


class Given(NamedTuple):
    """A value as somebody wrote it: the name it was found under, and where."""

    key: Key
    text: str
    source: str


class Loaded(NamedTuple):
    settings: Settings
    warnings: list[str]
    """Settings that were given and have no effect, each a line for the operator."""


def load(file: Path | None, environ: Mapping[str, str], options: Mapping[str, str]) -> Loaded:
    """Puts file, environment and command line together, and checks the result.

    Args:
        file: a YAML file, or None.
        environ: environment variables; those without `WK_` are not looked at.
        options: command-line options such as `--http`, with their texts.

    Raises:
        ConfigError: the file cannot be read, a value is wrong, or the settings do not fit together.
    """
    unused = _Unused()
    settings = Settings()
    by_option = {key.option: key for key in KEYS if key.option}
    in_file = list(_from_file(file, unused)) if file else []
    in_environment = list(_from_environment(environ, unused))
    in_options = [Given(by_option[option], text, option) for option, text in options.items() if text]
    for source in (in_file, in_environment, in_options):
        for field, value in _parse(source).items():
            settings = _replace(settings, field, value)
    settings = _locate_data(settings)
    check(settings)
    return Loaded(settings, unused.warnings())


def check(config: Config) -> None:
    """Refuses a configuration that cannot work or that would open the API to strangers. Reads the TLS files.

    Raises:
        ConfigError: names the setting, its value and what would be right.
    """
    for key in KEYS:
        if not key.alias and _has(config, key.field):
            _check_value(key, _get(config, key.field))
    listeners = config.listeners
    protected = config.auth.manager_token or config.auth.allow_open_api
    if listeners.http and not protected and not is_loopback(listeners.http.host):
        raise ConfigError(
            f"httpAddr = '{listeners.http}': other machines could use the API without a password; set managerToken, "
            "listen on 127.0.0.1, or set allowOpenApi: true if only trusted machines reach this address"
        )
    if listeners.wss:
        for name, file in (("wssConfig.certFile", listeners.cert_file), ("wssConfig.keyFile", listeners.key_file)):
            _check_readable(name, file)


def to_mapping(settings: Settings) -> dict[str, Any]:
    """The settings as a file would have them, nested, with secrets masked."""
    tree: dict[str, Any] = {}
    for key in KEYS:
        if key.alias:
            continue
        value = _get(settings, key.field)
        *sections, name = key.name.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = MASK if key.secret and value else key.kind.write(value)
    return tree


def _locate_data(settings: Settings) -> Settings:
    try:
        root_dir = settings.root_dir.expanduser()
    except RuntimeError:
        raise ConfigError(f"rootDir = '{settings.root_dir}': this user has no home directory; set rootDir") from None
    return replace(settings, root_dir=root_dir, data_dir=settings.data_dir or root_dir / "data")


def _check_value(key: Key, value: object) -> None:
    if key.secret and value == MASK:
        raise ConfigError(f"{key.name} = '{MASK}': this stands for a hidden value; give the real one")
    if not key.kind.valid(value):
        raise ConfigError(f"{key.name} = {_shown(key, value)}: {key.kind.expected}")


def _check_readable(name: str, file: Path | None) -> None:
    if file is None:
        raise ConfigError(f"{name} = '': wssAddr needs a certificate and its key; give the path of a PEM file")
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{name} = '{file}': {error.strerror}; give the path of a readable PEM file") from None


def _shown(key: Key, value: object) -> str:
    if key.secret:
        return MASK
    return repr(value if isinstance(value, str) else str(value))


def _parse(given: list[Given]) -> dict[str, Any]:
    """Field -> value for the settings of one source. Two names for one field must agree."""
    values: dict[str, Any] = {}
    origin: dict[str, Given] = {}
    for item in given:
        key = item.key
        try:
            value = key.kind.parse(item.text)
        except (ValueError, RuntimeError):  # RuntimeError: a path starts with ~ and nobody has a home
            value = None
            right = False
        else:
            right = key.kind.valid(value)
        if not right:
            raise ConfigError(f"{key.name} = {_shown(key, item.text)} (from {item.source}): {key.kind.expected}")
        if key.field in values and values[key.field] != value:
            other = origin[key.field].key.name
            raise ConfigError(
                f"{key.name} = {_shown(key, item.text)} (from {item.source}): {other} says otherwise; keep one of them"
            )
        values[key.field] = value
        origin[key.field] = item
    return values


def _from_environment(environ: Mapping[str, str], unused: "_Unused") -> Iterator[Given]:
    for variable, text in sorted(environ.items()):
        if not variable.startswith("WK_") or not text:
            continue
        if key := _BY_ENV.get(variable):
            yield Given(key, text, variable)
        elif any(variable == env or variable.startswith(env + "_") for env in map(env_name, UNSUPPORTED)):
            unused.unsupported.append(variable)
        else:
            unused.add_unknown(variable, "environment", [*_BY_ENV])


def _from_file(file: Path, unused: "_Unused") -> Iterator[Given]:
    for name, value in _flatten(_read_yaml(file)):
        key = _BY_NAME.get(name.lower())
        if value is None or value == "":
            continue
        if key and isinstance(value, str):
            yield Given(key, value, str(file))
        elif key:
            raise ConfigError(f"{name} (from {file}): it has one value, not a list; {key.kind.expected}")
        elif name.lower() in _SECTIONS:
            raise ConfigError(
                f"{name} = {value!r} (from {file}): this is a section, its settings go below it, indented"
            )
        elif any(name.lower() == old or name.lower().startswith(old + ".") for old in map(str.lower, UNSUPPORTED)):
            unused.unsupported.append(name)
        else:
            unused.add_unknown(name, str(file), [key.name for key in KEYS])


def _flatten(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_yaml(file: Path) -> dict[Any, Any]:
    """The file with every scalar as text: YAML's own guesses (`off`, `0123`, `3:00`) would lose what was written."""
    import yaml  # here: programs that embed a server do not need it

    class TextLoader(yaml.BaseLoader):
        pass

    null = "tag:yaml.org,2002:null"
    TextLoader.add_implicit_resolver(null, re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
    TextLoader.add_constructor(null, lambda loader, node: None)
    try:
        tree = yaml.load(file.read_bytes(), TextLoader)
    except OSError as error:
        raise ConfigError(f"--config '{file}': {error.strerror}; give the path of a YAML file") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not text in UTF-8"
        raise ConfigError(f"--config '{file}'{line}: this is not valid YAML: {problem}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"--config '{file}': the file must consist of settings, each written as `name: value`")
    return tree


class _Unused:
    """Collects what was given and has no effect."""

    def __init__(self) -> None:
        self.unsupported: list[str] = []
        self._unknown: list[str] = []

    def add_unknown(self, name: str, source: str, known: list[str]) -> None:
        by_lower = {candidate.lower(): candidate for candidate in known}
        near = get_close_matches(name.lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
        self._unknown.append(f"unknown setting {name} (from {source}) is ignored{hint}")

    def warnings(self) -> list[str]:
        if not self.unsupported:
            return self._unknown
        return [f"these settings have no effect in this server: {', '.join(self.unsupported)}", *self._unknown]


def _has(config: Config, field: str) -> bool:
    return hasattr(config, field.partition(".")[0])


def _get(config: Config, field: str) -> Any:
    value: Any = config
    for name in field.split("."):
        value = getattr(value, name)
    return value


def _replace(struct: Any, field: str, value: Any) -> Any:
    name, _, rest = field.partition(".")
    return replace(struct, **{name: _replace(getattr(struct, name), rest, value) if rest else value})

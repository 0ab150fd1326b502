"""How a YAML file, the environment and the command line become a `Config`. `setting_keys` has the names.

Later sources win: file, then `WK_*` variables, then options. An empty value counts as not given; an empty option is an
error.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from .config import Address, Config, Listeners
from .errors import ConfigError
from .hosts import is_loopback
from .setting_keys import KEYS, UNSUPPORTED, Key, env_name

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
    """What has no effect and what may be unsafe, each a line for the operator."""


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
    in_file = list(_from_file(file, unused)) if file else []
    in_environment = list(_from_environment(environ, unused))
    in_options = list(_from_options(options))
    for source in (in_file, in_environment, in_options):
        for field, value in _parse(source).items():
            settings = _replace(settings, field, value)
    settings = _locate_data(settings)
    check(settings)
    _check_reachable(settings)
    return Loaded(settings, [*unused.warnings(), *_risks(settings)])


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
    if listeners.need_certificate:
        for name, file in (("wssConfig.certFile", listeners.cert_file), ("wssConfig.keyFile", listeners.key_file)):
            _check_readable(name, file)


def differences(one: Settings, other: Settings) -> list[str]:
    """The names of the settings that are not the same in both."""
    return [key.name for key in KEYS if not key.alias and _get(one, key.field) != _get(other, key.field)]


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


def _check_reachable(settings: Settings) -> None:
    if not (settings.listeners.http or any(_for_clients(settings.listeners).values())):
        raise ConfigError(
            "httpAddr, addr, tlsAddr, wsAddr and wssAddr are all off: nobody could reach the server; "
            "give one of them an address, for example --ws 127.0.0.1:5200"
        )


def _for_clients(listeners: Listeners) -> dict[str, Address | None]:
    """Name of the setting -> where clients connect."""
    return {"addr": listeners.tcp, "tlsAddr": listeners.tls, "wsAddr": listeners.ws, "wssAddr": listeners.wss}


def _risks(settings: Settings) -> Iterator[str]:
    """What works and is probably not what was meant."""
    listeners, token_auth = settings.listeners, settings.auth.token_auth
    open_to_all = [
        f"{name} = '{address}'"
        for name, address in _for_clients(listeners).items()
        if address and not is_loopback(address.host)
    ]
    if open_to_all and token_auth != "on":
        whom = "any user" if token_auth == "off" else "any user for whom no token is stored"
        yield (
            f"{' and '.join(open_to_all)} with tokenAuth: {token_auth}: whoever reaches it can connect as {whom}; "
            "set tokenAuth: on, and store tokens with POST /user/token"
        )
    if not listeners.need_certificate and (listeners.cert_file or listeners.key_file):
        yield (
            "wssConfig has no effect, because wssAddr and tlsAddr are off; give one of them an address, for example "
            "--wss 0.0.0.0:5210"
        )


def _check_value(key: Key, value: object) -> None:
    if key.secret and value == MASK:
        raise ConfigError(f"{key.name} = '{MASK}': this stands for a hidden value; give the real one")
    if not key.kind.valid(value):
        raise ConfigError(f"{key.name} = {_shown(key, value)}: {_in_a_program(key, value) or key.kind.expected}")


def _in_a_program(key: Key, value: object) -> str:
    """What is right in a `Config` that has the text of a file in place of a value; empty if something else is wrong."""
    if isinstance(value, str) and not key.secret:
        with suppress(ValueError):
            meant = key.kind.parse(value)
            if key.kind.valid(meant):
                return f"a file says it like this; in a Config give {meant!r}"
    return ""


def _check_readable(name: str, file: Path | None) -> None:
    if file is None:
        raise ConfigError(
            f"{name} = '': wssAddr and tlsAddr need a certificate and its key; give the path of a PEM file"
        )
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


def _from_options(options: Mapping[str, str]) -> Iterator[Given]:
    by_option = {key.option: key for key in KEYS if key.option}
    for option, text in options.items():
        key = by_option[option]
        if not text:
            # Most likely a variable of a script that was not set. The default might be a surprise.
            raise ConfigError(f"{option} = '': the option is empty; leave it out, or {key.kind.expected}")
        yield Given(key, text, option)


def _from_environment(environ: Mapping[str, str], unused: "_Unused") -> Iterator[Given]:
    for variable, text in sorted(environ.items()):
        if not variable.startswith("WK_"):
            continue
        if not text:
            unused.add_empty(_BY_ENV.get(variable), variable)
        elif key := _BY_ENV.get(variable):
            yield Given(key, text, variable)
        elif any(variable == env or variable.startswith(env + "_") for env in map(env_name, UNSUPPORTED)):
            unused.unsupported.append(variable)
        else:
            unused.add_unknown(variable, "environment", [*_BY_ENV])


def _from_file(file: Path, unused: "_Unused") -> Iterator[Given]:
    for name, value in _flatten(_read_yaml(file)):
        key = _BY_NAME.get(name.lower())
        if value is None or value == "":
            unused.add_empty(key, f"{name} (from {file})")
        elif key and key.kind.many and isinstance(value, list) and all(isinstance(item, str) for item in value):
            yield Given(key, ",".join(value), str(file))
        elif key and isinstance(value, str):
            yield Given(key, value, str(file))
        elif key:
            raise ConfigError(f"{name} (from {file}): this is not the value of one setting; {key.kind.expected}")
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
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names: set[str] = set()
            for name, _ in node.value:
                if not isinstance(name, yaml.ScalarNode):
                    continue  # refused below
                if name.value in names:
                    problem = f"{name.value!r} is there twice; keep one of them"
                    raise yaml.constructor.ConstructorError(problem=problem, problem_mark=name.start_mark)
                names.add(name.value)
            return super().construct_mapping(node, deep)

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
        self._lines: list[str] = []

    def add_empty(self, key: Key | None, given: str) -> None:
        """Empty counts as not given. Where data is then kept would be a surprise."""
        if key and key.field in ("data_dir", "root_dir"):
            self._lines.append(f"{given} is empty and counts as not given")

    def add_unknown(self, name: str, source: str, known: list[str]) -> None:
        by_lower = {candidate.lower(): candidate for candidate in known}
        near = get_close_matches(name.lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
        self._lines.append(f"unknown setting {name} (from {source}) is ignored{hint}")

    def warnings(self) -> list[str]:
        if not self.unsupported:
            return self._lines
        return [f"these settings have no effect in this server: {', '.join(self.unsupported)}", *self._lines]


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

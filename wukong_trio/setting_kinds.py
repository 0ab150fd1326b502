"""Kinds of settings: how a piece of text becomes a value, which values are right, and how they are written down.

Every setting arrives as text, from a file, the environment or the command line alike, and is read by its `Kind`.
Durations become seconds (float), sizes are bytes (int).
"""

import os
import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard, TypeVar
from urllib.parse import urlsplit

from .config import ANY, Address
from .hosts import is_address, parse_networks

MAX_SECONDS = 3650 * 86400.0
SWITCHED_OFF = "off"
SECRET_PREFIX: Final = "whsec_"
"""What keys of Standard Webhooks begin with."""

_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_PLAIN_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_WHOLE_NUMBER = re.compile(r"-?\d{1,18}", re.ASCII)
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
_SEPARATOR = re.compile(r"[,\s]+")
_URL = re.compile(r"https?://[!-\"$-~]+", re.IGNORECASE)
"""Printable ASCII without `#`."""
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

T = TypeVar("T")


class Kind(NamedTuple):
    """What one sort of setting accepts.

    `parse` raises ValueError for text that is no such value; `valid` says whether a value may be used;
    `write` gives back text, a number or a bool from which `parse` makes the same value again.
    """

    expected: str
    """What would be right, as the end of an error message."""
    metavar: str
    parse: Callable[[str], Any]
    valid: Callable[[Any], bool]
    write: Callable[[Any], str | float | bool | list[str]] = str
    many: bool = False
    """A file may give a list instead of one text with commas."""


def parse_duration(text: str) -> float:
    """Seconds of `500ms`, `30s`, `3m`, `1h30m`, `1d`; a plain number counts seconds.

    Raises:
        ValueError: the text is no duration.
    """
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    return float(sum((Decimal(number) * _UNITS[unit] for number, unit in parts), Decimal(0)))


def write_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` turns into `seconds` again."""
    if not seconds:
        return "0s"
    exact = Decimal(repr(seconds))
    for unit in ("h", "m", "s", "ms"):
        if exact % _UNITS[unit] == 0:
            return f"{int(exact / _UNITS[unit])}{unit}"
    return f"{exact:f}s"


def parse_address(text: str, scheme: str = "") -> Address:
    """`HOST:PORT`, perhaps behind `scheme://`; an empty host means every IPv4 interface.

    Raises:
        ValueError: the text is no such address.
    """
    prefix = f"{scheme}://"
    rest = text[len(prefix) :] if scheme and text.lower().startswith(prefix) else text
    host, colon, port = rest.removesuffix("/").rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ip_address(host).version != 6:
            raise ValueError(text)
    elif host and not _HOST_NAME.fullmatch(host):
        raise ValueError(text)
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(text)
    return Address(host or "0.0.0.0", int(port))


def text() -> Kind:
    return Kind("give text in UTF-8 without line ends and other control characters", "TEXT", _same, _is_text)


def texts(item: re.Pattern[str], expected: str, metavar: str) -> Kind:
    """Several texts, lower case, each of which matches `item` or is `*`."""

    def valid(value: object) -> bool:
        return isinstance(value, tuple) and all(map(is_item, value))

    def is_item(text: object) -> bool:
        return isinstance(text, str) and (text == ANY or (bool(item.fullmatch(text)) and text == text.lower()))

    return Kind(expected, metavar, _parse_list, valid, list, many=True)


def origins() -> Kind:
    return texts(
        _ORIGIN, "give origins as browsers send them, for example https://chat.example.org, or * for all", "ORIGIN,…"
    )


def host_names() -> Kind:
    return texts(
        _HOST_NAME,
        "give names of hosts in lower case without a port, for example im.example.org, or * for all",
        "HOST,…",
    )


def networks() -> Kind:
    """Addresses of machines and networks, of both versions."""

    def valid(value: object) -> bool:
        if not isinstance(value, tuple) or not all(map(_is_text, value)):
            return False
        try:
            parse_networks(value)
        except ValueError:
            return False
        return True

    return Kind(
        "give IP addresses, or networks without bits beyond their prefix, for example 127.0.0.1 or 10.0.0.0/8",
        "NETWORK,…",
        _parse_list,
        valid,
        list,
        many=True,
    )


def host() -> Kind:
    """The name or the address of a machine, without a port; empty for none."""

    def parse(given: str) -> str:
        return given[1:-1] if given.startswith("[") and given.endswith("]") and ":" in given else given

    def valid(value: object) -> bool:
        return isinstance(value, str) and (not value or bool(_HOST_NAME.fullmatch(value)) or is_address(value))

    return Kind(
        "give a host name or an IP address without scheme and port, for example im.example.org", "HOST", parse, valid
    )


def boolean(*, inverted: bool = False) -> Kind:
    """True or false; an inverted one is the opposite of what is written down."""

    def parse(word: str) -> bool:
        return _look_up(_WORDS, word) is not inverted

    def write(value: bool) -> bool:
        return value is not inverted

    return Kind("give true or false", "BOOL", parse, lambda value: isinstance(value, bool), write)


def choice(values: Sequence[str], synonyms: Mapping[str, str] | None = None) -> Kind:
    words = {value: value for value in values} | dict(synonyms or {})
    listed = ", ".join(values[:-1]) + " or " + values[-1]
    return Kind(f"give {listed}", "|".join(values), lambda word: _look_up(words, word), lambda value: value in values)


def choices(values: Sequence[str]) -> Kind:
    """Several of some words, separated by commas or blanks."""
    listed = ", ".join(values)

    def parse(given: str) -> tuple[str, ...]:
        return tuple(_SEPARATOR.sub(" ", given).lower().split())

    def valid(value: object) -> bool:
        return isinstance(value, tuple) and all(word in values for word in value)

    return Kind(f"give some of {listed}", "WORD,…", parse, valid, list, many=True)


def url() -> Kind:
    """Where an HTTP request goes; empty for nowhere."""
    return Kind(
        "give a URL with http:// or https://, a host and no fragment, for example http://127.0.0.1:8090/hook",
        "URL",
        _same,
        lambda value: value == "" or _is_url(value),
    )


def signing_secret() -> Kind:
    """A key as Standard Webhooks writes it; empty for none."""
    return Kind(
        "give whsec_ and 24 to 64 random bytes in base64, for example the output of: "
        "echo whsec_$(head -c 32 /dev/urandom | base64)",
        "whsec_…",
        _same,
        lambda value: value == "" or _is_signing_secret(value),
    )


def integer(low: int, high: int) -> Kind:
    def parse(digits: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(digits):
            raise ValueError(digits)
        return int(digits)

    def valid(value: object) -> bool:
        return _is_whole(value) and low <= value <= high

    return Kind(f"give a whole number from {low} to {high}", "N", parse, valid, int)


def rate(high: float) -> Kind:
    def valid(value: object) -> bool:
        return _is_number(value) and 0 <= value <= high

    return Kind(f"give a number from 0 to {high:.0f}", "N", float, valid, _number)


def duration(*, zero: bool = False) -> Kind:
    example = f"give a duration such as 500ms, 30s, 3m or 1d, {'' if zero else 'more than 0 and '}at most 3650d"

    def valid(value: object) -> bool:
        return _is_number(value) and (0 if zero else 1e-9) <= value <= MAX_SECONDS

    return Kind(example, "DURATION", parse_duration, valid, write_duration)


def path() -> Kind:
    return Kind(
        "give the path of a file or directory",
        "PATH",
        lambda name: Path(name).expanduser(),
        lambda value: value is None or _is_path(value),
        lambda value: "" if value is None else str(value),
    )


def address(scheme: str, port: int) -> Kind:
    """An address for `scheme://`, or None for a listener that is switched off."""

    def parse(given: str) -> Address | None:
        return None if _WORDS.get(given.lower()) is False else parse_address(given, scheme)

    def valid(value: object) -> bool:
        return value is None or (
            isinstance(value, Address)
            and bool(value.host)
            and _is_text(value.host)
            and _is_whole(value.port)
            and 0 <= value.port <= 65535
        )

    expected = f"give HOST:PORT with a port up to 65535, for example 127.0.0.1:{port}, or {SWITCHED_OFF}"
    return Kind(expected, "HOST:PORT", parse, valid, lambda value: SWITCHED_OFF if value is None else str(value))


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


def _same(given: str) -> str:
    return given


def _parse_list(listed: str) -> tuple[str, ...]:
    return tuple(text for part in listed.split(",") if (text := part.strip().lower()))


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or _CONTROL_CHARACTER.search(value):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or not _URL.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_signing_secret(value: object) -> bool:
    if not isinstance(value, str) or not value.startswith(SECRET_PREFIX):
        return False
    try:
        return 24 <= len(b64decode(value.removeprefix(SECRET_PREFIX), validate=True)) <= 64
    except ValueError:
        return False


def _is_path(value: object) -> bool:
    """Whether the operating system can be asked for it."""
    try:
        return isinstance(value, Path) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _look_up(words: Mapping[str, T], word: str) -> T:
    try:
        return words[word.lower()]
    except KeyError:
        raise ValueError(word) from None

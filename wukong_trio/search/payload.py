"""Which texts a payload has, and under which names."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeGuard

import msgspec

from ..protocol.nesting import too_deep

CONTENT: Final = "content"
"""The member that holds what people write."""
TYPE: Final = "type"
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def read_payload(payload: bytes) -> dict[str, Any] | None:
    """The members of a payload; None if it is no JSON object."""
    if payload[:1] != b"{" and payload.lstrip()[:1] != b"{":
        return None
    try:
        return None if too_deep(payload) else _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def texts_of(members: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """The texts in a payload, each with its path: the names from the outside in, joined by dots.

    Entries of lists have the path of their list. Whole numbers of 64 bits are texts, too, but the type of the payload
    is none.
    """
    for name, value in members.items():
        yield from _texts(value, f"{path}.{name}" if path else name)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        yield from texts_of(value, path)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path)
    elif is_number(value) and path != TYPE:
        yield path, str(value)


def type_of(members: Mapping[str, Any]) -> int | None:
    """The type of a payload; None if it has none."""
    value = members.get(TYPE)
    return value if is_number(value) else None


def is_number(value: object) -> TypeGuard[int]:
    """Whether this is a whole number of 64 bits. Nobody asks for larger ones, and those may be very large."""
    return type(value) is int and -(2**63) <= value < 2**63


def marked(members: Mapping[str, Any], mark: Mapping[str, Callable[[str], str]], path: str = "") -> dict[str, Any]:
    """The same payload with texts replaced.

    Args:
        mark: by the path of a text, what to do with it.
    """
    return {name: _marked(value, mark, f"{path}.{name}" if path else name) for name, value in members.items()}


def _marked(value: Any, mark: Mapping[str, Callable[[str], str]], path: str) -> Any:
    if isinstance(value, str):
        return mark[path](value) if path in mark else value
    if isinstance(value, dict):
        return marked(value, mark, path)
    if isinstance(value, list):
        return [_marked(item, mark, path) for item in value]
    return value

"""Reading JSON bodies and writing JSON lists, at a cost that follows their bytes and without stopping everybody else.

A body is decoded straight into the type that its endpoint takes, so what does not fit that type is never built. `null`
counts as absent, and what follows the first value is ignored, as by the original.

Decoding and encoding cannot be interrupted. So the lists of a large body are cut out first and decoded in slices, and
large lists are encoded in slices; other tasks get their turn in between.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, TypeVar, cast, get_args, get_origin

import msgspec
import trio
from msgspec import Raw, Struct

T = TypeVar("T")

LARGE_BYTES: Final = 512 * 1024
"""A longer body is read in slices."""
REST_BYTES: Final = 1024 * 1024
"""Of a large body, beside its lists: the payload of a message, for example."""
SLICE_BYTES: Final = 128 * 1024
SLICE_ITEMS: Final = 4096
MAX_ITEMS: Final = 2_000_000
"""Entries in the lists of one body."""
MAX_BRACKETS: Final = 1000
"""Lists in a large body. Requests have one."""

_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")
"""What msgspec says of them; the number is one beyond the last byte that was read."""
_BLANK: Final = rb"[ \t\r\n]*+"
_STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
_NO_LIST: Final = re.compile(rb'(?:[^"\[]++|%b)*+' % _STRING, re.DOTALL)
"""Anything up to a `[` that is not in a string."""
_STRINGS: Final = re.compile(rb"(?:%b%b%b,%b)*+" % (_BLANK, _STRING, _BLANK, _BLANK), re.DOTALL)
_LAST_STRING: Final = re.compile(rb"%b(?:%b)?+%b\]" % (_BLANK, _STRING, _BLANK), re.DOTALL)
_decode_strings = msgspec.json.Decoder(list[str]).decode
_encoder = msgspec.json.Encoder()


class BodyError(Exception):
    """A body that is not what the endpoint takes. Why is for the log."""


class TooManyItemsError(BodyError):
    """The lists of the body have more than MAX_ITEMS entries."""


class BodyReader(Generic[T]):
    """Reads bodies of one type: a Struct, or a list of strings."""

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._decoder = msgspec.json.Decoder(type_)
        lenient: Any = _with_nulls(type_)
        self._lenient = msgspec.json.Decoder(lenient)

    def read(self, body: bytes | bytearray) -> T:
        """The request in a body.

        Raises:
            BodyError: it is none.
        """
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._read_leniently(body)

    def _read_leniently(self, body: bytes | bytearray) -> T:
        try:
            try:
                value = self._lenient.decode(body)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError as error:
                trailing = _TRAILING.search(str(error))
                if trailing is None:
                    raise
                value = self._lenient.decode(memoryview(body)[: int(trailing[1]) - 1])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BodyError(str(error)) from None
        request: T = _without_nulls(value, self._type)
        return request

    async def read_in_slices(self, body: bytes | bytearray) -> T:
        """The same for a large body.

        Raises:
            BodyError: it is none, or has more beside its lists than a body usually has at all.
            TooManyItemsError: its lists are too long.
        """
        rest, lists = await _cut_lists(body)
        request = self.read(rest)
        if isinstance(request, list):
            return cast("T", lists[int(request[0])] if request else [])
        for name in _list_fields(self._type):
            if number := getattr(request, name):
                setattr(request, name, lists[int(number[0])])
        return request


async def encode_list(items: Iterable[object]) -> Raw:
    """A list as JSON, with turns for others in between."""
    encoded = bytearray(b"[")
    due_bytes = SLICE_BYTES
    for number, item in enumerate(items, start=1):
        _encoder.encode_into(item, encoded, len(encoded))
        encoded += b","
        if number % SLICE_ITEMS == 0 or len(encoded) > due_bytes:
            due_bytes = len(encoded) + SLICE_BYTES
            await trio.lowlevel.checkpoint()
    if len(encoded) > 1:
        encoded.pop()
    encoded += b"]"
    return Raw(encoded)


def encode_short_list(items: Sequence[object]) -> Raw:
    """The same at once, which is twice as fast, for lists that take less than SLICE_BYTES."""
    return Raw(_encoder.encode(items))


def as_value(encoded: Raw) -> Any:
    """What is encoded already, for a member that is any value."""
    return encoded


def as_list(encoded: Raw) -> list[Any]:
    """What is encoded already, for a member that is a list: to the encoder it is the same."""
    return cast("list[Any]", encoded)


def _list_fields(type_: Any) -> list[str]:
    if not _is_struct(type_):
        return []
    return [field.name for field in msgspec.structs.fields(type_) if field.type == list[str]]


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Struct)


def _item_type(type_: Any) -> Any:
    """The Struct that a list is of; None if it is no such list."""
    items = get_args(type_) if get_origin(type_) is list else ()
    return items[0] if items and _is_struct(items[0]) else None


def _with_nulls(type_: Any) -> Any:
    """The same type with `null` allowed where a value may be missing."""
    if item := _item_type(type_):
        type_ = list[_with_nulls(item)]  # type: ignore[misc]  # a type that is made here
    if not _is_struct(type_):
        return type_ | None
    fields = [(field.name, _with_nulls(field.type), None) for field in msgspec.structs.fields(type_)]
    return msgspec.defstruct(type_.__name__, fields) | None


def _without_nulls(value: Any, type_: Any) -> Any:
    """A value of `_with_nulls(type_)` as one of `type_`."""
    if item := _item_type(type_):
        return [_without_nulls(part, item) for part in value or ()]
    if not _is_struct(type_):
        return [] if value is None else value
    parts = [(field, getattr(value, field.name, None)) for field in msgspec.structs.fields(type_)]
    return type_(**{field.name: _without_nulls(part, field.type) for field, part in parts if part is not None})


async def _cut_lists(body: bytes | bytearray) -> tuple[bytes, list[list[str]]]:
    """The body with each list of strings replaced by one that holds its number, and these lists."""
    rest = bytearray()
    lists: list[list[str]] = []
    items_left, brackets_left = MAX_ITEMS, MAX_BRACKETS
    position = 0
    while position < len(body):
        await trio.lowlevel.checkpoint()
        end = _end(_NO_LIST, body, position)
        if end == position and body[position : position + 1] == b'"':
            end = _end(_NO_LIST, body, position, REST_BYTES)
        part = body[position:end]
        rest += b" " if part.isspace() else part
        if body[end : end + 1] == b"[":
            strings, position = await _read_strings(body, end + 1, items_left)
            items_left -= len(strings or ())
            brackets_left -= 1
            rest += b"[" if strings is None else b'["%d"]' % len(lists) if strings else b"[]"
            if strings:
                lists.append(strings)
        elif end > position:
            position = end
        else:
            raise BodyError("a text has no end, or is too long")
        if len(rest) > REST_BYTES or brackets_left < 0:
            raise BodyError("there is too much beside the lists")
    return bytes(rest), lists


async def _read_strings(body: bytes | bytearray, start: int, limit: int) -> tuple[list[str] | None, int]:
    """The strings of a list that begins before `start`, and its end; None and `start` if it holds something else."""
    strings: list[str] = []
    position = start
    while (end := _end(_STRINGS, body, position)) > position and len(strings) <= limit:
        strings += _decoded(body[position:end].rstrip().removesuffix(b","))
        position = end
        await trio.lowlevel.checkpoint()
    end = _end(_LAST_STRING, body, position)
    if end == position:
        if len(strings) > limit:
            raise TooManyItemsError
        if strings or body[start : start + SLICE_BYTES].lstrip()[:1] in (b"", b'"'):
            raise BodyError("a list has something else among its texts")
        return None, start
    strings += _decoded(body[position : end - 1])
    if len(strings) > limit:
        raise TooManyItemsError
    return strings, end


def _end(pattern: re.Pattern[bytes], body: bytes | bytearray, position: int, reach_bytes: int = SLICE_BYTES) -> int:
    """How far a pattern reaches within a slice, or within so much."""
    match = pattern.match(body, position, position + reach_bytes)
    return match.end() if match is not None else position


def _decoded(strings: bytes | bytearray) -> list[str]:
    try:
        return _decode_strings(b"[%b]" % bytes(strings))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BodyError(str(error)) from None

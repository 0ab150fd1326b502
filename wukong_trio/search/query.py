"""What may be asked: checked once, and taken apart."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from ..errors import InvalidArgumentError
from ..services.arguments import check_id, check_not_blank, check_number, to_sequence
from .hits import MOST_TERMS
from .payload import CONTENT, TYPE, is_number
from .text import Words

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 100
MAX_REACH: Final = 10_000
"""Messages that can be turned over page by page."""
MAX_CONDITIONS: Final = 16
MAX_TEXT: Final = 256
"""Characters of one condition."""
MAX_TYPES: Final = 100
MAX_DEPTH: Final = 16
_PAYLOAD: Final = "payload."


class SearchQuery(Struct, frozen=True, kw_only=True):
    """Which messages somebody looks for. All conditions have to hold; what is left out is none."""

    uid: str
    """Who may read them: his person channels, and the channels that he is a member of now."""
    payload: Mapping[str, Any] = {}
    """Words that members of the payload have, for example `{"content": "hello"}`; of inner ones by objects in it. Whole
    numbers are words; `type` may be one as well."""
    payload_types: Sequence[int] = ()
    from_uid: str = ""
    channel_id: str = ""
    """As he sees it: for persons the peer's uid."""
    channel_type: int = 0
    topic: str = ""
    start_time: int = 0
    """Seconds since 1970, inclusive; so is `end_time`, where 0 is no end."""
    end_time: int = 0
    limit: int = DEFAULT_LIMIT
    """Of one page: 10 by default, 100 at most."""
    page: int = 1
    highlights: Sequence[str] = ()
    """Members in whose texts the words are marked, for example `payload.content`."""


class Wish(Struct, frozen=True, kw_only=True):
    """A checked query, as far as it has to be taken apart."""

    words: Mapping[str, Words]
    """By the paths of the members that have to have them."""
    types: Sequence[int]
    limit: int
    page: int
    marked: frozenset[str]
    """Paths."""
    possible: bool
    """Whether any message can be as it asks."""
    certain: bool
    """Whether a message that has the terms has the words: in `content`, which has terms of its own, and unless there
    are too many of them."""

    @property
    def reach(self) -> int:
        """So many of the newest hits are needed."""
        return self.page * self.limit


def read_query(query: SearchQuery) -> Wish:
    """Takes a query apart.

    Raises:
        InvalidArgumentError: a field has an impossible value.
    """
    check_not_blank("uid", query.uid)
    for name in ("uid", "from_uid", "channel_id", "topic"):
        check_id(name, getattr(query, name))
    for name in ("channel_type", "start_time", "end_time", "limit", "page"):
        check_number(name, getattr(query, name))
    if not isinstance(query.payload, Mapping):
        raise InvalidArgumentError("payload", f"is a mapping, not {type(query.payload).__name__}")
    conditions = list(islice(_conditions(query.payload, ""), MAX_CONDITIONS + 1))
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidArgumentError("payload", f"has more than {MAX_CONDITIONS} conditions")
    words = {path: Words(text) for path, text in conditions if isinstance(text, str)}
    limit, page = _part(query)
    types = _types(query, [type_ for _, type_ in conditions if isinstance(type_, int)])
    return Wish(
        words=words,
        types=types or (),
        limit=limit,
        page=page,
        marked=_marked(query.highlights),
        certain=_is_certain(words),
        possible=types is not None and all(words.values()),
    )


def _conditions(members: Mapping[str, Any], path: str) -> Iterator[tuple[str, str | int]]:
    """The paths and texts that are asked for, and types as numbers. Blank texts ask for nothing."""
    for name, value in members.items():
        inner = f"{path}.{name}" if path else name
        field = _PAYLOAD + inner
        if isinstance(value, Mapping) and inner.count(".") < MAX_DEPTH:
            yield from _conditions(value, inner)
        elif is_number(value):
            yield inner, value if inner == TYPE else str(value)
        elif not isinstance(value, str):
            raise InvalidArgumentError(field, "must be a text or a whole number of 64 bits")
        elif len(value) > MAX_TEXT:
            raise InvalidArgumentError(field, f"is longer than {MAX_TEXT} characters")
        elif value.strip():
            yield inner, value


def _is_certain(words: Mapping[str, Words]) -> bool:
    content = words.get(CONTENT)
    if content is None or len(words) > 1:
        return not words
    return content.exact and len(content.terms()) <= MOST_TERMS


def _types(query: SearchQuery, asked: Sequence[int]) -> Sequence[int] | None:
    """The types that a payload may have, empty if it does not matter; None if it can have none."""
    given = to_sequence("payload_types", query.payload_types)
    if len(given) > MAX_TYPES:
        raise InvalidArgumentError("payload_types", f"has more than {MAX_TYPES} entries")
    if not all(is_number(type_) for type_ in given):
        raise InvalidArgumentError("payload_types", "must be numbers of 64 bits")
    if not asked:
        return given
    return [type_ for type_ in asked if type_ in (given or asked)] or None


def _part(query: SearchQuery) -> tuple[int, int]:
    """How many messages of which page."""
    limit = min(query.limit, MAX_LIMIT) if query.limit > 0 else DEFAULT_LIMIT
    page = max(query.page, 1)
    if limit * page > MAX_REACH:
        raise InvalidArgumentError("page", f"is beyond the newest {MAX_REACH} messages")
    return limit, page


def _marked(highlights: Sequence[str]) -> frozenset[str]:
    paths = to_sequence("highlights", highlights)
    if len(paths) > MAX_CONDITIONS:
        raise InvalidArgumentError("highlights", f"has more than {MAX_CONDITIONS} entries")
    if not all(isinstance(path, str) and path.startswith(_PAYLOAD) for path in paths):
        raise InvalidArgumentError("highlights", "must be members of the payload, for example payload.content")
    return frozenset(path.removeprefix(_PAYLOAD) for path in paths)

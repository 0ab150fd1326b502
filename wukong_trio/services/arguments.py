"""Rules for ids, lists and numbers in the calls of back-ends and programs. Who breaks one gets an InvalidArgumentError.

The problems that back-ends know texts for have names here.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final, TypeVar

import trio

from ..errors import InvalidArgumentError
from ..model import SPECIAL_CHARACTERS, ChannelKey, ChannelType, fits, person_channel_id
from .addressing import MAX_ID_BYTES
from .permission import CHANNEL_TYPES

T = TypeVar("T")

EMPTY: Final = "is empty"
SPECIAL: Final = "holds @, # or &"
NO_TYPE: Final = "is 0, which is no type of channels"
UNKNOWN_TYPE: Final = "is no type of channels"
PERSON: Final = "is that of persons, who have no members"
SYSTEM: Final = "is the system's own"
UIDS_AT_ONCE: Final = 4096
"""Of a long list; between them others get their turn."""
MAX_NUMBER: Final = 2**63 - 1
"""The largest that stores can hold."""
NEGATIVE: Final = f"is a number from 0 to {MAX_NUMBER}"
SURELY_FITS: Final = MAX_ID_BYTES // 4
"""No text of so many characters is too long, whatever the characters."""


def wrong_type(value: object, type_: type) -> str:
    """What is wrong with the type of a value, empty if nothing is. Of subclasses only enumerations of int are taken:
    encoders know no others. A text has to be one that can be encoded.
    """
    if type(value) is not type_ and not (type_ is int and isinstance(value, int) and isinstance(value, Enum)):
        return f"must be {type_.__name__}, not {type(value).__name__}"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds half a character (a lone surrogate)"
    return ""


def check_given(field: str, text: str) -> None:
    """Refuses what is no text, or an empty one."""
    if problem := wrong_type(text, str) or ("" if text else EMPTY):
        raise InvalidArgumentError(field, problem)


def check_not_blank(field: str, text: str) -> None:
    """Refuses a blank text as well."""
    if problem := wrong_type(text, str) or ("" if text.strip() else EMPTY):
        raise InvalidArgumentError(field, problem)


def check_id(field: str, text: str) -> None:
    """Refuses what is no text, or longer than an id may be."""
    if type(text) is str and len(text) <= SURELY_FITS and text.isascii():
        return
    if problem := wrong_type(text, str):
        raise InvalidArgumentError(field, problem)
    if not fits(text, MAX_ID_BYTES):
        raise InvalidArgumentError(field, f"is longer than {MAX_ID_BYTES} bytes")


def check_user(uid: str) -> None:
    """Refuses what cannot be a user."""
    check_not_blank("uid", uid)
    check_id("uid", uid)


def check_plain(field: str, text: str) -> None:
    """Refuses the characters that join the parts of stored ids."""
    if not SPECIAL_CHARACTERS.isdisjoint(text):
        raise InvalidArgumentError(field, SPECIAL)


def check_number(field: str, number: int, lowest: int = -MAX_NUMBER - 1, highest: int = MAX_NUMBER) -> None:
    """Refuses what is no number from `lowest` to `highest`; where none is given, what stores cannot hold."""
    if type(number) is int and lowest <= number <= highest:
        return
    if problem := wrong_type(number, int):
        raise InvalidArgumentError(field, problem)
    if not lowest <= number <= highest:
        raise InvalidArgumentError(field, f"is a number from {lowest} to {highest}")


async def clean_uids(field: str, uids: Iterable[str]) -> list[str]:
    """The uids of a list without blank ones. Long lists give way to other tasks in between."""
    listed = to_sequence(field, uids)
    cleaned: list[str] = []
    for start in range(0, len(listed), UIDS_AT_ONCE):
        if start:
            await trio.lowlevel.checkpoint()
        for uid in listed[start : start + UIDS_AT_ONCE]:
            if type(uid) is not str or uid.strip():
                check_id("uid", uid)
                cleaned.append(uid)
    return cleaned


def to_sequence(field: str, values: Iterable[T]) -> Sequence[T]:
    """What can be gone through; a text is no list of texts."""
    if isinstance(values, list | tuple):
        return values
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidArgumentError(field, f"must be a list, not {type(values).__name__}")
    return list(values)


def any_key(channel_id: str, channel_type: int) -> ChannelKey:
    """A channel of a type that there need not be."""
    check_id("channel_id", channel_id)
    check_number("channel_type", channel_type, 0)
    return ChannelKey(channel_id, int(channel_type))


def known_key(channel_id: str, channel_type: int) -> ChannelKey:
    """A channel of one of the types."""
    key = any_key(channel_id, channel_type)
    if key.channel_type not in CHANNEL_TYPES:
        raise InvalidArgumentError("channel_type", UNKNOWN_TYPE if key.channel_type else NO_TYPE)
    return key


def viewed_key(login_uid: str, channel_id: str, channel_type: int) -> ChannelKey:
    """The stored channel that a user sees under this id; without a user, the id is the stored one."""
    key = any_key(channel_id, channel_type)
    check_id("login_uid", login_uid)
    if key.channel_type == ChannelType.PERSON and login_uid:
        return ChannelKey(person_channel_id(login_uid, channel_id), key.channel_type)
    return key

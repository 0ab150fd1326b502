"""Checks that several handlers share. The texts are those that back-ends and their tests know."""

from collections.abc import Sequence

import trio

from ..model import SPECIAL_CHARACTERS, ChannelKey, ChannelType, fits, person_channel_id
from ..services.addressing import MAX_ID_BYTES
from ..services.permission import CHANNEL_TYPES
from .bodies import SLICE_ITEMS
from .table import ApiError


def given(text: str, message: str) -> None:
    """Refuses an empty text."""
    if not text:
        raise ApiError(message)


def required(text: str, message: str) -> None:
    """Refuses a blank text."""
    if not text.strip():
        raise ApiError(message)


def plain(text: str, message: str) -> None:
    """Refuses the characters that join the parts of stored ids."""
    if not SPECIAL_CHARACTERS.isdisjoint(text):
        raise ApiError(message)


def within_limit(name: str, *ids: str) -> None:
    """Refuses ids that are too long."""
    if not all(fits(text, MAX_ID_BYTES) for text in ids):
        raise ApiError(f"{name} is longer than {MAX_ID_BYTES} bytes")


async def clean_uids(uids: Sequence[str]) -> list[str]:
    """The uids of a list without blank ones. Long lists give way to other tasks in between."""
    cleaned: list[str] = []
    for start in range(0, len(uids), SLICE_ITEMS):
        if start:
            await trio.lowlevel.checkpoint()
        given_uids = [uid for uid in uids[start : start + SLICE_ITEMS] if uid.strip()]
        within_limit("uid", *given_uids)
        cleaned += given_uids
    return cleaned


def channel_key(channel_id: str, channel_type: int) -> ChannelKey:
    """The channel a request names."""
    within_limit("channel_id", channel_id)
    if channel_type not in CHANNEL_TYPES:
        raise ApiError("频道类型错误！")
    return ChannelKey(channel_id, channel_type)


def viewed_key(login_uid: str, channel_id: str, channel_type: int) -> ChannelKey:
    """The stored channel that a user sees under this id; of a type that there need not be."""
    within_limit("channel_id or login_uid", channel_id, login_uid)
    if channel_type == ChannelType.PERSON:
        channel_id = person_channel_id(login_uid, channel_id)
    return ChannelKey(channel_id, channel_type)

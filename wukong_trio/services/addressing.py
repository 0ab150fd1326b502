"""Channel ids: from what clients write to what is stored, and back to what each receiver sees."""

from collections.abc import Iterable
from hashlib import blake2b

from ..model import (
    COMMAND_CHANNEL_SUFFIX,
    ONLINE_COMMAND_CHANNEL_ID,
    SPECIAL_CHARACTERS,
    ChannelKey,
    ChannelType,
    person_channel_id,
)

MAX_ID_BYTES = 512
_PERSON = int(ChannelType.PERSON)
_AGENT = int(ChannelType.AGENT)


def stored_key(from_uid: str, channel_id: str, channel_type: int) -> ChannelKey | None:
    """The stored channel that a sender means.

    For persons `channel_id` is the peer's uid, or the stored id itself if the sender is one of its two parties.

    Returns:
        None if no such channel can exist for this sender.
    """
    if channel_type == _PERSON:
        if "@" in channel_id:
            return _own_stored_key(from_uid, channel_id, _PERSON)
        if SPECIAL_CHARACTERS.isdisjoint(channel_id):
            return ChannelKey(person_channel_id(from_uid, channel_id), _PERSON)
        return None
    if channel_type == _AGENT:
        if "@" in channel_id:
            return _own_stored_key(from_uid, channel_id, _AGENT)
        return ChannelKey(f"{from_uid}@{channel_id}", _AGENT)
    return ChannelKey(channel_id, channel_type)


def _own_stored_key(uid: str, stored_id: str, channel_type: int) -> ChannelKey | None:
    first, _, second = stored_id.partition("@")
    if not first or not second or uid not in (first, second) or not SPECIAL_CHARACTERS.isdisjoint(second):
        return None
    if channel_type == _PERSON and person_channel_id(first, second) != stored_id:
        return None
    return ChannelKey(stored_id, channel_type)


def is_internal(channel_id: str) -> bool:
    """Whether this is a name of the server's own, which clients may not use."""
    return channel_id.endswith(COMMAND_CHANNEL_SUFFIX) or channel_id == ONLINE_COMMAND_CHANNEL_ID


def direct_key(uids: Iterable[str]) -> ChannelKey:
    """The temporary channel of what is sent to a list of users. The same list gives the same channel."""
    digest = blake2b("\n".join(uids).encode(), digest_size=8).digest()
    return ChannelKey(str(int.from_bytes(digest, "big")), int(ChannelType.TEMPORARY))


def peer_of(uid: str, stored_id: str) -> str:
    """The other party of a stored person channel; the uid itself in a conversation with oneself."""
    if stored_id.startswith(uid + "@"):
        return stored_id[len(uid) + 1 :]
    return stored_id[: -len(uid) - 1]

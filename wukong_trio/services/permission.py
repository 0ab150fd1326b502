"""Who may send where: plain decisions on cached channels. The first rule that fails decides."""

from collections.abc import Container
from typing import Final

from ..model import ChannelFlags, ChannelType, ReasonCode, parties
from .directory import Channel

_OPEN_TO_ALL: Final = frozenset({ChannelType.CUSTOMER_SERVICE, ChannelType.INFO})
_WITHOUT_STATE: Final = _OPEN_TO_ALL | {ChannelType.VISITORS, ChannelType.AGENT}
"""Channels whose ban and disband flags are not looked at."""
CHANNEL_TYPES: Final = frozenset(int(t) for t in ChannelType)


def check_state(key_type: int, flags: ChannelFlags) -> ReasonCode:
    """What stops everybody, back-ends included: the channel is banned or disbanded."""
    if key_type not in _WITHOUT_STATE:
        if flags.ban:
            return ReasonCode.BAN
        if flags.disband:
            return ReasonCode.DISBAND
    return ReasonCode.SUCCESS


def check_send(
    uid: str,
    channel: Channel,
    sender: Channel,
    receiver: Channel | None,
    *,
    system_uids: Container[str],
    whitelist_off_of_person: bool,
) -> ReasonCode:
    """Whether a client may send to a channel.

    Args:
        uid: the sender.
        channel: where the message goes.
        sender: the record of the sender, (uid, person): its flags are those of the user.
        receiver: the record of the peer: his deny and allow lists. None unless it is a person channel.
        system_uids: accounts that may write to everybody and whom everybody may write to.
        whitelist_off_of_person: allow lists of users are not enforced.
    """
    kind = channel.key.channel_type
    if sender.flags.send_ban:
        return ReasonCode.SEND_BAN
    state = check_state(kind, channel.flags)
    if state is not ReasonCode.SUCCESS:
        return state
    if kind in _OPEN_TO_ALL or uid in system_uids:
        return ReasonCode.SUCCESS
    if kind in (ChannelType.AGENT, ChannelType.VISITORS) and uid in parties(channel.key):
        return ReasonCode.SUCCESS
    if receiver is not None:
        if receiver.key.channel_id in system_uids:
            return ReasonCode.SUCCESS
        return _check_person(uid, receiver, whitelist_off_of_person)
    return _check_member(uid, channel)


def _check_person(uid: str, receiver: Channel, whitelist_off: bool) -> ReasonCode:
    if uid in receiver.denied:
        return ReasonCode.IN_BLACKLIST
    if whitelist_off or receiver.flags.allow_stranger or uid in receiver.allowed:
        return ReasonCode.SUCCESS
    return ReasonCode.NOT_IN_WHITELIST


def _check_member(uid: str, channel: Channel) -> ReasonCode:
    if not channel.exists:
        return ReasonCode.CHANNEL_NOT_EXIST
    if channel.flags.send_ban:
        return ReasonCode.SEND_BAN
    if uid in channel.denied:
        return ReasonCode.IN_BLACKLIST
    if uid not in channel.subscribers:
        return ReasonCode.SUBSCRIBER_NOT_EXIST
    if channel.allowed and uid not in channel.allowed:
        return ReasonCode.NOT_IN_WHITELIST
    return ReasonCode.SUCCESS

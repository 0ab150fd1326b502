"""The order of the permission rules."""

import pytest

from wukong_trio.model import ChannelFlags, ChannelKey, ReasonCode
from wukong_trio.services.directory import Channel
from wukong_trio.services.permission import check_send
from wukong_trio.store.base import ChannelRecord

OK = ReasonCode.SUCCESS


def channel(
    channel_id: str,
    kind: int,
    *,
    subscribers: set[str] = frozenset(),  # type: ignore[assignment]
    denied: set[str] = frozenset(),  # type: ignore[assignment]
    allowed: set[str] = frozenset(),  # type: ignore[assignment]
    **flags: bool,
) -> Channel:
    return Channel(
        ChannelRecord(
            key=ChannelKey(channel_id, kind),
            flags=ChannelFlags(**flags) if flags else None,
            subscribers=frozenset(subscribers),
            denied=frozenset(denied),
            allowed=frozenset(allowed),
        )
    )


def check(
    target: Channel,
    uid: str = "ann",
    *,
    receiver: Channel | None = None,
    system: tuple[str, ...] = (),
    off: bool = True,
    **own: bool,
) -> ReasonCode:
    sender = channel(uid, 1, **own)
    return check_send(uid, target, sender, receiver, system_uids=system, whitelist_off_of_person=off)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (channel("g", 2), ReasonCode.CHANNEL_NOT_EXIST),
        (channel("g", 2, large=True), ReasonCode.SUBSCRIBER_NOT_EXIST),
        (channel("g", 2, subscribers={"bob"}), ReasonCode.SUBSCRIBER_NOT_EXIST),
        (channel("g", 2, subscribers={"ann"}), OK),
        (channel("g", 2, subscribers={"ann"}, denied={"ann"}), ReasonCode.IN_BLACKLIST),
        (channel("g", 2, subscribers={"bob"}, denied={"ann"}), ReasonCode.IN_BLACKLIST),
        (channel("g", 2, subscribers={"ann"}, allowed={"bob"}), ReasonCode.NOT_IN_WHITELIST),
        (channel("g", 2, subscribers={"ann"}, allowed={"ann"}), OK),
        (channel("g", 2, subscribers={"ann"}, denied={"ann"}, ban=True, disband=True), ReasonCode.BAN),
        (channel("g", 2, subscribers={"ann"}, denied={"ann"}, disband=True), ReasonCode.DISBAND),
        (channel("g", 2, subscribers={"ann"}, send_ban=True), ReasonCode.SEND_BAN),
        (channel("v|x", 3, ban=True), OK),
        (channel("news", 6, disband=True), OK),
        (channel("ann", 10), OK),
        (channel("bob", 10), ReasonCode.CHANNEL_NOT_EXIST),
        (channel("ann@bot", 11, ban=True), OK),
    ],
)
def test_j077_j080_rules_of_channels(target: Channel, expected: ReasonCode) -> None:
    assert check(target) == expected


@pytest.mark.parametrize(
    ("receiver", "off", "expected"),
    [
        (channel("bob", 1), True, OK),
        (channel("bob", 1, denied={"ann"}), True, ReasonCode.IN_BLACKLIST),
        (channel("bob", 1), False, ReasonCode.NOT_IN_WHITELIST),
        (channel("bob", 1, allowed={"ann"}), False, OK),
        (channel("bob", 1, allow_stranger=True), False, OK),
        (channel("bob", 1, allow_stranger=True, denied={"ann"}), False, ReasonCode.IN_BLACKLIST),
    ],
)
def test_j082_j083_rules_of_persons(receiver: Channel, off: bool, expected: ReasonCode) -> None:
    assert check(channel("bob@ann", 1), receiver=receiver, off=off) == expected


def test_j081_a_user_who_may_not_send() -> None:
    assert check(channel("bob@ann", 1), receiver=channel("bob", 1), send_ban=True) == ReasonCode.SEND_BAN
    assert check(channel("g", 2, ban=True), send_ban=True, system=("ann",)) == ReasonCode.SEND_BAN


def test_j084_system_accounts() -> None:
    stranger = channel("bob", 1, denied={"ann"})
    assert check(channel("g", 2), system=("ann",)) == OK
    assert check(channel("bob@ann", 1), receiver=stranger, off=False, system=("ann",)) == OK
    assert check(channel("bob@ann", 1), receiver=stranger, system=("bob",)) == OK
    assert check(channel("g", 2, ban=True), system=("ann",)) == ReasonCode.BAN

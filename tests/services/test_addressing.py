"""Stored channel ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.model import ChannelKey, parties, person_channel_id
from wukong_trio.services.addressing import is_internal, peer_of, stored_key

uids = st.text(st.characters(exclude_characters="@#&", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("one", "other", "stored"),
    [
        ("alice", "bob", "bob@alice"),
        ("u1", "u2", "u2@u1"),
        ("user123", "user456", "user456@user123"),
        ("testUser", "user123", "user123@testUser"),
        ("张三", "李四", "张三@李四"),
        ("a", "b", "a@b"),
        ("10001", "10002", "10002@10001"),
        ("tom", "jerry", "tom@jerry"),
        ("me", "me", "me@me"),
    ],
)
def test_person_channels_are_stored_under_both_uids(one: str, other: str, stored: str) -> None:
    assert person_channel_id(one, other) == person_channel_id(other, one) == stored
    assert stored_key(one, other, 1) == stored_key(other, one, 1) == ChannelKey(stored, 1)
    assert stored_key(one, stored, 1) == ChannelKey(stored, 1)
    assert set(parties(ChannelKey(stored, 1))) == {one, other}


def test_equal_hashes_put_the_larger_uid_first() -> None:
    # CRC-32 of both is 0x4ddb0c25.
    assert person_channel_id("plumless", "buckeroo") == person_channel_id("buckeroo", "plumless") == "plumless@buckeroo"


@given(uids, uids)
def test_the_peer_is_found_from_either_side(one: str, other: str) -> None:
    stored = person_channel_id(one, other)
    assert peer_of(one, stored) == other
    assert peer_of(other, stored) == one


@pytest.mark.parametrize("channel_id", ["x@y", "x#y", "x&y", "x@ann", "ann@", "@ann", "ann@bob"])
def test_j075_strange_person_channels_are_refused(channel_id: str) -> None:
    assert stored_key("ann", channel_id, 1) is None


def test_other_types() -> None:
    assert stored_key("ann", "g", 2) == ChannelKey("g", 2)
    assert stored_key("ann", "bot", 11) == ChannelKey("ann@bot", 11)
    assert stored_key("bot", "ann@bot", 11) == ChannelKey("ann@bot", 11)
    assert stored_key("eve", "ann@bot", 11) is None
    assert parties(ChannelKey("ann|shop", 3)) == ("ann",)
    assert parties(ChannelKey("ann", 10)) == ("ann",)
    assert parties(ChannelKey("g", 2)) == ()


def test_internal_names() -> None:
    assert is_internal("g____cmd")
    assert is_internal("systemcmdonline")
    assert not is_internal("g")

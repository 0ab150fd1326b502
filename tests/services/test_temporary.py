"""Recipients of temporary channels: what is kept, and for how long."""

import pytest

from wukong_trio.services import temporary
from wukong_trio.services.temporary import TemporaryChannels


def filled(channels: TemporaryChannels, *sizes: int) -> None:
    for n, size in enumerate(sizes):
        channels.set(f"t{n}", frozenset(f"u{m}" for m in range(size)))


def kept(channels: TemporaryChannels, count: int) -> list[int]:
    return [n for n in range(count) if channels.get(f"t{n}") is not None]


def test_a_channel_has_its_last_recipients() -> None:
    channels = TemporaryChannels()
    assert channels.get("t") is None
    channels.set("t", frozenset({"a"}))
    channels.set("t", frozenset({"b", "c"}))
    assert channels.get("t") == {"b", "c"}


def test_the_channel_that_was_longest_unused_is_forgotten() -> None:
    channels = TemporaryChannels()
    filled(channels, *[1] * temporary.MAX_CHANNELS)
    assert channels.get("t0")
    assert len(kept(channels, 500)) == 500
    assert channels.get("t0")
    channels.set("new", frozenset({"a"}))
    assert channels.get("t0")
    assert channels.get("t1") is None
    assert channels.get("new")


def test_recipients_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "MAX_RECIPIENTS", 10)
    channels = TemporaryChannels()
    filled(channels, 3, 3, 4)
    assert kept(channels, 3) == [0, 1, 2]
    channels.set("t2", frozenset({"a"}))
    channels.set("t3", frozenset("abc"))
    assert kept(channels, 4) == [0, 1, 2, 3]
    channels.set("t4", frozenset("a"))
    assert kept(channels, 5) == [1, 2, 3, 4]
    channels.set("t5", frozenset(f"u{n}" for n in range(11)))
    assert kept(channels, 6) == [5]

"""What encrypted clients that do not read may let pile up together."""

import pytest

from wukong_trio.gateway import piles
from wukong_trio.gateway.piles import Piles


def test_who_is_furthest_behind_is_too_much_when_all_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "PILES_BYTES", 100)
    together = Piles()
    together.note("ann", 60)
    together.note("bob", 40)
    assert not together.is_too_large("ann")
    together.note("bob", 41)
    assert together.is_too_large("ann")
    assert not together.is_too_large("bob")
    assert not together.is_too_large("stranger")
    together.note("ann", 0)
    assert not together.is_too_large("ann")
    together.note("bob", 101)
    assert together.is_too_large("bob")


def test_equals_are_too_much_until_some_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piles, "PILES_BYTES", 100)
    together = Piles()
    for client in range(11):
        together.note(client, 10)
    assert all(together.is_too_large(client) for client in range(11))
    together.note(0, 0)
    assert not any(together.is_too_large(client) for client in range(11))

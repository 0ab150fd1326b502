"""The depth of JSON texts, against a count that takes its time."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.protocol.nesting import MAX_DEPTH, too_deep

texts = st.text(st.sampled_from('[]{}"\\a\n é')) | st.sampled_from(['"]' * 3000, "[" * 3000, "\\" * 3001])


def nested(depth: int, inner: Any, *, arrays: bool) -> Any:
    for _ in range(depth):
        inner = [inner] if arrays else {'"]': inner}
    return inner


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


values = st.recursive(
    texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts, inner, max_size=3)
        | st.builds(nested, st.integers(0, 40), inner, arrays=st.booleans())
    ),
    max_leaves=12,
)


@given(values)
def test_the_same_as_counting(value: Any) -> None:
    assert too_deep(json.dumps(value).encode()) is (depth_of(value) > MAX_DEPTH)


@pytest.mark.parametrize("before", range(17))
@pytest.mark.parametrize("wide", [0, 1, 2040, 2048, 10_000])
def test_the_deepest_place_may_be_anywhere(before: int, wide: int) -> None:
    """Brackets are looked at in bytes of eight and in blocks."""
    for depth, expected in ((MAX_DEPTH - 1, False), (MAX_DEPTH, True)):
        deep = b"[" * depth + b"]" * depth
        text = b"[%b" % (b"[],{}," * before + b'["[",[]],' * wide) + deep + b"]"
        assert too_deep(text) is expected


def test_brackets_in_strings_are_not_nesting() -> None:
    assert not too_deep(b'{"a":"' + b'[{\\"' * 1000 + b'"}')
    assert not too_deep(b'{"a":"' + b'[{\\\\\\"' * 1000 + b'\\\\"}')
    assert too_deep(b'["\\\\",' * (MAX_DEPTH + 1))
    assert not too_deep(b"[]" * 1000)
    assert too_deep(b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1))

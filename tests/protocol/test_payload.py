"""The forms of a payload."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.protocol.payload import PayloadError, is_json_object, read_payload


@given(st.binary())
def test_base64_is_decoded(payload: bytes) -> None:
    assert read_payload(json.dumps(b64encode(payload).decode()).encode()) == payload


def test_line_breaks_in_base64_are_ignored() -> None:
    assert read_payload(b'"eyJh\\r\\nIjoxfQ==\\n"') == b'{"a":1}'


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        (b'{"a" : 1}', b'{"a" : 1}'),
        (b"[1,2]", b"[1,2]"),
        (b'"{\\"a\\":1}"', b'{"a":1}'),
        (b'" [1]"', b" [1]"),
        (b'"\\"text\\""', b'"text"'),
        (b'""', b""),
    ],
)
def test_j069_j070_json_forms(text: bytes, payload: bytes) -> None:
    assert read_payload(text) == payload


@pytest.mark.parametrize(
    "text", [b'"@@@"', b'"abc"', b"5", b"true", b"null", b'"eyJh IjoxfQ=="', b'"{bad"', b'"ab\\u00e9="']
)
def test_j068_everything_else_is_refused(text: bytes) -> None:
    with pytest.raises(PayloadError):
        read_payload(text)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"a":1}', True),
        (b' {"a":1} ', True),
        (b"[1]", False),
        (b"\x00\xff", False),
        (b'{"a":1', False),
        (b'{"a":"\xff"}', False),
        (b"", False),
        (b'{"a":1}{}', False),
    ],
)
def test_only_whole_objects_are_inlined(payload: bytes, expected: bool) -> None:
    assert is_json_object(payload) is expected

"""Where messages end, over bytes alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.api.framing import (
    HEADER_LINES,
    LINE_LIMIT_BYTES,
    SMALL_CHUNK_BYTES,
    SPARE_BYTES,
    ChunkedBody,
    FramingError,
    has_too_many_lines,
    is_ambiguous,
)

HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\n%b\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Content-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X: a, b\r\nY:\r\n",
        b"X-Content-Length: 1\r\nContent-Length: 2\r\nX: Transfer-Encoding: chunked\r\n",
        b"X: \xff\x01\t\r\n",
    ],
)
def test_clear_heads(lines: bytes) -> None:
    assert not is_ambiguous(HEAD % lines)


@pytest.mark.parametrize(
    "lines",
    [
        b"X: a\rb\r\n",
        b"X: a\nb\r\n",
        b"X: a\r\r\n",
        b"X: a\n",
        b"X: \0\r\n",
        b" X: a\r\n",
        b"X: a\r\n\tb\r\n",
        b"\r\nX: a\r\n",
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nX: y\r\nCONTENT-LENGTH: 3\r\n",
        b"Content-Length : 2\r\nTransfer-Encoding: chunked\r\n",
        b"transfer-encoding:chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Length: 2,2\r\n",
    ],
)
def test_ambiguous_heads(lines: bytes) -> None:
    assert is_ambiguous(HEAD % lines)


def read(parts: list[bytes], limit_bytes: int = 1000, *, keep: bool = True) -> tuple[bytes, bytes]:
    """The data of a body that arrives in parts, and what follows it."""
    body, rest = ChunkedBody(limit_bytes=limit_bytes, keep=keep), b""
    for part in parts:
        rest += part[body.receive(part) :]
    assert body.complete
    return bytes(body.data), rest


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from([b"", b";", b';a="b"'])), max_size=5),
    st.sampled_from([b"", b"A: b\r\n", b"A:\r\nB: c d\r\n"]),
    st.binary(max_size=20),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_chunks_in_any_parts(chunks: list[tuple[bytes, bytes]], trailers: bytes, after: bytes, cuts: list[int]) -> None:
    wire = b"".join(b"%X%b\r\n%b\r\n" % (len(data), more, data) for data, more in chunks)
    wire += b"0\r\n" + trailers + b"\r\n" + after
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    parts = [wire[start:end] for start, end in pairwise(edges)]
    assert read(parts) == (b"".join(data for data, _ in chunks), after)
    assert read([bytes([byte]) for byte in wire]) == read(parts)


@pytest.mark.parametrize(
    "wire",
    [
        *(b"\r\n", b"g\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1_0\r\n", b" 1\r\n", b"1 \r\n", b"1\n", b";x\r\n"),
        *(b"%b\r\n" % (b"1" * 17), b"1;\0\r\n", b"1;\rx\r\n", b"1\r\nab\r\n", b"1\r\na\n", b"1\r\na\r\r\n"),
        *(
            b"0\r\nx\r\n",
            b"0\r\n: x\r\n",
            b"0\r\na: b\r\n c: d\r\n",
            b"0\r\na : b\r\n",
            b"0\r\na: b\rc\r\n",
            b"0\r\n\n",
        ),
    ],
)
def test_what_are_no_chunks(wire: bytes) -> None:
    for parts in ([wire], [bytes([byte]) for byte in wire]):
        with pytest.raises(FramingError) as refused:
            read(parts)
        assert refused.value.http_status == 400


def test_the_limit_of_the_data() -> None:
    assert read([b"5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n"], 10) == (b"hellohello", b"")
    with pytest.raises(FramingError) as refused:
        read([b"5\r\nhello\r\n6\r\nhello!\r\n0\r\n\r\n"], 10)
    assert refused.value.http_status == 413
    assert read([b"5\r\nhello\r\n0\r\n\r\n"], 1, keep=False) == (b"", b"")


@pytest.mark.parametrize("limit_bytes", [1000, 10 * SPARE_BYTES])
def test_the_limit_of_small_chunks(limit_bytes: int) -> None:
    most = max(limit_bytes, SPARE_BYTES) // (SMALL_CHUNK_BYTES - 1)
    assert read([b"1\r\na\r\n" * most + b"0\r\n\r\n"], limit_bytes) == (b"a" * most, b"")
    with pytest.raises(FramingError) as refused:
        read([b"1\r\na\r\n" * (most + 1)], limit_bytes)
    assert refused.value.http_status == 413
    large = b"%x\r\n%b\r\n" % (SMALL_CHUNK_BYTES, b"a" * SMALL_CHUNK_BYTES)
    assert read([large * 1000 + b"0\r\n\r\n"], SMALL_CHUNK_BYTES * 1000)[1] == b""


@pytest.mark.parametrize("wire", [b"1;%b\r\na\r\n0\r\n\r\n", b"0\r\na:%b\r\n\r\n", b"0\r\na:%b\r\nb: c\r\n\r\n"])
def test_the_limit_of_lines(wire: bytes) -> None:
    longest = LINE_LIMIT_BYTES - len(wire % b"")
    read([wire % (b"x" * longest)])
    for parts in ([wire % (b"x" * LINE_LIMIT_BYTES)], [wire.partition(b"%b")[0], *[b"x" * 1000] * 17]):
        with pytest.raises(FramingError) as refused:
            read(parts)
        assert refused.value.http_status == 431


def test_the_limit_of_header_lines() -> None:
    assert not has_too_many_lines(HEAD % (b"a: b\r\n" * (HEADER_LINES - HEAD.count(b"\n") + 2)))
    assert has_too_many_lines(HEAD % (b"a: b\r\n" * (HEADER_LINES - HEAD.count(b"\n") + 3)))
    read([b"0\r\n" + b"a: b\r\n" * HEADER_LINES + b"\r\n"])
    with pytest.raises(FramingError) as refused:
        read([b"0\r\n" + b"a: b\r\n" * (HEADER_LINES + 1)])
    assert refused.value.http_status == 431

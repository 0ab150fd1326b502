"""What input that was built against our HTTP parsers costs: it must grow with its bytes and no faster."""

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
import trio

from wukong_trio.api.bodies import BodyError, BodyReader, TooManyItemsError
from wukong_trio.api.framing import SMALL_CHUNK_BYTES, ChunkedBody, is_ambiguous
from wukong_trio.api.guard import Guard, Head
from wukong_trio.api.http_parser import HandOver, Refusal, RequestReader
from wukong_trio.api.table import BodyBudget, _parse_query
from wukong_trio.config import Config
from wukong_trio.contract.channels import ChannelRequest, SubscribersRequest
from wukong_trio.contract.messages import SendRequest
from wukong_trio.protocol.payload import PayloadError, read_base64

TIMES = 8
ROUNDS = 3
STRUCT = BodyReader(SubscribersRequest)
LIST = BodyReader(list[str])
SEND = BodyReader(SendRequest)


def tolerant(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def run(body: bytes) -> None:
        with suppress(BodyError, TooManyItemsError, PayloadError):
            read(body)

    return run


def sliced(reader: BodyReader[SubscribersRequest] | BodyReader[list[str]]) -> Callable[[bytes], None]:
    async def read(body: bytes) -> None:
        await reader.read_in_slices(body)

    return tolerant(lambda body: trio.run(read, body))


def chunks(data: bytes) -> None:
    body = ChunkedBody(limit_bytes=SMALL_CHUNK_BYTES * len(data))
    for start in range(0, len(data), 65536):
        body.receive(data[start : start + 65536])


def head(data: bytes) -> None:
    is_ambiguous(b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n")


def dripped(data: bytes) -> None:
    reader = RequestReader({b"/x"}, lambda _head: 0, BodyBudget(0), "")
    for start in range(0, len(data), 16):
        reader.receive(data[start : start + 16])
        if isinstance(reader.take(), HandOver | Refusal):
            return


def guard(data: bytes) -> None:
    text = data.decode()
    Guard(Config()).refusal(Head("POST", "/", "", data, text, "http://" + text, ""))


def repeated(begin: bytes, unit: bytes, end: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: begin + unit * (size // len(unit)) + end


SMALL = 2 * 1024
LARGE = 128 * 1024
CASES: dict[str, tuple[Callable[[bytes], object], Callable[[int], bytes], int]] = {
    "objects in a list": (tolerant(LIST.read), repeated(b"[", b"{},", b"{}]"), LARGE),
    "objects in an unknown member": (
        tolerant(BodyReader(ChannelRequest).read),
        repeated(b'{"channel_id":null,"x":[', b"{},", b"{}]}"),
        LARGE,
    ),
    "objects behind the value": (tolerant(STRUCT.read), repeated(b"{}", b"{},"), LARGE),
    "nulls": (tolerant(STRUCT.read), repeated(b"{", b'"reset":null,', b'"reset":null}'), LARGE),
    "null in a list": (tolerant(LIST.read), repeated(b"[", b'"",', b"null]"), LARGE),
    "brackets": (tolerant(STRUCT.read), repeated(b'{"x":', b"["), LARGE),
    "brackets, a quote, escapes": (
        tolerant(STRUCT.read),
        lambda size: b"[" * 65 + b'"' + b'\\"' * (size // 2),
        LARGE,
    ),
    "escapes": (tolerant(LIST.read), repeated(b'["', b"\\u0000", b'"]'), LARGE),
    "sliced: objects in a list": (sliced(LIST), repeated(b"[", b"{},", b"{}]"), LARGE),
    "sliced: empty strings": (sliced(LIST), repeated(b"[", b'"",', b'""]'), LARGE),
    "sliced: many lists": (sliced(STRUCT), repeated(b'{"x":[', b'["a"],', b"[]]}"), LARGE),
    "sliced: brackets": (sliced(STRUCT), repeated(b"", b"["), LARGE),
    "sliced: quotes": (sliced(STRUCT), repeated(b"[", b'"'), LARGE),
    "sliced: brackets, a quote, escapes": (sliced(STRUCT), lambda size: b'[["' + b'\\"' * (size // 2), LARGE),
    "sliced: blanks": (sliced(STRUCT), repeated(b'{"subscribers":["a"', b" ", b"]}"), LARGE),
    "sliced: blanks between strings": (sliced(LIST), repeated(b"[", b'"a" \n\t , ', b'"a"]'), LARGE),
    "base64": (tolerant(lambda body: read_base64(body.decode())), repeated(b"", b"AAAA\r\n"), LARGE),
    "not quite base64": (tolerant(lambda body: read_base64(body.decode())), repeated(b"", b"=\n"), LARGE),
    "chunks of a byte": (chunks, repeated(b"", b"1\r\nx\r\n"), LARGE),
    "chunks with extensions": (chunks, repeated(b"", b"1;;;;;;;;\r\nx\r\n"), LARGE),
    "a chunk's line in parts": (
        lambda data: [ChunkedBody(limit_bytes=0).receive(data[at : at + 1]) for at in range(len(data))],
        repeated(b"1;", b"x"),
        SMALL,
    ),
    "header lines": (head, repeated(b"", b"a:\r\n", b"a:"), SMALL),
    "lengths": (head, repeated(b"", b"content-length:\r\n", b"a:"), SMALL),
    "blanks before a colon": (head, repeated(b"content-length", b" "), SMALL),
    "a head in parts": (dripped, repeated(b"GET /x HTTP/1.1\r\n", b"a:\r\n"), SMALL),
    "query": (lambda data: _parse_query(data.decode()), repeated(b"", b"a&"), SMALL),
    "query of escapes": (lambda data: _parse_query(data.decode()), repeated(b"a=", b"%ff"), SMALL),
    "hosts of colons": (guard, repeated(b"", b":"), SMALL),
    "hosts of brackets": (guard, repeated(b"", b"["), SMALL),
}


def cost_s(read: Callable[[bytes], object], data: bytes) -> float:
    """CPU time, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        read(data)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("case", CASES)
def test_the_cost_of_input_grows_with_its_bytes(case: str) -> None:
    read, make, size = CASES[case]
    # The smallest costs are those of starting at all.
    assert cost_s(read, make(TIMES * size)) <= 16 * cost_s(read, make(size)) + 0.005


REJECTED = [case for case in CASES if CASES[case][2] == LARGE and "strings" not in case and "chunks" not in case]


@pytest.mark.parametrize("case", REJECTED)
def test_what_input_holds_is_a_small_multiple_of_its_bytes(case: str) -> None:
    read, make, _ = CASES[case]
    data = make(TIMES * LARGE)
    read(make(100))
    tracemalloc.start()
    try:
        read(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes <= 4 * len(data)

"""Reading requests, over bytes alone."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.api.guard import Head
from wukong_trio.api.http_parser import HEAD_LIMIT_BYTES, HandOver, ParsedHead, Refusal, Request, RequestReader
from wukong_trio.api.table import BodyBudget, HttpAnswer

PATHS = {b"/route", b"/message/send"}
GET = b"GET /route HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /message/send HTTP/1.1\r\nHost: a:1\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"POST /route?a=%20 HTTP/1.1\r\nhost: [::1]:2\r\ntransfer-encoding: Chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
)
PEER = "192.0.2.1:5"


def parsed(method: str, path: str, query: str, host: str, body_bytes: int) -> ParsedHead:
    return ParsedHead(Head(method, path, query, b"", host, "", PEER), True, body_bytes)


REQUESTS = [
    (GET, Request(parsed("GET", "/route", "", "localhost", 0), b"")),
    (POST, Request(parsed("POST", "/message/send", "", "a:1", 2), b"{}")),
    (CHUNKED, Request(parsed("POST", "/route", "a=%20", "[::1]:2", -1), b"{}")),
]


def reader(limit_bytes: int = 100, *, budget: BodyBudget | None = None) -> RequestReader:
    return RequestReader(PATHS, lambda _head: limit_bytes, budget or BodyBudget(1000), PEER)


def outcomes(requests: RequestReader, *parts: bytes) -> list[Request | HandOver | Refusal]:
    """What comes of these bytes."""
    found = []
    for part in parts:
        requests.receive(part)
        while (taken := requests.take()) is not None:
            found.append(taken)
            if not isinstance(taken, Request):
                return found
    return found


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), st.lists(st.integers(0, 600), max_size=8))
def test_requests_in_any_parts(requests: list[tuple[bytes, Request]], cuts: list[int]) -> None:
    wire = b"".join(data for data, _ in requests)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    parts = [wire[start:end] for start, end in pairwise(edges) if start < end]
    one = reader()
    assert outcomes(one, *parts) == [request for _, request in requests]
    assert one.between_requests
    assert outcomes(reader(), *[bytes([byte]) for byte in wire]) == [request for _, request in requests]


def head_of(*lines: bytes, first: bytes = b"GET /route HTTP/1.1") -> ParsedHead | None:
    """What a head says, None if it is handed over."""
    data = b"\r\n".join([first, b"Host: localhost", *lines, b"", b""])
    (outcome,) = outcomes(reader(), data)
    if isinstance(outcome, Request):
        return outcome.parsed
    assert outcome == HandOver(data)
    return None


def test_what_a_head_says() -> None:
    head = Head("GET", "/route", "", b"", "localhost", "", PEER)
    plain = ParsedHead(head, True, 0)
    assert head_of(b"X: \xff", b"Accept: a/b, c") == plain
    for first, expected in (
        (b"OPTIONS /route? HTTP/1.1", head._replace(method="OPTIONS")),
        (b"GET /route?a=/?&%ff HTTP/1.1", head._replace(query="a=/?&%ff")),
    ):
        assert head_of(first=first) == plain._replace(head=expected)
    for lines, expected in (
        ((b"TOKEN: \t k\xe9 k \t",), head._replace(token=b"k\xe9 k")),
        ((b"token: a", b"token: b"), head._replace(token=b"a")),
        ((b"ORIGIN: http://a:1",), head._replace(origin="http://a:1")),
    ):
        assert head_of(*lines) == plain._replace(head=expected)
    for value in (b"close", b"CLOSE", b"x, close", b"x,close ,y"):
        assert head_of(b"Connection: " + value) == plain._replace(keep_alive=False)
    for value in (b"keep-alive", b"closed", b"", b"x close"):
        assert head_of(b"Connection: " + value) == plain


@pytest.mark.parametrize(
    "first",
    [
        *(b"GET /nope HTTP/1.1", b"GET /route/ HTTP/1.1", b"GET //route HTTP/1.1", b"GET /%72oute HTTP/1.1"),
        *(b"GET http://x/route HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /route#x HTTP/1.1", b"GET /route?\xff HTTP/1.1"),
        *(
            b"GET /route HTTP/1.0",
            b"GET /route HTTP/2.0",
            b"GET /route",
            b"get /route HTTP/1.1",
            b"TRACE /route HTTP/1.1",
        ),
        *(b"GET  /route HTTP/1.1", b"GET /route  HTTP/1.1", b" GET /route HTTP/1.1", b"PRI * HTTP/2.0", b""),
    ],
)
def test_request_lines_for_the_reference(first: bytes) -> None:
    assert head_of(first=first) is None


@pytest.mark.parametrize(
    "lines",
    [
        *([b"Host: y"], [b"Upgrade: websocket", b"Connection: Upgrade"], [b"Upgrade: h2c"], [b"Expect: 100-continue"]),
        *(
            [b"Content-Length: 1, 1"],
            [b"Content-Length: +1"],
            [b"Content-Length: "],
            [b"Content-Length: 1" + b"0" * 18],
        ),
        *([b"Transfer-Encoding: gzip"], [b"Transfer-Encoding: chunked", b"Content-Length: 1"], [b"Transfer-Encoding:"]),
        *([b"X : y"], [b"X"], [b": y"], [b"X: y", b" z"], [b"X: a\rb"], [b"X: a\nb"], [b"X: \0"]),
    ],
)
def test_headers_for_the_reference(lines: list[bytes]) -> None:
    assert head_of(*lines) is None


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"a@b", b"\xff"])
def test_hosts_for_the_reference(host: bytes) -> None:
    assert outcomes(reader(), b"GET /route HTTP/1.1\r\nHost: %b\r\n\r\n" % host)[0].__class__ is HandOver
    assert outcomes(reader(), b"GET /route HTTP/1.1\r\n\r\n")[0].__class__ is HandOver


def test_what_is_handed_over_begins_with_the_request_that_is_not_read() -> None:
    other, later = b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /rou"
    assert outcomes(reader(), GET + POST + other[:9], other[9:] + later) == [
        REQUESTS[0][1],
        REQUESTS[1][1],
        HandOver(other + later),
    ]


@pytest.mark.parametrize("beginning", [b"\x16\x02\x01", b"get", b"\r\n", b" ", b"GET /route HTTP/1.1\nHost: x\n\n"])
def test_hopeless_beginnings_are_handed_over_at_once(beginning: bytes) -> None:
    assert outcomes(reader(), beginning) == [HandOver(beginning)]


def test_the_limit_of_heads() -> None:
    def padded(size: int) -> bytes:
        return GET[:-2] + b"X: " + b"x" * (size - len(GET) - 5) + b"\r\n\r\n"

    assert isinstance(outcomes(reader(), padded(HEAD_LIMIT_BYTES))[0], Request)
    assert isinstance(outcomes(reader(), padded(HEAD_LIMIT_BYTES + 1))[0], HandOver)
    assert outcomes(reader(), padded(HEAD_LIMIT_BYTES + 9)[: HEAD_LIMIT_BYTES + 1])[0].__class__ is HandOver
    assert outcomes(reader(), padded(HEAD_LIMIT_BYTES + 9)[:HEAD_LIMIT_BYTES]) == []


def test_the_limit_of_bodies() -> None:
    head = b"POST /message/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    (request,) = outcomes(reader(100), head % 100 + b"x" * 60, b"x" * 40)
    assert isinstance(request, Request)
    assert request.body == b"x" * 100
    assert outcomes(reader(100), head % 101) == [Refusal(413, 100)]
    chunks = b"POST /route HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    assert isinstance(outcomes(reader(100), chunks % (100, b"x" * 100))[0], Request)
    assert outcomes(reader(100), chunks % (101, b"x" * 101)) == [Refusal(413, 100)]
    assert outcomes(reader(100), chunks[:-7] % (2, b"xx?")) == [Refusal(400, 100)]


def test_tls_is_known_by_its_first_bytes() -> None:
    assert outcomes(reader(), b"\x16\x03\x01\x02\x00\x01") == [Refusal(400, is_tls=True)]


def test_a_request_that_is_not_admitted_is_answered_before_its_body_comes() -> None:
    asked: list[Head] = []

    def admit(head: Head) -> HttpAnswer:
        asked.append(head)
        return HttpAnswer(401)

    budget = BodyBudget(0)
    head = b"POST /message/send HTTP/1.1\r\nHost: a\r\n%b\r\n"
    for line, closes in ((b"", False), (b"Content-Length: 9\r\n", True), (b"Transfer-Encoding: chunked\r\n", True)):
        (request,) = outcomes(RequestReader(PATHS, admit, budget, PEER), head % line)
        assert isinstance(request, Request)
        assert request.answer == HttpAnswer(401, close=closes)
    # Each one is looked at anew, also when it looks like the one before it.
    assert len(outcomes(RequestReader(PATHS, admit, budget, PEER), head % b"", head % b"")) == 2
    assert len(asked) == 5


@pytest.mark.parametrize("framing", [b"Content-Length: 8\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n8\r\n"])
def test_bodies_of_all_connections_have_a_common_limit(framing: bytes) -> None:
    budget = BodyBudget(10)
    head = b"POST /message/send HTTP/1.1\r\nHost: a\r\n" + framing
    end = b"\r\n0\r\n\r\n" if b"chunked" in framing else b""
    first, second, third = (reader(budget=budget) for _ in range(3))
    assert outcomes(first, head + b"123456") == []
    assert outcomes(second, head, b"1234") == []
    assert outcomes(third, head, b"1") == [Refusal(503)]
    # A client that leaves, and one whose request has been answered, make room.
    second.release()
    (request,) = outcomes(first, b"78" + end)
    assert isinstance(request, Request)
    assert request.body == b"12345678"
    assert outcomes(reader(budget=budget), head + b"1") == []
    assert first.take() is None
    assert outcomes(reader(budget=budget), head + b"1234567") == []


def test_what_is_awaited() -> None:
    one = reader()
    for part, between, body in ((POST[:5], False, False), (POST[5:-1], False, True), (POST[-1:], True, False)):
        assert len(outcomes(one, part)) == between
        assert (one.between_requests, one.reading_body) == (between, body)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nf4240\r\n"]
)
def test_beside_half_a_body_nothing_is_kept(framing: bytes) -> None:
    part_bytes = 64 * 1024
    requests = [reader(1_000_000, budget=BodyBudget(10**9)) for _ in range(20)]
    tracemalloc.start()
    try:
        for request in requests:
            request.receive(b"POST /route HTTP/1.1\r\nHost: a\r\n" + framing)
            assert request.take() is None
            request.receive(bytes(part_bytes))
            assert request.take() is None
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 1.5 * part_bytes * len(requests)

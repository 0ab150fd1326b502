"""The same bytes for both engines: same answers, same end."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import trio
from exchanges import Exchange, exchange

from wukong_trio import RouteAddresses, Server
from wukong_trio.testing import open_test_server

LIMIT_BYTES = 300
SETTINGS = {
    "auth": {"manager_token": "k"},
    "limits": {"http_body_bytes": LIMIT_BYTES},
    "external": RouteAddresses(tcp_addr="a:1", ws_addr="ws://a:2", wss_addr="wss://a:3"),
    "intranet": RouteAddresses(tcp_addr="b:1", ws_addr="ws://b:2", wss_addr="wss://b:3"),
}
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def request(method: bytes, path: bytes, *headers: bytes, body: bytes | None = None) -> bytes:
    """A request with the manager token."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: localhost", b"token: k", *headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body or b""])


def chunked(*chunks: bytes, path: bytes = b"/route/batch") -> bytes:
    """A request with a body in chunks, given as they are on the wire."""
    return request(b"POST", path, b"Transfer-Encoding: chunked") + b"".join(chunks)


USER = b'{"uid":"ann","token":"t"}'
VALID = {
    "route": request(b"GET", b"/route"),
    "query": request(b"GET", b"/route?intranet=1&uid=%41+b"),
    "body of a GET": request(b"GET", b"/route", body=b"ignored"),
    "list": request(b"POST", b"/route/batch", body=b'["a","b"]'),
    "refused": request(b"POST", b"/user/token", body=b"{}"),
    "no JSON": request(b"POST", b"/user/token", body=b"{"),
    "no body": request(b"POST", b"/user/token"),
    "done": request(b"POST", b"/user/token", b"Content-Type: text/plain", body=USER),
    "chunks": chunked(b'4\r\n["a"\r\n', b'5;x="y"\r\n,"b"]\r\n', b"0\r\n\r\n"),
    "trailers": chunked(b"2\r\n[]\r\n0\r\nX-A: b\r\nX-B:\r\n\r\n"),
    "head": request(b"HEAD", b"/route"),
    "options": request(b"OPTIONS", b"/route"),
    "wrong method": request(b"PUT", b"/route"),
    "no token": b"GET /route HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two tokens": b"GET /route HTTP/1.1\r\nHost: localhost\r\ntoken: x\r\ntoken: k\r\n\r\n",
    "a token with spaces": b"GET /route HTTP/1.1\r\nHost:localhost\r\nTOKEN:  \t k \t \r\n\r\n",
    "probe": b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "limit": request(b"POST", b"/route/batch", body=b"[]".ljust(LIMIT_BYTES)),
    "limit in chunks": chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (LIMIT_BYTES, b"[]".ljust(LIMIT_BYTES))),
    "high bytes in a header": request(b"GET", b"/route", b"X: \xe9\xff"),
    "unknown path": request(b"GET", b"/nope"),
    "coded path": request(b"GET", b"/%72oute"),
    "path and slash": request(b"GET", b"/route/"),
    "absolute": request(b"GET", b"http://x/route"),
    "fragment": request(b"GET", b"/route#x"),
    "asterisk": request(b"OPTIONS", b"*"),
    "unknown method": request(b"TRACE", b"/route"),
    "expects": request(b"POST", b"/route/batch", b"Expect: 100-continue", body=b"[]"),
    "odd version": b"GET /healthz HTTP/1.9\r\nHost: localhost\r\n\r\n",
    "empty host": b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n",
    "host without a label": b"GET /healthz HTTP/1.1\r\nHost: .x\r\n\r\n",
    "host with a long label": b"GET /nope HTTP/1.1\r\ntoken: k\r\nHost: %b\r\n\r\n" % (b"x" * 64),
    "odd host": b"GET /healthz HTTP/1.1\r\nHost: a b/c\r\n\r\n",
}
CLOSING = {
    "close": request(b"GET", b"/route", b"Connection: close"),
    "close among others": request(b"GET", b"/route", b"Connection: x, Close", b"Connection: y"),
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\n\r\n",
    "a longer body": request(b"POST", b"/route/batch", b"Content-Length: %d" % (LIMIT_BYTES + 1)),
    "a much longer body": request(b"POST", b"/route/batch", b"Content-Length: 99999999999999999"),
}
LONGER_IN_CHUNKS = chunked(b"%x\r\n%b" % (LIMIT_BYTES + 1, b"x" * (LIMIT_BYTES + 1)))
REFUSED = {
    "no host": b"GET /route HTTP/1.1\r\ntoken: k\r\n\r\n",
    "two hosts": request(b"GET", b"/route", b"Host: y"),
    "no path": request(b"GET", b"?x"),
    "two spaces": b"GET  /route HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "empty line first": b"\r\n" + request(b"GET", b"/route"),
    "space before the colon": request(b"GET", b"/route", b"X : y"),
    "NUL": request(b"GET", b"/route", b"X: \0"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "negative length": request(b"POST", b"/route/batch", b"Content-Length: -1"),
    "signed length": request(b"POST", b"/route/batch", b"Content-Length: +2") + b"[]",
    "hexadecimal length": request(b"POST", b"/route/batch", b"Content-Length: 0x2") + b"[]",
    "no length": request(b"POST", b"/route/batch", b"Content-Length:") + b"[]",
    "two lengths": request(b"POST", b"/route/batch", b"Content-Length: 3", body=b"[]"),
    "twice the same length": request(b"POST", b"/route/batch", b"Content-Length: 2", body=b"[]"),
    "a list of lengths": request(b"POST", b"/route/batch", b"Content-Length: 2, 2") + b"[]",
    "length and chunks": request(b"POST", b"/route/batch", b"Transfer-Encoding: chunked", b"Content-Length: 2")
    + b"0\r\n\r\n",
    "chunks and length": request(b"POST", b"/route/batch", b"Content-Length: 2", b"transfer-encoding:chunked")
    + b"0\r\n\r\n",
    "two codings": request(b"POST", b"/route/batch", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "twice chunked": request(b"POST", b"/route/batch", *[b"Transfer-Encoding: chunked"] * 2) + b"0\r\n\r\n",
    "folded": request(b"GET", b"/route", b"X: y", b" z"),
    "folded with a tab": request(b"GET", b"/route", b"X: y", b"\tz"),
    "folded first": b"GET /route HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "CR alone": request(b"GET", b"/route", b"X: y\rz"),
    "CR alone before a line": b"GET /route HTTP/1.1\r\nHost: localhost\r\n\rX: y\r\n\r\n",
    "LF alone": request(b"GET", b"/route", b"X: y\nZ: z"),
    "only LF": b"GET /route HTTP/1.1\nHost: x\n\n",
    "LF before the blank line": b"GET /route HTTP/1.1\r\nHost: x\n\r\n",
    "no chunk": chunked(b"zz\r\n"),
    "signed chunk": chunked(b"+2\r\n[]\r\n0\r\n\r\n"),
    "prefixed chunk": chunked(b"0x2\r\n[]\r\n0\r\n\r\n"),
    "space after a chunk's size": chunked(b"2 \r\n[]\r\n0\r\n\r\n"),
    "CR in a chunk's extension": chunked(b"2;a\rb\r\n[]\r\n0\r\n\r\n"),
    "LF after a chunk's size": chunked(b"2\n[]\r\n0\r\n\r\n"),
    "LF in a chunk's extension": chunked(b"2;a\nb\r\n[]\r\n0\r\n\r\n"),
    "a chunk longer than its size": chunked(b"2\r\n[] \r\n0\r\n\r\n"),
    "a chunk without its end": chunked(b"2\r\n[]0\r\n\r\n"),
    "trailer without a colon": chunked(b"2\r\n[]\r\n0\r\nX\r\n\r\n"),
    "folded trailer": chunked(b"2\r\n[]\r\n0\r\nX: y\r\n z\r\n\r\n"),
}
OFFERS = {
    "another protocol offered": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/2 offered": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
}
OTHER_VERSIONS = {
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
    "HTTP/2 in the form of HTTP/1": b"GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /healthz HTTP/0.9\r\n\r\n",
    "HTTP/3.9": b"GET /healthz HTTP/3.9\r\nHost: localhost\r\n\r\n",
}
MUTATIONS = 300
"""Ten thousands have been tried."""


@asynccontextmanager
async def both_engines() -> AsyncIterator[tuple[Server, Server]]:
    """A server with each engine, reference first."""
    with trio.fail_after(60):
        async with AsyncExitStack() as stack:
            reference = await stack.enter_async_context(open_test_server(engine="reference", **SETTINGS))
            native = await stack.enter_async_context(open_test_server(engine="native", **SETTINGS))
            yield reference, native


async def compare(cases: dict[str, bytes]) -> dict[str, Exchange]:
    """Both servers' opinion about each case, which has to be the same."""
    exchanges: dict[tuple[str, int], Exchange] = {}

    async def ask(name: str, number: int, server: Server) -> None:
        exchanges[name, number] = await exchange(server, cases[name])

    async with both_engines() as servers:
        for number, server in enumerate(servers):
            async with trio.open_nursery() as nursery:
                for name in cases:
                    nursery.start_soon(ask, name, number, server)
    for name in cases:
        assert _alike(exchanges[name, 0], exchanges[name, 1]), (
            name,
            cases[name],
            exchanges[name, 0],
            exchanges[name, 1],
        )
    return {name: exchanges[name, 1] for name in cases}


def _alike(reference: Exchange, native: Exchange) -> bool:
    """Whether both have the same opinion. Who is refused by his head does not learn whether his body was in order; the
    reference may have seen it by then.
    """
    one, other = reference.answers, native.answers
    if reference.closed and native.closed and one and other and (one[-1].status, other[-1].status) == (400, 401):
        return one[:-1] == other[:-1]
    return reference == native


async def test_valid_requests() -> None:
    together = await compare({name: data + LAST for name, data in VALID.items()})
    for name, (answers, closed) in together.items():
        assert answers[-1].body == b'{"status":"ok"}', name
        assert closed, name


async def test_requests_that_end_the_connection() -> None:
    for name, (answers, closed) in (await compare({**CLOSING, "longer in chunks": LONGER_IN_CHUNKS})).items():
        assert len(answers) == 1, name
        assert answers[0].status == (413 if "longer" in name else 200), name
        assert closed, name


async def test_requests_that_can_be_read_in_two_ways_are_refused() -> None:
    for name, (answers, closed) in (await compare(REFUSED)).items():
        assert [answer.status for answer in answers] == [400], name
        assert closed, name


async def test_an_offer_to_change_the_protocol_is_ignored() -> None:
    for name, (answers, closed) in (await compare({name: data + LAST for name, data in OFFERS.items()})).items():
        assert [answer.status for answer in answers] == [200, 200], name
        assert closed, name


async def test_only_http_1_is_spoken() -> None:
    for name, (answers, closed) in (await compare(OTHER_VERSIONS)).items():
        assert [answer.status for answer in answers] == [505], name
        assert closed, name


async def test_a_refusal_follows_the_answers_before_it() -> None:
    later = request(b"POST", b"/user/token", body=USER)
    cases = {name: VALID["route"] + data + later for name, data in REFUSED.items()}
    for name, (answers, closed) in (await compare(cases)).items():
        assert [answer.status for answer in answers] == [200, 400], name
        assert closed, name


def mutated(chance: random.Random, data: bytes) -> bytes:
    """The request after one to three small accidents."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        accident = chance.randrange(5)
        if accident == 0:
            data = data[:at] + data[at + chance.randint(1, 4) :]
        elif accident == 1:
            data = data[:at] + chance.choice(PIECES) + data[at:]
        elif accident == 2:
            data = data[:at] + chance.choice(PIECES) + data[at + 1 :]
        elif accident == 3:
            lines = data.split(b"\r\n")
            lines.insert(chance.randrange(len(lines)), chance.choice(lines))
            data = b"\r\n".join(lines)
        else:
            data = data[:at] + data[at : at + 8].swapcase() + data[at + 8 :]
    return data


PIECES = [bytes([byte]) for byte in b"\r\n\0\t :;,?#%/.0127aAfF\x7f\x80\xff\"'_-"]
PIECES += [b"\r\n", b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 2\r\n", b"Connection: close\r\n"]


async def test_mutated_requests() -> None:
    chance = random.Random(1)
    seeds = [*VALID.values(), *CLOSING.values(), *REFUSED.values()]
    await compare({str(n): mutated(chance, chance.choice(seeds)) + LAST for n in range(MUTATIONS)})

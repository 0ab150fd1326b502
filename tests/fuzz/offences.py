"""What offenders do to a server. Each offence is one visit of one client; whatever it raises is its own business."""

import json
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random

import trio
from child import open_stream, tcp, tcp_of

from wukong_trio.protocol.wkproto import PING, PONG, Connect, Disconnect, Event, Packet, Recvack, Send, Sub, Suback
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import RawClient, RawPacketClient, open_raw_client, open_raw_packet_client

Urls = dict[str, str]
Offence = Callable[[Urls, Random], Awaitable[None]]
GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SEND = {"clientMsgNo": "m", "channelId": "nobody", "channelType": 1, "payload": "e30="}


def trust_all() -> ssl.SSLContext:
    """Offenders do not look at certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client_hello() -> bytes:
    """How a TLS handshake begins."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        trust_all().wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A valid frame, masked with zeros."""
    size, first = len(payload), opcode | (0x80 if fin else 0)
    if size < 126:
        return bytes((first, 0x80 | size)) + bytes(4) + payload
    if size < 65536:
        return struct.pack(">BBH", first, 0xFE, size) + bytes(4) + payload
    return struct.pack(">BBQ", first, 0xFF, size) + bytes(4) + payload


def rpc(method: str, id_: str = "1", **params: object) -> bytes:
    return frame(1, json.dumps({"id": id_, "method": method, "params": params}).encode())


def opened(urls: Urls, rng: Random):  # type: ignore[no-untyped-def]
    """A WebSocket, every other one over TLS."""
    return open_raw_client(rng.choice([urls["ws"], urls["wss"]]), ssl_context=trust_all())


async def read_out(stream: trio.abc.Stream, seconds: float = 0.3) -> None:
    with trio.move_on_after(seconds), suppress(*GONE):
        while await stream.receive_some():
            pass


def reset(stream: trio.abc.Stream) -> None:
    """The connection will end without a word when it is closed."""
    tcp_of(stream).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def join(client: RawClient, rng: Random) -> None:
    await client.send_bytes(rpc("connect", uid=f"bad{rng.randrange(50)}", token="t"))


async def noise(urls: Urls, rng: Random) -> None:
    async with await tcp(rng.choice(list(urls.values()))) as stream:
        await stream.send_all(rng.randbytes(rng.choice((1, 100, 5000, 100_000))))
        if rng.random() < 0.5:
            await stream.send_eof()
        await read_out(stream)


async def random_frames(urls: Urls, rng: Random) -> None:
    async with opened(urls, rng) as client:
        if rng.random() < 0.7:
            await join(client, rng)
        for _ in range(rng.randrange(1, 30)):
            head = bytes((rng.choice((0x81, 0x82, 0x80, 0x89, 0x8A, 0x88, 0x01, rng.randrange(256))),))
            payload = rng.randbytes(rng.randrange(125))
            await client.send_bytes(head + bytes((0x80 | len(payload),)) + rng.randbytes(4) + payload)
        await read_out(client.stream)


async def mutated_frames(urls: Urls, rng: Random) -> None:
    async with opened(urls, rng) as client:
        valid = rpc("connect", uid="bad", token="t") + rpc("send", **SEND) * 20 + rpc("ping") + frame(9, b"x")
        data = bytearray(valid)
        for _ in range(rng.randrange(1, 10)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        await client.send_bytes(bytes(data))
        await read_out(client.stream)


async def half_frames(urls: Urls, rng: Random) -> None:
    async with opened(urls, rng) as client:
        await join(client, rng)
        data = rpc("send", **SEND)
        await client.send_bytes(data[: rng.randrange(1, len(data))])
        if rng.random() < 0.5:
            reset(client.stream)


async def tiny_fragments(urls: Urls, rng: Random) -> None:
    async with opened(urls, rng) as client:
        await join(client, rng)
        await client.send_bytes(frame(1, b"{", fin=False))
        for _ in range(20):
            await client.send_bytes(frame(0, rng.choice((b"", b" ")), fin=False) * 2000)
        await read_out(client.stream, 0.1)


async def floods_before_connect(urls: Urls, rng: Random) -> None:
    async with opened(urls, rng) as client:
        await client.send_bytes(rng.choice((frame(9, b""), frame(1, b" "), frame(10, b"x"))) * 8000)
        await read_out(client.stream, 0.1)


async def giant_lengths(urls: Urls, rng: Random) -> None:
    async with opened(urls, rng) as client:
        if rng.random() < 0.5:
            await join(client, rng)
        size = rng.choice((2**21 + 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1))
        await client.send_bytes(bytes((rng.choice((0x81, 0x82, 0x89)), 0xFF)) + size.to_bytes(8, "big") + bytes(500))
        await read_out(client.stream)


async def byte_by_byte(urls: Urls, rng: Random) -> None:
    async with await open_stream(rng.choice([urls["ws"], urls["wss"]]), trust_all()) as stream:
        for byte in UPGRADE + rpc("connect", uid="slow", token="t") + rpc("ping"):
            await stream.send_all(bytes((byte,)))
            await trio.sleep(0.001)
        await read_out(stream)


async def half_open(urls: Urls, rng: Random) -> None:
    hello, streams = client_hello(), [await tcp(rng.choice(list(urls.values()))) for _ in range(100)]
    for stream in streams:
        whole = rng.choice((UPGRADE, hello))
        await stream.send_all(whole[: rng.randrange(1, len(whole))])
    wait_s = rng.choice((0.0, 0.2, 1.5))
    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(read_out, stream, wait_s)
    for stream in streams:
        if rng.random() < 0.5:
            reset(stream)
        await stream.aclose()


async def broken_tls(urls: Urls, rng: Random) -> None:
    """The handshake or a record is not what it should be, or the end comes without a word."""
    if rng.random() < 0.5:
        async with await tcp(urls["wss"]) as stream:
            data = bytearray(client_hello())
            for _ in range(rng.choice((0, 1, 5))):
                data[rng.randrange(len(data))] = rng.randrange(256)
            await stream.send_all(data)
            await read_out(stream)
        return
    async with open_raw_client(urls["wss"], ssl_context=trust_all()) as client:
        if rng.random() < 0.7:
            await join(client, rng)
            await client.send_bytes(rpc("send", **SEND) * rng.randrange(200))
        record = rng.choice((b"\x17", b"\x16", b"\x15", b"\x14")) + b"\x03\x03\x00\x20" + rng.randbytes(32)
        await tcp_of(client.stream).send_all(record * rng.choice((0, 1, 100)))
        if rng.random() < 0.5:
            reset(client.stream)


async def malformed_http(urls: Urls, rng: Random) -> None:
    requests = (
        b"GET //[?profile=sdk HTTP/1.1\r\nHost: [\r\n\r\n",
        UPGRADE.replace(b"GET /", b"GET //[x?profile=sdk") + rpc("connect", uid="bad", token="t"),
        b"POST /message/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /message/send HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"POST /channel HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b'POST /message/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{"channel_id":"\\ud8"',
        b'POST /user/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 24\r\n\r\n{"uid":"\\ud800","x":"y"}',
        b"GET /route HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"GET /route?" + b"%" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
        b"GET /varz HTTP/1.0\r\n\r\n" * 50,
    )
    async with await open_stream(rng.choice(list(urls.values())), trust_all()) as stream:
        data = bytearray(rng.choice(requests))
        for _ in range(rng.choice((0, 0, 1, 5))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        await stream.send_all(data)
        await read_out(stream)


async def random_rpc(urls: Urls, rng: Random) -> None:
    def value(depth: int = 0) -> object:
        plain = [None, True, -1, 2**70, 0.5, "", "x", "@", "a@b", "é\x00", "\ud800", "x" * 2000, 1, 2, "1"]
        if depth > 3 or rng.random() < 0.7:
            return rng.choice(plain)
        some = range(rng.randrange(4))
        names = ("channelId", "channelType", "payload", "header", "clientMsgNo", "messageId", "uid", "x")
        return [value(depth + 1) for _ in some] if rng.random() < 0.3 else {rng.choice(names): value() for _ in some}

    methods = ("send", "ping", "recvack", "disconnect", "connect", "subscribe", "", None)
    async with opened(urls, rng) as client:
        if rng.random() < 0.8:
            await join(client, rng)
        for _ in range(rng.randrange(1, 40)):
            params = value() if rng.random() < 0.5 else {**SEND, rng.choice(list(SEND)): value()}
            request: object = {"id": value(9), "method": rng.choice(methods), "params": params}
            await client.send_bytes(frame(1, json.dumps([request] * 3 if rng.random() < 0.1 else request).encode()))
        await read_out(client.stream)


async def deaf_flood(urls: Urls, rng: Random) -> None:
    """Much is asked, no answer is read."""
    async with opened(urls, rng) as client:
        await join(client, rng)
        with trio.move_on_after(1):
            for n in range(20):
                await client.send_bytes(rpc("send", **{**SEND, "clientMsgNo": f"{os.getpid()}-{n}"}) * 100)
        if rng.random() < 0.5:
            reset(client.stream)


def opened_for_packets(urls: Urls, rng: Random):  # type: ignore[no-untyped-def]
    """A connection for the binary protocol."""
    url = urls[rng.choice([name for name in ("tcp", "tls", "ws", "wss") if name in urls])]
    return open_raw_packet_client(url, ssl_context=trust_all())


async def join_in_packets(client: RawPacketClient, rng: Random) -> None:
    """Mostly as it should be done, by a client of any version."""
    key = {} if rng.random() < 0.8 else {"client_key": rng.choice(("", "A" * 44, "!" * 44, "AAAA", "é"))}
    await client.try_connect(f"bad{rng.randrange(50)}", rng.choice((0, 2, 4, 5, 6, 200)), device_id="d", **key)


def a_packet(client: RawPacketClient, rng: Random) -> Packet:
    text = rng.choice(("", "bob", "nobody", "a@b", "é", "x" * 600, "____cmd"))
    send = Send(
        rng.randrange(2**32),
        text,
        rng.choice((1, 2, 0, 13, 255)),
        rng.randbytes(rng.randrange(200)),
        rng.choice(("m", text)),
        rng.randrange(256),
        rng.randrange(16),
        rng.randrange(2**32),
        topic=text,
        stream_no=text,
    )
    packets: tuple[Packet, ...] = (
        PING, PONG, send, client.seal(send), client.seal(send), Recvack(rng.getrandbits(63), rng.getrandbits(32), 15),
        Sub(text, text, 2, 0, text), Event(text, text, 1, b"{}"),
    )  # fmt: skip
    rare = (Connect(6, 0, uid=text), Disconnect(0, text), Suback(text, text, 1, 0, 1))
    return rng.choice(packets if rng.random() < 0.97 else rare)


async def send_in_pieces(client: RawPacketClient, data: bytes, rng: Random) -> None:
    while data:
        size = rng.choice((1, 7, 100, len(data)))
        await client.send_bytes(data[:size])
        data = data[size:]


async def random_packets(urls: Urls, rng: Random) -> None:
    """Whole packets with strange contents, or a type and a length with anything behind."""
    async with opened_for_packets(urls, rng) as client:
        if rng.random() < 0.8:
            await join_in_packets(client, rng)
        for _ in range(rng.randrange(1, 60)):
            if rng.random() < 0.9:
                await client.send(a_packet(client, rng))
            else:
                body = rng.randbytes(rng.randrange(128))
                await client.send_bytes(bytes((rng.randrange(256), len(body))) + body)
        await read_out(client.stream)


async def mutated_packets(urls: Urls, rng: Random) -> None:
    """Bytes that are not quite right, in pieces, from the first or after CONNECT."""
    async with opened_for_packets(urls, rng) as client:
        if joined := rng.random() < 0.7:
            await join_in_packets(client, rng)
        hello = b"" if joined else encode(client.hello("bad"), 6)
        packets = [a_packet(client, rng) for _ in range(30)]
        data = bytearray(hello + b"".join([encode(packet, client.version) for packet in packets]))
        for _ in range(rng.randrange(1, 10)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        await send_in_pieces(client, bytes(data), rng)
        await read_out(client.stream)


async def half_packets(urls: Urls, rng: Random) -> None:
    async with opened_for_packets(urls, rng) as client:
        if rng.random() < 0.7:
            await join_in_packets(client, rng)
        data = encode(a_packet(client, rng), client.version) + encode(client.hello("bad"), 6)
        await client.send_bytes(data[: rng.randrange(1, len(data))])
        if rng.random() < 0.5:
            reset(client.stream)


async def packet_floods_before_connect(urls: Urls, rng: Random) -> None:
    async with opened_for_packets(urls, rng) as client:
        connect = encode(Connect(6, 0, uid="bad", token="t" * 32_767, device_id="d" * 32_767), 6)
        flood = rng.choice((b"\x70" * 2**20, b"\x10" + b"\xff" * 2**20, bytes(2**20), b" " * 2**20, connect * 16))
        await client.send_bytes(flood)
        await read_out(client.stream, 0.1)


async def giant_packets(urls: Urls, rng: Random) -> None:
    async with opened_for_packets(urls, rng) as client:
        if rng.random() < 0.7:
            await join_in_packets(client, rng)
        size = rng.choice((b"\x81\x80\x40", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x7f", b"\x80\x80\x40"))
        await client.send_bytes(bytes((rng.randrange(16, 224),)) + size + bytes(rng.choice((0, 1000, 2**20))))
        await read_out(client.stream)


async def deaf_packet_flood(urls: Urls, rng: Random) -> None:
    """Much is asked in few bytes, no answer is read."""
    async with opened_for_packets(urls, rng) as client:
        await join_in_packets(client, rng)
        sends = [client.seal(Send(n, "nobody", 1, b"{}", f"{os.getpid()}-{n}")) for n in range(100)]
        one = b"".join([encode(send, client.version) for send in sends])
        with trio.move_on_after(1):
            for _ in range(20):
                await client.send_bytes(rng.choice((one, b"\x70" * 100_000, one + b"\x70" * 1000)))
        if rng.random() < 0.5:
            reset(client.stream)


OFFENCES: tuple[Offence, ...] = (
    noise, random_frames, mutated_frames, half_frames, tiny_fragments, floods_before_connect, giant_lengths,
    byte_by_byte, half_open, broken_tls, malformed_http, random_rpc, deaf_flood, random_packets, mutated_packets,
    half_packets, packet_floods_before_connect, giant_packets, deaf_packet_flood,
)  # fmt: skip

"""Limits and bad input (section 11): there is no error packet, only the end."""

from contextlib import suppress

import msgspec
import pytest
import trio
from places import OpenPlace, Place, in_parallel, message, read_until_closed, received, refused, sent

from wukong_trio.protocol.wkproto import MAX_PACKET_BYTES, Connect, Sendack
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import RawPacketClient

TOO_LONG = b"\x81\x80\x40"
"""A remaining length of 1,048,577."""


def string(text: bytes, size: int | None = None) -> bytes:
    """A string of a packet, whose length may lie."""
    return (len(text) if size is None else size).to_bytes(2, "big") + text


def packet(first: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes((first, len(body))) + body


BAD = {
    "type 0": (b"\x00\x01\x00", 1002),
    "type 13": (b"\xd0\x01\x00", 1002),
    "type 14": (b"\xe7", 1002),
    "type 15": (b"\xff", 1002),
    "length over the limit": (b"\x30" + TOO_LONG, 1009),
    "largest length": (b"\x6f\xff\xff\xff\x7f", 1009),
    "five bytes of length": (b"\x30\xff\xff\xff\xff\x01", 1002),
    "five bytes of a small length": (b"\x30\x80\x80\x80\x80\x00", 1002),
    "four bytes of length that go on": (b"\x60\x8c\x80\x80\x80", 1002),
    "no body": (b"\x30\x00", 1002),
    "RECVACK cut": (packet(0x60, bytes(15)), 1002),
    "SEND cut in client_seq": (packet(0x30, bytes(4)), 1002),
    "SEND cut in a string": (packet(0x30, bytes(5) + string(b"m", 99)), 1002),
    "SEND cut before msg_key": (packet(0x30, bytes(5) + string(b"m") + string(b"bob") + b"\x01" + bytes(4)), 1002),
    "SEND cut before topic": (packet(0x30, b"\x08" + bytes(4) + string(b"") + string(b"g") + b"\x02" + bytes(6)), 1002),
    "string of 32768": (packet(0x30, bytes(5) + string(b"m" * 40, 0x8000)), 1002),
    "string of -1": (packet(0x30, bytes(5) + string(b"m" * 40, 0xFFFF)), 1002),
    "client_msg_no not UTF-8": (packet(0x30, bytes(5) + string(b"\xff") + string(b"bob") + b"\x01" + bytes(6)), 1002),
    "channel_id not UTF-8": (packet(0x30, bytes(5) + string(b"m") + string(b"\xc3") + b"\x01" + bytes(6)), 1002),
    "half a character": (packet(0x30, bytes(5) + string(b"m") + string(b"\xed\xa0\x80") + b"\x01" + bytes(6)), 1002),
    "DISCONNECT cut": (packet(0x90, b"\x0c"), 1002),
    "SUB cut": (packet(0xA0, b"\x00" + string(b"s") + string(b"g") + b"\x02"), 1002),
    "EVENT cut": (packet(0xC0, string(b"1") + string(b"t") + bytes(7)), 1002),
    "CONNACK": (packet(0x20, bytes(22)), 1002),
}  # fmt: skip
"""In a session of version 6, and how a WebSocket ends."""
BAD_CONNECTS = {
    "no body": b"\x10\x00",
    "no uid": packet(0x10, b"\x06\x00" + string(b"d")),
    "no client_key": packet(0x10, b"\x06\x00" + string(b"d") + string(b"ann") + string(b"t") + bytes(8)),
    "cut in client_timestamp": packet(0x10, b"\x06\x00" + string(b"") * 3 + bytes(5)),
    "uid not UTF-8": packet(0x10, b"\x06\x00" + string(b"d") + string(b"\xff") + string(b"t") + bytes(10)),
    "uid too long": packet(0x10, b"\x06\x00" + string(b"d") + string(b"ann", 0x8003) + string(b"t") + bytes(10)),
    "five bytes of length": b"\x10\x80\x80\x80\x80\x00",
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_packets(open_place: OpenPlace, name: str) -> None:
    data, code = BAD[name]
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        # What came before it in the same read counts, what comes after it does not.
        before, after = encode(ann.seal(message(1)), 6), encode(ann.seal(message(2)), 6)
        await ann.send_bytes(before + data + after)
        sendack = await ann.receive()
        assert isinstance(sendack, Sendack)
        await place.ended(ann, code)
        await received(bob, sendack)
        await bob.ping()


@pytest.mark.parametrize("name", ["type 13", "length over the limit", "four bytes of length that go on"])
async def test_nothing_more_is_waited_for(open_place: OpenPlace, name: str) -> None:
    data, code = BAD[name]
    async with open_place() as place, place.online("ann") as (ann,):
        for n in range(len(data) - (name == "type 13") * 2):
            await ann.send_bytes(data[n : n + 1])
        await place.ended(ann, code)


@pytest.mark.parametrize("name", BAD_CONNECTS)
async def test_connects_that_cannot_be_read(open_place: OpenPlace, name: str) -> None:
    async with open_place() as place, place.stranger() as client:
        await client.send_bytes(BAD_CONNECTS[name])
        await place.ended(client, 1002)


async def test_what_follows_the_last_field_is_ignored(open_place: OpenPlace) -> None:
    async with open_place() as place, place.stranger() as client:
        hello = encode(client.hello("ann"), 6)
        assert hello[1] < 120
        await client.send_bytes(bytes((hello[0], hello[1] + 3)) + hello[2:] + b"abc")
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
        await client.send_bytes(b"\x60\x12" + bytes(18))
        await client.ping()


async def test_lengths_may_be_longer_than_they_need_be(open_place: OpenPlace) -> None:
    async with open_place() as place, place.stranger() as client:
        hello = encode(client.hello("ann"), 6)
        await client.send_bytes(hello[:1] + bytes((hello[1] | 0x80, 0x80, 0x80, 0x00)) + hello[2:])
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
        await client.send_bytes(b"\x60\x90\x00" + bytes(16))
        await client.ping()


async def test_the_longest_packet(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,):
        head = b"\xa0\x80\x80\x40"
        body = b"\x00" + string(b"s") + string(b"g") + b"\x02\x00" + string(b"{}")
        await ann.send_bytes(head + body + bytes(MAX_PACKET_BYTES - len(body)))
        await ann.ping()
        await ann.send_bytes(b"\xa0" + TOO_LONG)
        await place.ended(ann, 1009)


async def test_the_longest_string(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,):
        assert await refused(ann, 1, client_msg_no="n" * 32_767) == 9
        await ann.ping()


@pytest.mark.parametrize("version", [0, 5, 6])
async def test_a_recv_that_would_be_too_long(open_place: OpenPlace, version: int) -> None:
    """Refused, even where the settings allow larger payloads; what is not refused arrives."""
    limits = {"payload_bytes": 2**21}
    async with open_place(limits=limits) as place, place.online(f"{version}:bob", "a" * 512) as (bob, ann):
        fields = {"client_msg_no": "n" * 512, "setting": 8, "topic": "t" * 512}

        async def send() -> None:
            assert await refused(ann, 1, payload=bytes(780_001), **fields) == 9
            await sent(ann, 2, payload=bytes(780_000), **fields)
            await ann.ping()

        async def receive() -> None:
            assert (await bob.receive_message()).payload == bytes(780_000)

        await in_parallel(send, receive)


async def test_sixteen_kib_before_authentication(open_place: OpenPlace) -> None:
    """The most that is kept for a stranger. One byte more ends it before that byte is there."""
    async with open_place() as place:
        async with place.stranger() as client:
            await client.send_bytes(b"\x10\x81\x80\x01")
            await place.ended(client, 1009)
        async with place.stranger() as client:
            # A token of more than 4096 bytes is nobody's, but may be looked at.
            hello = client.hello("ann")
            size = len(encode(msgspec.structs.replace(hello, token="t" * 200), 6)) - 200
            hello = msgspec.structs.replace(hello, token="t" * (16_000 - size))
            await client.send(hello)
            assert (await client.receive()).reason_code == 2  # type: ignore[union-attr]
            await place.ended(client, 4002)
        async with place.stranger() as client:
            await client.send_bytes(encode(Connect(6, 0, uid="ann", token="t" * 20_000), 6))
            await place.ended(client, 1009)


@pytest.mark.parametrize(
    "flood",
    [
        b"\x70" * 2**20,
        b"\x80" * 2**20,
        encode(Connect(6, 0, uid="ann", token="t" * 32_767), 6) * 40,
        b"\x10" + b"\xff" * 2**20,
        bytes(2**20),
        b" " * 2**20,
        b"\x10\xff\x7f" + bytes(2**20),
    ],
    ids=["PINGs", "PONGs", "CONNECTs", "a length without end", "zeros", "blanks", "a CONNECT of 16 KiB"],
)
async def test_floods_before_connect(open_place: OpenPlace, flood: bytes) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob), place.stranger() as client:

        async def send() -> None:
            with suppress(trio.BrokenResourceError):
                await client.send_bytes(flood)

        async def talk() -> None:
            for n in range(20):
                await received(bob, await sent(ann, n))

        await in_parallel(send, lambda: ended_somehow(place, client), talk)


async def ended_somehow(place: Place, client: RawPacketClient) -> None:
    """The end, without a packet. The kernel may have thrown the close frame away with what was not read."""
    packets, closed = await read_until_closed(client)
    assert not packets
    assert closed.code in ((1002, 1006, 1009) if place.has_frames else (1006,))


async def test_tiny_messages_before_connect(open_websocket: OpenPlace) -> None:
    """Each costs as much as if it were larger."""
    async with open_websocket() as place, place.stranger() as client, trio.open_nursery() as nursery:

        async def send() -> None:
            data = encode(client.hello("ann", token="t" * 4000), 6)
            with suppress(trio.BrokenResourceError):
                for n in range(len(data)):
                    await client.send_bytes(data[n : n + 1])

        nursery.start_soon(send)
        closed = await client.wait_closed()
        assert closed.code in (1009, 1006)
        nursery.cancel_scope.cancel()


async def test_slow_consumers(open_place: OpenPlace) -> None:
    limits = {"outbox_bytes": 200_000, "outbox_frames": 8, "close_timeout_s": 0.2}
    async with open_place(limits=limits) as place, place.online("ann", "bob", "deaf") as (ann, bob, _):
        await place.group("ann", "bob", "deaf")
        for n in range(200):
            sendack = await sent(ann, n, to="g", channel_type=2, payload=bytes(300_000), flags=1)
            await received(bob, sendack)
            if place.server.statistics().sessions == 2:
                break
        else:
            raise AssertionError("the client that does not read is still there")
        await received(bob, await sent(ann, 999, to="g", channel_type=2))

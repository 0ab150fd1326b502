"""Statements 61-65: packets in WebSocket messages."""

import pytest
from places import OpenPlace, message, read_until_closed, received, sent

from wukong_trio.protocol.wkproto import PING, PONG, PONG_BYTES, Connect, Sendack
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import RawPacketClient, open_raw_client

ASCII_CONNECT = encode(Connect(6, 0, uid="ann", client_timestamp=0), 6)
"""Valid UTF-8, like all CONNECTs that are short and whose clock is at the beginning."""


async def test_w061_one_packet_in_one_message(open_websocket: OpenPlace) -> None:
    """That it is one frame, and a binary one, is looked at wherever a packet is received."""
    async with open_websocket() as place, place.online("ann", "bob", "2:bob", "ann") as clients:
        ann, *others = clients
        await ann.send(*[ann.seal(message(n, payload=b"x" * n * 100)) for n in range(1, 60)], PING)
        for n in range(1, 60):
            sendack = await ann.receive()
            assert isinstance(sendack, Sendack)
            for client in others:
                assert len((await received(client, sendack)).payload) == n * 100
        assert await ann.receive() == PONG


async def test_w061_not_even_a_large_packet_is_fragmented(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.online("ann", "bob") as (ann, bob):
        for n, size in enumerate((80, 90, 125, 126, 40_000, 49_000, 50_000, 500_000), start=1):
            sendack = await sent(ann, n, payload=bytes(size))
            assert (await received(bob, sendack)).payload == bytes(size)


async def test_w062_split_joined_and_in_fragments(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.online("ann", "bob") as (ann, bob):
        assert ann.websocket is not None
        data = encode(ann.seal(message(1)), 6)
        for cut in range(1, len(data)):
            await ann.send_bytes(data[:cut])
            await ann.send_bytes(data[cut:])
            assert isinstance(await ann.receive(), Sendack)
        await received(bob, await ann.call(ann.seal(message(1))))
        # Two and a half, then the rest.
        three = b"".join([encode(ann.seal(message(n)), 6) for n in (2, 3, 4)])
        await ann.send_bytes(three[:-20])
        assert [type(await ann.receive()) for _ in range(2)] == [Sendack] * 2
        await ann.send_bytes(three[-20:] + b"\x70")
        assert [type(await ann.receive()).__name__ for _ in range(2)] == ["Sendack", "Pong"]
        await ann.websocket.send_fragments(*[three[n : n + 1] for n in range(len(three))])
        assert [type(await ann.receive()) for _ in range(3)] == [Sendack] * 3
        await ann.websocket.send_fragments(b"", b"\x70", b"", b"\x70\x70", b"")
        assert [await ann.receive() for _ in range(3)] == [PONG] * 3
        await ann.send_bytes(b"")
        await ann.ping()


async def test_w062_text_messages(open_websocket: OpenPlace) -> None:
    async with (
        open_websocket(encryption=False) as place,
        place.stranger() as ann,
        place.online("bob", encryption=False) as (bob,),
    ):
        assert ann.websocket is not None
        await ann.websocket.send_text(ASCII_CONNECT.decode())
        assert (await ann.receive()).reason_code == 1  # type: ignore[union-attr]
        await ann.websocket.send_text("pq" + encode(message(7), 6).decode() + "r")
        assert [await ann.receive() for _ in range(2)] == [PONG, PONG]
        sendack = await ann.receive()
        assert isinstance(sendack, Sendack)
        await received(bob, sendack)
        assert await ann.receive() == PONG
        # Half of it as text, the rest as bytes.
        data = encode(message(8, payload="é".encode()), 6)
        await ann.websocket.send_fragments(data[:-2].decode(), "é")
        assert (await received(bob, await ann.receive())).payload == "é".encode()  # type: ignore[arg-type]
        data = encode(message(9, payload=b"\xff"), 6)
        await ann.websocket.send_text(data[:-1].decode())
        await ann.send_bytes(data[-1:])
        assert (await received(bob, await ann.receive())).payload == b"\xff"  # type: ignore[arg-type]


async def test_w062_a_connect_in_fragments(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.stranger() as client:
        assert client.websocket is not None
        data = encode(client.hello("ann"), 6)
        await client.websocket.send_fragments(data[:1], data[1:30], data[30:])
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
        await client.ping()


@pytest.mark.parametrize("blanks", ["", " ", "\r\n\t ", " " * 30])
async def test_w063_a_brace_selects_json_rpc_for_good(open_websocket: OpenPlace, blanks: str) -> None:
    async with open_websocket() as place, open_raw_client(place.url) as client:
        request = '{"id":"c","method":"connect","params":{"uid":"ann","token":"t"}}'
        if blanks:
            await client.send_text(blanks)
        # Answers are text, whatever the client sends.
        await client.send_binary((blanks + request).encode())
        assert (await client.receive())["result"]["reasonCode"] == 1
        for data in (b"\x70", encode(Connect(6, 0, uid="ann"), 6)):
            await client.send_binary(data)
            assert (await client.receive())["error"]["code"] == -32007
        await client.ping()


@pytest.mark.parametrize("blanks", [b" ", b"\n", b"\t\r\n "])
async def test_w063_blanks_are_only_looked_at(open_websocket: OpenPlace, blanks: bytes) -> None:
    async with open_websocket() as place:
        for messages in ((blanks, b"\x10"), (blanks + b"\x10",)):
            async with place.stranger() as client:
                for data in messages:
                    await client.send_bytes(data)
                await place.ended(client, 1002)


async def test_w063_the_binary_protocol_is_selected_for_good(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.online("ann") as (ann,):
        await ann.send_bytes(b'{"id":"c","method":"ping"}' * 5)
        # `{` is a PING with flags, `"` begins a CONNACK of 105 bytes.
        assert await ann.receive_bytes() == PONG_BYTES
        await place.ended(ann, 1002)


@pytest.mark.parametrize("first", b"[{")
async def test_w063_brackets_and_braces_are_json_rpc(open_websocket: OpenPlace, first: int) -> None:
    async with open_websocket() as place, place.stranger() as client:
        assert client.websocket is not None
        await client.send_bytes(bytes((first,)))
        answer = await client.websocket.receive()
        assert "error" in (answer[0] if isinstance(answer, list) else answer)
        assert (await client.websocket.wait_closed()).code == 4002


async def test_w064_pings_of_the_websocket(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.stranger() as client:
        websocket = client.websocket
        assert websocket is not None
        await websocket.send_ping(b"early")
        assert await websocket.wait_pong() == b"early"
        data = encode(client.hello("ann"), 6)
        await client.send_bytes(data[:30])
        await websocket.send_ping(b"in between")
        await client.send_bytes(data[30:])
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
        assert await websocket.wait_pong() == b"in between"
        data = encode(message(), 6)
        await client.send_bytes(data[:9])
        await websocket.send_ping(b"x" * 125)
        assert await websocket.wait_pong() == b"x" * 125
        await client.send_bytes(data[9:])
        assert isinstance(await client.receive(), Sendack)
        await client.ping()
        assert not websocket.pongs


async def test_w064_a_ping_may_come_before_connack(open_websocket: OpenPlace) -> None:
    """It is no packet, so it breaks no rule."""
    async with open_websocket() as place, place.stranger() as client:
        websocket = client.websocket
        assert websocket is not None
        await client.send(client.hello("ann"))
        await websocket.send_ping(b"p")
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]
        assert await websocket.wait_pong() == b"p"
        await client.ping()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xd0", 1002),
        (b"\xd0\x01\x00", 1002),
        (b"\x30\x81\x80\x40", 1009),
        (b"\x30\xff\xff\xff\x7f", 1009),
        (b"\x30\xff\xff\xff\xff\x7f", 1002),
    ],
)
@pytest.mark.parametrize("authenticated", [True, False])
async def test_w065_close_codes(open_websocket: OpenPlace, data: bytes, code: int, authenticated: bool) -> None:
    async with open_websocket() as place, place.stranger() as client:
        if authenticated:
            await client.connect("ann")
        else:
            data = data.replace(b"\x30", b"\x10")
        await client.send_bytes(data)
        await place.ended(client, code)


async def test_a_message_that_is_too_big(open_websocket: OpenPlace) -> None:
    limits = {"ws_message_bytes": 100_000}
    async with open_websocket(limits=limits) as place, place.online("ann", "ann") as (ann, other):
        await ann.send_bytes(b"\x60\x10" + bytes(100_000 - 2))
        await other.ping()
        async with place.online("ann") as (third,):
            await third.send_bytes(b"\x80" * 100_000)
            await third.ping()
            await third.send_bytes(b"\x80" * 100_001)
            await place.ended(third, 1009)


async def test_unmasked_frames(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.online("ann") as (ann,):
        assert ann.websocket is not None
        await ann.websocket.send_bytes(b"\x82\x01\x70")
        # The reference engine's library ends such a connection without a close frame.
        await place.ended(ann, 1002, *((1006,) if "reference" in place.carrier else ()))


async def test_a_client_that_says_goodbye(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, place.online("ann", "bob") as (ann, bob):
        assert ann.websocket is not None
        await ann.send(ann.seal(message()))
        await ann.websocket.send_close(1000)
        assert (await bob.receive_message()).client_msg_no == "m1", "what came before it counts"
        packets, closed = await read_until_closed(ann)
        assert closed.code == 1000
        assert len(packets) <= 1


async def test_any_path(open_websocket: OpenPlace) -> None:
    async with open_websocket() as place, open_raw_client(place.url + "/some/path?x=y") as websocket:
        client = RawPacketClient(websocket.stream, websocket)
        await client.connect("ann")
        await client.ping()
        assert not {"sec-websocket-protocol", "sec-websocket-extensions"} & {
            line.partition(":")[0].lower() for line in websocket.head.splitlines()
        }

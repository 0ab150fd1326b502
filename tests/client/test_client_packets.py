"""The client of the binary protocol with servers that are otherwise: what it takes, and what it does not."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from stub_server import PacketPeer, deaf, open_packet_server

from wukong_trio import ConnectionClosed, RequestError, open_client
from wukong_trio.client.stream import StreamWire
from wukong_trio.model import DUP, NO_PERSIST, SETTING_NO_ENCRYPT, SYNC_ONCE
from wukong_trio.protocol.wkproto import (
    LATEST_VERSION,
    MAX_PACKET_BYTES,
    PONG_BYTES,
    Connect,
    Disconnect,
    Event,
    Recv,
    Recvack,
    Send,
    Suback,
)
from wukong_trio.protocol.wkproto_keys import send_sign_text
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

Make = Callable[[PacketPeer], bytes]


async def test_a_send_is_signed_and_says_nothing_in_clear() -> None:
    seen: list[tuple[Send, bytes]] = []

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        heard = await peer.hear()
        packet, keys = heard.key, peer.keys
        assert keys is not None
        assert packet.msg_key.encode() == keys.sign(send_sign_text(packet))
        seen.append((packet, keys.decrypt(packet.payload)))
        await peer.answer(heard)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            await ann.send("bob", b"secret", client_msg_no="m1", no_persist=True, topic="t")
    packet, payload = seen[0]
    assert payload == b"secret"
    assert (packet.client_msg_no, packet.flags, packet.topic) == ("m1", 3, "t")


async def test_what_connect_says() -> None:
    seen: list[Connect] = []

    async def serve(peer: PacketPeer) -> None:
        packet = await peer.next_packet()
        assert isinstance(packet, Connect)
        seen.append(packet)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url:
            for arguments in ({"device_id": "d1", "device_flag": 2, "token": "s3"}, {"encryption": False}, {}):
                with pytest.raises(ConnectionClosed):
                    async with open_client(url, uid="ann", **arguments):
                        pass
    first, plain, other = seen
    assert (first.version, first.uid, first.token) == (LATEST_VERSION, "ann", "s3")
    assert (first.device_id, first.device_flag, len(first.client_key)) == ("d1", 2, 44)
    assert first.client_timestamp > 1_600_000_000_000
    assert plain.client_key == ""
    assert plain.device_id != other.device_id
    assert first.client_key != other.client_key


async def test_a_connect_that_cannot_be_written() -> None:
    with trio.fail_after(10):
        async with open_packet_server(deaf) as url:
            with pytest.raises(RequestError):
                async with open_client(url, uid="ann", device_flag=256):
                    pass


@pytest.mark.parametrize("scheme", ["tcp", "ws"])
async def test_packets_may_be_joined_and_cut(scheme: str) -> None:
    async def serve(peer: PacketPeer) -> None:
        async with peer.joined() as piece:
            await peer.accept()  # Messages come with the CONNACK.
            for number in range(1, 10):
                await peer.push(number)
            rest = piece[-500:]
            del piece[-500:]
        for byte in rest:
            await peer.send(bytes((byte,)))
        for number in range(1, 10):
            assert await peer.next_packet() == Recvack(number, number)
        await peer.answer(await peer.hear())
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve, scheme) as url, open_client(url, uid="ann", protocol="wkproto") as ann:
            assert [(await ann.__anext__()).message_seq for _ in range(9)] == [*range(1, 10)]
            await ann.ping()


async def test_on_a_websocket_each_packet_is_one_message() -> None:
    packets: list[object] = []

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        for number in (1, 2):
            await peer.push(number)
        while True:
            message, reader = await peer.receive(), PacketReader()
            packets.extend(reader.receive(message, most=1))
            assert reader.at_start

    with trio.fail_after(10):
        async with open_packet_server(serve, "ws") as url, open_client(url, uid="ann", protocol="wkproto") as ann:
            for _ in range(2):
                await ann.__anext__()
    assert packets == [Recvack(1, 1), Recvack(2, 2)]


@pytest.mark.parametrize("flags", [0, DUP | SYNC_ONCE, NO_PERSIST])
async def test_a_recvack_has_the_flags_of_its_recv_but_dup(flags: int) -> None:
    seen: list[object] = []

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await peer.say(peer.recv(7, flags=flags))
        seen.append(await peer.next_packet())

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            assert (await ann.__anext__()).flags == flags & ~DUP
    assert seen == [Recvack(7, 7, flags & ~DUP)]


@pytest.mark.parametrize("version", [*range(4, LATEST_VERSION + 1)])
async def test_servers_of_older_versions_are_understood(version: int) -> None:
    async def serve(peer: PacketPeer) -> None:
        async with peer.joined():
            await peer.accept(server_version=version)
            await peer.push(7)
        assert await peer.next_packet() == Recvack(7, 7)
        await peer.answer(await peer.hear())
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            assert (await ann.__anext__()).payload == b"hi"
            await ann.send("bob", b"hi")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"server_version": None}, "names version None"),
        ({"server_version": LATEST_VERSION + 1}, "names version 7"),
        ({"server_key": ""}, "does not encrypt"),
        ({"server_key": "AAAA"}, "32 bytes"),
        ({"server_key": "?"}, "not base64"),
        ({"server_key": "A" * 43 + "="}, "makes any secret zero"),
        ({"salt": "short"}, "salt"),
    ],
)
async def test_a_connack_that_is_no_use(fields: dict[str, Any], words: str) -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept(**fields)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url:
            with pytest.raises(ConnectionClosed, match=words) as closed:
                async with open_client(url, uid="ann"):
                    pass
            assert closed.value.code == 1002


async def test_a_server_that_encrypts_although_nobody_asked() -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept(server_key="A" * 43 + "=", salt="a" * 16)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url:
            with pytest.raises(ConnectionClosed, match="encryption=False asked for none"):
                async with open_client(url, uid="ann", encryption=False):
                    pass


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda peer: peer.recv(7, msg_key="0" * 32), "msg_key of message 7 is wrong"),
        (lambda peer: peer.recv(7, msg_key=""), "msg_key"),
        (lambda peer: peer.recv(7, msg_key="ä"), "msg_key"),
        (lambda peer: peer.recv(7, message_id=8), "msg_key"),
        (lambda peer: peer.recv(7, message_seq=8), "msg_key"),
        (lambda peer: peer.recv(7, from_uid="eve"), "msg_key"),
        (lambda peer: peer.recv(7, channel_id="eve"), "msg_key"),
        (lambda peer: peer.recv(7, channel_type=2), "msg_key"),
        (lambda peer: peer.recv(7, client_msg_no="m"), "msg_key"),
        (lambda peer: peer.recv(7, timestamp=1), "msg_key"),
        (lambda peer: peer.recv(7, payload=b"hi", msg_key="", setting=SETTING_NO_ENCRYPT), "msg_key"),
        (lambda peer: _signed(peer, b"hi"), "message 7: the payload is not base64"),
        (lambda peer: _signed(peer, b"aGk="), "not whole blocks"),
        (lambda peer: _signed(peer, b"A" * 22 + b"=="), "badly padded"),
    ],
)
async def test_a_recv_that_cannot_be_verified_is_the_end(make: Make, words: str) -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await peer.push(6)
        await peer.say(make(peer))
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            assert (await ann.__anext__()).message_id == 6
            with pytest.raises(ConnectionClosed, match=f"no WKProto: .*{words}") as closed:
                await ann.__anext__()
            assert closed.value.code == 1002


def _signed(peer: PacketPeer, payload: bytes) -> bytes:
    """A RECV that is rightly signed, over a payload that does not decrypt."""
    keys = peer.keys
    assert keys is not None
    return peer.recv(7, payload=payload, msg_key=keys.sign(b"770bobbob1" + payload).decode())


@pytest.mark.parametrize("encryption", [True, False])
@pytest.mark.parametrize("first", [b"\x80", encode(Recv(7, 7, "bob", "bob", 1, b"hi", "", 0), LATEST_VERSION)])
async def test_nothing_counts_before_connack(encryption: bool, first: bytes) -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.say(first)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url:
            with pytest.raises(ConnectionClosed, match="no WKProto: it begins with"):
                async with open_client(url, uid="ann", encryption=encryption):
                    pass


async def test_nothing_counts_behind_a_connack_that_refuses() -> None:
    async def serve(peer: PacketPeer) -> None:
        async with peer.joined():
            await peer.accept(reason_code=2, server_key="", salt="")
            await peer.push(7)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url:
            with pytest.raises(RequestError, match="AuthFail"):
                async with open_client(url, uid="ann", encryption=False):
                    pass


async def test_the_last_words_arrive_although_nothing_more_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = trio.Event()

    async def fail(_data: bytes) -> None:
        failed.set()
        raise trio.BrokenResourceError

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await failed.wait()
        await peer.notice(12, "be nice")

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            assert isinstance(ann._wire, StreamWire)
            monkeypatch.setattr(ann._wire._stream, "send_all", fail)
            with pytest.raises(ConnectionClosed, match="4003 be nice"):
                await ann.send("bob", b"hi")


async def test_who_leaves_does_not_cut_off_what_is_under_way() -> None:
    ends: list[bytes] = []

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        for number in range(200):
            await peer.push(number)
            await trio.lowlevel.checkpoint()
        while data := await peer.receive():
            pass
        ends.append(data)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            await ann.__anext__()
    assert ends == [b""]


async def test_a_server_may_end_it_before_connack() -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.say(encode(Disconnect(15, "full"), LATEST_VERSION))
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url:
            with pytest.raises(ConnectionClosed, match="4003 full"):
                async with open_client(url, uid="ann"):
                    pass


@pytest.mark.parametrize(
    ("reason_code", "code", "words"),
    [(4, -32004, "InBlacklist"), (5, -32003, "ChannelNotExist"), (22, -32005, "RateLimit"), (200, -32603, "unknown")],
)
async def test_a_reason_is_an_error(reason_code: int, code: int, words: str) -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await peer.refuse(await peer.hear(), reason_code)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            with pytest.raises(RequestError, match=words) as refused:
                await ann.send("bob", b"hi")
            assert (refused.value.code, refused.value.reason_code) == (code, reason_code)


async def test_what_says_nothing_to_a_client_is_left_out() -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await peer.say(encode(Event("1", "typing", 0, b"{}"), peer.version))
        await peer.say(encode(Suback("", "g", 2, 0, 1), peer.version))
        await peer.say(PONG_BYTES * 3)
        for _ in range(2):
            await peer.answer(await peer.hear())
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann:
            for _ in range(2):
                await ann.ping()


async def test_a_pong_is_for_one_ping_in_turn() -> None:
    first_heard, second_heard = trio.Event(), trio.Event()

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        first = await peer.hear()
        first_heard.set()
        await peer.hear()
        second_heard.set()
        await peer.answer(first)
        await deaf(peer)

    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann") as ann, trio.open_nursery() as nursery:
            with trio.CancelScope() as given_up:
                nursery.start_soon(_cancel_when, first_heard, given_up)
                await ann.ping()
            assert given_up.cancelled_caught
            with trio.CancelScope() as unanswered:
                nursery.start_soon(_cancel_when, second_heard, unanswered)
                await ann.ping()
            assert unanswered.cancelled_caught


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    await trio.testing.wait_all_tasks_blocked(0.05)
    scope.cancel()


def padded(packet: Callable[[int], bytes], size_bytes: int) -> bytes:
    """A packet whose remaining length is so large."""
    return packet(size_bytes - (len(packet(20_000)) - 4 - 20_000))


@pytest.mark.parametrize("scheme", ["tcp", "ws"])
async def test_the_largest_packet_arrives_and_no_larger_one(scheme: str) -> None:
    def recv(payload_bytes: int) -> bytes:
        return encode(Recv(7, 7, "bob", "bob", 1, bytes(payload_bytes), "", 0), LATEST_VERSION)

    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        await peer.say(padded(recv, MAX_PACKET_BYTES))
        await peer.say(b"\x50\x81\x80\x40")
        await deaf(peer)

    with trio.fail_after(10):
        async with (
            open_packet_server(serve, scheme) as url,
            open_client(url, uid="ann", protocol="wkproto", encryption=False) as ann,
        ):
            assert len((await ann.__anext__()).payload) > MAX_PACKET_BYTES - 100
            with pytest.raises(ConnectionClosed, match="1,048,577 bytes; 1,048,576 are allowed") as closed:
                await ann.__anext__()
            assert closed.value.code == 1009


async def test_the_largest_packet_is_sent_and_no_larger_one() -> None:
    async def serve(peer: PacketPeer) -> None:
        await peer.accept()
        while True:
            await peer.answer(await peer.hear())

    def send(payload_bytes: int) -> bytes:
        return encode(Send(1, "bob", 1, bytes(payload_bytes), "m1"), LATEST_VERSION)

    largest = MAX_PACKET_BYTES - (len(send(20_000)) - 4 - 20_000)
    with trio.fail_after(10):
        async with open_packet_server(serve) as url, open_client(url, uid="ann", encryption=False) as ann:
            await ann.send("bob", bytes(largest), client_msg_no="m1")
            with pytest.raises(RequestError, match="1,048,577"):
                await ann.send("bob", bytes(largest + 1), client_msg_no="m1")
            await ann.ping()

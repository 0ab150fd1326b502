"""The WKProto that a load generator says, and what it hears, beside an end that was written for this test."""

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from speeches import PREFIX, Heard, a_plan

from wukong_trio.bench import stamps
from wukong_trio.bench.speech import ProtocolError
from wukong_trio.bench.wkproto import CHECK_EVERY, WkProto
from wukong_trio.model import DUP, RED_DOT
from wukong_trio.protocol.wkproto import (
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    Pong,
    Recv,
    Recvack,
    Send,
    Sendack,
    Suback,
)
from wukong_trio.protocol.wkproto_keys import ClientExchange, SessionKeys, agree
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

PAYLOAD = stamps.OPENING + stamps.digits(0, 2, 3) + stamps.padding(64)
NO = PREFIX + stamps.digits(0, 2, 3).decode()


def speech(*, encryption: bool = False, payload_bytes: int = 64) -> WkProto:
    plan = a_plan(protocol="wkproto", encryption=encryption, payload_bytes=payload_bytes)
    exchange = ClientExchange() if encryption else None
    return WkProto(plan, 1, lambda message: b"<" + message + b">", stamps.padding(payload_bytes), exchange)


def read(data: bytes, version: int = 6) -> Packet:
    (packet,) = PacketReader(version).receive(data)
    return packet


def encrypted() -> tuple[WkProto, SessionKeys]:
    """A speech that has been welcomed, and the server's keys."""
    one = speech(encryption=True)
    connect = read(one.connect())
    assert isinstance(connect, Connect)
    server_key, salt, keys = agree(connect.client_key)
    one.welcome(memoryview(encode(Connack(0, 1, server_key, salt, 1, 6), 6)))
    return one, keys


def hear(one: WkProto, *packets: Packet, version: int = 6) -> Heard:
    ear = Heard()
    one.hear([memoryview(encode(packet, version)) for packet in packets], ear, 5)
    return ear


def recv(**changes: Any) -> Recv:
    fields: dict[str, Any] = {"message_id": 9, "message_seq": 4, "from_uid": "b-0", "channel_id": "b-0"}
    fields |= {"channel_type": 1, "payload": PAYLOAD, "client_msg_no": NO, "timestamp": 1_700_000_000}
    return Recv(**fields | changes)


def sealed(keys: SessionKeys, payload: bytes = PAYLOAD) -> Recv:
    text = base64.b64encode(aes(keys, payload))
    signed = f"94{NO}1700000000b-0b-01".encode() + text
    return recv(payload=text, msg_key=hashlib.md5(base64.b64encode(aes(keys, signed))).hexdigest())


def aes(keys: SessionKeys, text: bytes) -> bytes:
    """What the specification says, in its own words."""
    size = 16 - len(text) % 16
    encryptor = Cipher(AES(keys.aes_key), CBC(keys.aes_iv)).encryptor()
    return encryptor.update(text + bytes([size]) * size)


@pytest.mark.parametrize("size", [stamps.MIN_PAYLOAD_BYTES, 64, 1000])
def test_a_send_carries_a_stamp_in_number_and_payload(size: int) -> None:
    send = read(speech(payload_bytes=size).send(3, 123_456_789))
    assert isinstance(send, Send)
    assert (send.client_seq, send.channel_id, send.channel_type, send.flags) == (3, f"{PREFIX}0", 1, RED_DOT)
    assert send.client_msg_no == PREFIX + stamps.digits(1, 3, 123_456_789).decode()
    assert len(send.payload) == size
    assert stamps.read_stamp(send.payload) == (1, 3, 123_456_789)
    assert send.msg_key == ""


def test_a_send_is_encrypted_and_signed() -> None:
    one, keys = encrypted()
    send = read(one.send(3, 5))
    assert isinstance(send, Send)
    payload = stamps.OPENING + stamps.digits(1, 3, 5) + stamps.padding(64)
    assert send.payload == base64.b64encode(aes(keys, payload))
    signed = f"3{send.client_msg_no}b-01".encode() + send.payload
    assert send.msg_key == hashlib.md5(base64.b64encode(aes(keys, signed))).hexdigest()


def test_answers_are_told_by_their_number() -> None:
    ear = hear(speech(), Sendack(1, 7, 1, 1), Sendack(0, 8, 0, 11, "x"))
    assert ear.answers == [(7, ""), (8, "reason 11")]


def test_pongs_come_in_the_order_of_pings() -> None:
    one = speech()
    one.ping(1)
    one.keep_alive()
    one.ping(2)
    ear = hear(one, Pong(), Pong(), Pong(), Pong())
    assert ear.answers == [(1, ""), (2, ""), (None, "")]
    assert ear.alive == 1


def test_a_push_is_acknowledged_with_its_flags_but_dup() -> None:
    (delivery,) = hear(speech(), recv(flags=DUP | RED_DOT)).deliveries
    assert delivery.stamp == (0, 2, 3)
    assert delivery.message_seq == 4
    assert delivery.repeated
    assert delivery.receipt == b"<" + encode(Recvack(9, 4, RED_DOT), 6) + b">"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"client_msg_no": "hello"}, ""),
        ({"client_msg_no": f"other-{NO}"}, ""),
        ({"payload": PAYLOAD.replace(b"3", b"4")}, "message 9 of b-0: its payload belongs to another client_msg_no"),
    ],
)
def test_what_nobody_has_sent_is_foreign(changes: dict[str, Any], problem: str) -> None:
    ear = hear(speech(), recv(), recv(**changes))
    assert len(ear.deliveries) == 1
    assert ear.foreign == [problem]


def test_of_what_is_encrypted_a_sample_is_looked_at() -> None:
    one, keys = encrypted()
    good, bad = sealed(keys), recv(payload=b"AAAA", msg_key="0" * 32)
    assert hear(one, good, *[bad] * (CHECK_EVERY - 1)).foreign == []
    assert hear(one, bad).foreign == ["message 9 of b-0: its msg_key is wrong"]
    assert hear(one, *[bad] * (CHECK_EVERY - 1)).foreign == []
    other = sealed(keys, PAYLOAD.replace(b"3", b"4"))
    assert hear(one, other).foreign == ["message 9 of b-0: its payload belongs to another client_msg_no"]


@pytest.mark.parametrize("version", [5, 6])
def test_the_version_is_the_servers(version: int) -> None:
    one = speech()
    one.welcome(memoryview(encode(Connack(0, 1, node_id=1, server_version=version), version)))
    assert one.server_version == version
    (delivery,) = hear(one, recv(), version=version).deliveries
    assert delivery.message_seq == 4
    assert delivery.receipt == b"<" + encode(Recvack(9, 4), version) + b">"


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (Connack(0, 2, server_version=6), "refused b-1: reason 2"),
        (Connack(0, 21, server_version=6), "it wants encryption"),
        (Connack(0, 1, server_version=6), "say --no-encryption"),
        (Connack(0, 1, "x", "y", server_version=6), "is no use"),
        (Pong(), "something else than CONNACK"),
    ],
)
def test_a_refusal_says_why(packet: Packet, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        speech(encryption=True).welcome(memoryview(encode(packet, 6)))


@pytest.mark.parametrize(
    ("packet", "words"),
    [(Disconnect(12, "login in other device"), "DISCONNECT, reason 12 login"), (Suback("", "", 1, 0, 1), "SUBACK")],
)
def test_what_ends_a_connection(packet: Packet, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        hear(speech(), packet)


def test_events_mean_nothing_to_it() -> None:
    assert vars(hear(speech(), Event("1", "x", 0, b"{}"))) == vars(Heard())


@pytest.mark.parametrize("message", [encode(Pong(), 6) * 2, encode(recv(), 6)[:-1], b"\x00\x00"])
def test_a_message_of_a_web_socket_is_one_packet(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        speech().hear([memoryview(message)], Heard(), 5)

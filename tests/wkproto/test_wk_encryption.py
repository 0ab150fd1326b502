"""Statements 34-41: who may read and write what in an encrypted session."""

import re
from base64 import b64decode, b64encode

import msgspec
import pytest
from places import OpenPlace, in_parallel, message, received, refused, sent

from wukong_trio.model import SETTING_NO_ENCRYPT
from wukong_trio.protocol.wkproto import Send, Sendack
from wukong_trio.protocol.wkproto_keys import send_sign_text
from wukong_trio.testing import RawPacketClient

replace = msgspec.structs.replace
OTHER_VALUES = {
    "client_seq": 2,
    "client_msg_no": "m2",
    "channel_id": "eve",
    "channel_type": 2,
    "msg_key": "0" * 32,
}


def signed(client: RawPacketClient, payload: bytes) -> Send:
    """A SEND that is signed rightly, whatever its payload is."""
    assert client.keys is not None
    send = message(payload=payload)
    return replace(send, msg_key=client.keys.sign(send_sign_text(send)).decode())


def enciphered(client: RawPacketClient, padded: bytes) -> bytes:
    """The payload of a client that pads in its own way."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    assert client.keys is not None
    encryptor = Cipher(AES(client.keys.aes_key), CBC(client.keys.aes_iv)).encryptor()
    return b64encode(encryptor.update(padded))


async def test_w034_a_wrong_msg_key(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        good = ann.seal(message())
        wrong = [replace(good, **{name: value}) for name, value in OTHER_VALUES.items()]
        other = ann.seal(message(payload=b"other")).payload
        wrong += [
            replace(good, payload=other),
            replace(good, msg_key=""),
            replace(good, msg_key=good.msg_key.upper()),
            replace(good, msg_key=good.msg_key[:-1]),
            replace(good, msg_key="é" * 16),
            replace(good, msg_key=good.msg_key + "0"),
        ]
        for send in wrong:
            assert await ann.call(send) == Sendack(0, send.client_seq, 0, 8, send.client_msg_no)
        await received(bob, await ann.call(good))


async def test_w034_a_send_sealed_for_an_earlier_connection(open_place: OpenPlace) -> None:
    async with open_place() as place:
        async with place.online("ann") as (ann,):
            queued = ann.seal(message())
        async with place.online("ann", "bob") as (ann, bob):
            assert (await ann.call(queued)).reason_code == 8
            await received(bob, await sent(ann))


async def test_w034_what_is_not_signed_may_differ(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        await ann.send(replace(ann.seal(message()), flags=2, setting=0x88, topic="t", expire=9))
        sendack = await ann.receive()
        assert isinstance(sendack, Sendack)
        assert sendack.reason_code == 1
        recv = await received(bob, sendack)
        assert (recv.flags, recv.setting, recv.topic, recv.expire) == (2, 0x88, "t", 9)


async def test_w035_a_payload_that_does_not_decrypt(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        text = b"fifteen letters"
        payloads = {
            "empty": b"",
            "not base64": b"!" * 24,
            "not ASCII": b"\xff" * 24,
            "no padding of base64": ann.seal(message()).payload.rstrip(b"=") + b"",
            "half a block": b64encode(bytes(8)),
            "a block and a half": b64encode(bytes(24)),
            "a block in clear": b64encode(text + b"\x01"),
            "padding of 0": enciphered(ann, text + b"\x00"),
            "padding of 17": enciphered(ann, text + b"\x11"),
            "padding of 255": enciphered(ann, text + b"\xff"),
            "padding that differs": enciphered(ann, text[:-1] + b"\x01\x02"),
        }
        for name, payload in payloads.items():
            assert await ann.call(signed(ann, payload)) == Sendack(0, 1, 0, 9, "m1"), name
        await ann.send(signed(ann, b""), signed(ann, payloads["padding of 0"]), ann.seal(message(2)))
        assert [(await ann.receive()).reason_code for _ in range(3)] == [9, 9, 1]  # type: ignore[union-attr]
        assert (await bob.receive_message()).client_msg_no == "m2"
        recv = await received(bob, await ann.call(signed(ann, enciphered(ann, text + b"\x01"))))
        assert recv.payload == text


async def test_w036_w037_a_message_sent_in_clear(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob", "4:ann") as (ann, bob, tablet):
        clear = message(payload=b"in clear \xff", setting=SETTING_NO_ENCRYPT)
        sendack = await ann.call(clear)
        assert sendack.reason_code == 1
        for client in (bob, tablet):
            recv = await client.receive()
            assert not recv.setting & SETTING_NO_ENCRYPT  # type: ignore[union-attr]
            assert recv.payload != clear.payload  # type: ignore[union-attr]
            assert client.open(recv).payload == clear.payload  # type: ignore[arg-type]
        # Nobody looks at the key.
        assert (await ann.call(replace(clear, client_msg_no="m2", msg_key="nonsense"))).reason_code == 1
        # Without the bit the same is a wrong key.
        assert (await ann.call(replace(clear, setting=0))).reason_code == 8


async def test_w038_everybody_has_keys_of_his_own(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob", "cid") as (ann, bob, cid):
        await place.group("ann", "bob", "cid")
        await sent(ann, to="g", channel_type=2, payload=b"the same")
        one, two = await bob.receive(), await cid.receive()
        assert one.payload != two.payload  # type: ignore[union-attr]
        assert one.msg_key != two.msg_key  # type: ignore[union-attr]
        assert bob.open(one) == replace(cid.open(two), msg_key=one.msg_key)  # type: ignore[arg-type,union-attr]
        assert bob.open(one).payload == b"the same"  # type: ignore[arg-type]


@pytest.mark.parametrize("payload", [bytes(range(256)), b"", b"\xff", b"x" * 16, bytes(15)])
async def test_w039_any_bytes(open_place: OpenPlace, payload: bytes) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        recv = await received(bob, await sent(ann, payload=payload))
        assert recv.payload == payload


async def test_w040_keys_and_salts_are_new_for_each_connection(open_place: OpenPlace) -> None:
    async with open_place() as place:
        seen: set[str] = set()
        for _ in range(3):
            async with place.stranger() as client:
                connack = await client.connect("ann")
                assert re.fullmatch("[0-9A-Za-z]{16}", connack.salt)
                assert len(b64decode(connack.server_key, validate=True)) == 32
                seen |= {connack.salt, connack.server_key}
        assert len(seen) == 6


@pytest.mark.parametrize(
    ("client_key", "reason_code"),
    [
        ("", 21),
        (b64encode(bytes(range(31))).decode(), 2),
        (b64encode(bytes(range(33))).decode(), 2),
        ("!" * 44, 2),
        ("é" * 44, 2),
        ("A" * 44, 2),
        (b64encode(bytes(32)).decode(), 2),
        (b64encode(b"\x01" + bytes(31)).decode(), 2),
        (b64encode(b"\x09" + bytes(31)).decode().rstrip("="), 2),
        (b64encode(b"\x09" + bytes(31)).decode() + " ", 2),
    ],
    ids=["empty", "31", "33", "no base64", "no ASCII", "too long", "zero", "low order", "no padding", "a blank"],
)
async def test_w041_bad_client_keys(open_place: OpenPlace, client_key: str, reason_code: int) -> None:
    async with open_place() as place, place.stranger() as client:
        connack = await client.try_connect("ann", client_key=client_key)
        assert (connack.reason_code, connack.server_key, connack.salt) == (reason_code, "", "")
        assert (connack.time_diff, connack.node_id, connack.server_version) == (0, 1001, 6)
        await place.ended(client, 4002)
        assert place.server.statistics().sessions == 0


async def test_w041_line_ends_in_a_client_key(open_native: OpenPlace) -> None:
    async with open_native() as place, place.stranger() as client:
        hello = client.hello("ann")
        await client.send(replace(hello, client_key="\r\n".join((hello.client_key[:30], hello.client_key[30:])) + "\n"))
        assert (await client.receive()).reason_code == 1  # type: ignore[union-attr]


async def test_without_encryption(open_place: OpenPlace) -> None:
    async with open_place(encryption=False) as place, place.online("ann", "bob", encryption=False) as (ann, bob):
        async with place.stranger() as client:
            connack = await client.try_connect("cid", encryption=False, client_key="whatever")
            assert (connack.reason_code, connack.server_key, connack.salt) == (1, "", "")
        send = message(payload=b"\x00\xff", msg_key="not looked at", setting=SETTING_NO_ENCRYPT | 0x80)
        recv = await received(bob, await ann.call(send))
        assert (recv.payload, recv.msg_key, recv.setting) == (b"\x00\xff", "", 0x90)


async def test_the_largest_payload_in_both_directions(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "bob") as (ann, bob):
        limit = 512 * 1024

        async def send() -> None:
            assert await refused(ann, 1, payload=bytes(limit + 1)) == 9
            await sent(ann, 2, payload=bytes(limit))
            await ann.ping()

        async def receive() -> None:
            assert (await bob.receive_message()).payload == bytes(limit)

        await in_parallel(send, receive)

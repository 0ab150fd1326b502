"""The binary protocol as other codecs write it: two generations each of the JavaScript SDK and of the Go code."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wukong_trio.model import DUP, NO_PERSIST, RED_DOT, SYNC_ONCE
from wukong_trio.protocol.wkproto import (
    MAX_PACKET_BYTES,
    PING,
    PONG,
    Connack,
    Connect,
    Disconnect,
    Event,
    Packet,
    PacketType,
    Recv,
    Recvack,
    Send,
    Sendack,
    Sub,
    Suback,
)
from wukong_trio.protocol.wkproto_keys import SessionKeys, derive, public_key_of, recv_sign_text, send_sign_text
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("wkproto.json").read_text())
TYPES = {
    "CONNECT": Connect,
    "CONNACK": Connack,
    "SEND": Send,
    "SENDACK": Sendack,
    "RECV": Recv,
    "RECVACK": Recvack,
    "DISCONNECT": Disconnect,
    "SUB": Sub,
    "SUBACK": Suback,
    "EVENT": Event,
}
FLAGS = {"no_persist": NO_PERSIST, "red_dot": RED_DOT, "sync_once": SYNC_ONCE, "dup": DUP}
BYTES = {"SEND": "payload", "RECV": "payload", "EVENT": "data"}
TEXTS = {
    *("device_id", "uid", "token", "client_key", "server_key", "salt", "channel_id", "client_msg_no", "stream_no"),
    *("msg_key", "topic", "from_uid", "reason", "sub_no", "param", "id", "type"),
}
OTHER_LAYOUT = {"recv_legacy_stream_bit2"}
"""Fields in the order of old clients, which no server writes any more."""
READ_ONLY = {
    "send_legacy_stream_bit2": "written with SETTING_STREAM, if at all",
    "sendack_flags_echoed_as_v2_does": "a SENDACK has no flags",
}


def named(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: vector["name"])


PACKETS = [vector for vector in VECTORS["packets"] if vector["name"] not in OTHER_LAYOUT]
ENCRYPTED = [vector for vector in PACKETS if "session" in vector]
KEYS = {session["id"]: (session["aes_key"], session["aes_iv"]) for session in VECTORS["sessions"]}


def packet_of(vector: dict[str, Any]) -> Packet:
    """The packet that a vector describes."""
    kind = vector["packet_type"]
    if kind in ("PING", "PONG"):
        return PING if kind == "PING" else PONG
    fields: dict[str, Any] = {}
    for name, value in vector["fields"].items():
        if name == "payload_hex":
            fields[BYTES[kind]] = bytes.fromhex(value)
        elif name != "payload_text":
            fields["event_id" if name == "id" else name] = value if name in TEXTS else int(value)
    if kind in ("SEND", "RECV", "RECVACK"):
        fields["flags"] = sum(bit for name, bit in FLAGS.items() if vector["flags"][name])
    if kind == "CONNACK" and not vector["flags"]["has_server_version"]:
        fields.pop("server_version", None)
    if "wire_message_id" in vector:
        fields["message_id"] = int(vector["wire_message_id"])
    if vector["name"] == "send_legacy_stream_bit2":
        fields["setting"] = 0
    return TYPES[kind](**fields)  # type: ignore[no-any-return]


def keys_of(vector: dict[str, Any]) -> SessionKeys:
    aes_key, aes_iv = KEYS[vector["session"]]
    return SessionKeys(aes_key.encode(), aes_iv.encode())


@named(PACKETS)
def test_w010_reading(vector: dict[str, Any]) -> None:
    reader = PacketReader(vector["version"])
    assert reader.receive(bytes.fromhex(vector["hex"])) == [packet_of(vector)]
    assert reader.at_start
    assert reader.failure is None
    assert PacketType[vector["packet_type"]] == vector["type_code"]


@named([vector for vector in PACKETS if vector["name"] not in READ_ONLY])
def test_w009_writing(vector: dict[str, Any]) -> None:
    assert encode(packet_of(vector), vector["version"]).hex() == vector["hex"]


@named([vector for vector in PACKETS if vector.get("live", {}).get("replied_hex")])
def test_acknowledgements_by_running_sdks(vector: dict[str, Any]) -> None:
    recv = packet_of(vector)
    assert isinstance(recv, Recv)
    for reply in vector["live"]["replied_hex"]:
        expected = Recvack(recv.message_id, recv.message_seq, recv.flags & ~DUP)
        assert PacketReader(vector["version"]).receive(bytes.fromhex(reply)) == [expected]


@named(VECTORS["packets"])
def test_w007_every_prefix_needs_more(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    whole = PacketReader(vector["version"]).receive(data)
    for size in range(1, len(data)) if len(data) < 2000 else (1, 2, 3, 4, 5, 1000, len(data) - 1):
        reader = PacketReader(vector["version"])
        assert reader.receive(data[:size]) == []
        assert reader.failure is None
        assert not reader.at_start
        assert reader.receive(data[size:]) == whole


@named(VECTORS["packets"])
def test_w008_byte_by_byte(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    reader = PacketReader(vector["version"])
    packets = [packet for byte in data for packet in reader.receive(bytes((byte,)))]
    assert packets == PacketReader(vector["version"]).receive(data)


@pytest.mark.parametrize("vector", VECTORS["variable_length"], ids=lambda vector: str(vector["value"]))
def test_w004_remaining_length(vector: dict[str, Any]) -> None:
    """The smallest EVENT has 12 bytes of body."""
    size, length = vector["value"], bytes.fromhex(vector["hex"])
    reader = PacketReader()
    if size > MAX_PACKET_BYTES:
        assert reader.receive(b"\xc0" + length) == []
        assert reader.failure is not None
    elif size < 12:
        assert reader.receive(b"\xc0" + length) == []
        assert reader.failure is None
        reader.receive(bytes(size))
        assert reader.failure is not None
    else:
        packet = Event("", "", 0, bytes(size - 12))
        assert encode(packet, 6).startswith(b"\xc0" + length + bytes(12))
        assert reader.receive(encode(packet, 6)) == [packet]


@pytest.mark.parametrize("session", VECTORS["sessions"], ids=lambda session: session["id"])
def test_w030_both_sides_derive_the_keys(session: dict[str, Any]) -> None:
    (connack,) = PacketReader(2).receive(bytes.fromhex(session["connack_hex"]))
    assert isinstance(connack, Connack)
    client, server = (
        X25519PrivateKey.from_private_bytes(bytes.fromhex(session[f"{side}_private_hex"]))
        for side in ("client", "server")
    )
    assert public_key_of(client) == session["client_public_b64"]
    assert public_key_of(server) == session["server_public_b64"] == connack.server_key
    for private_key, peer_key in ((client, connack.server_key), (server, session["client_public_b64"])):
        keys = derive(private_key, peer_key, connack.salt)
        assert keys.aes_key.decode() == session["aes_key"]
        assert keys.aes_iv.decode() == session["aes_iv"]


@named(VECTORS["encryption"])
def test_w031_payloads_and_signatures(vector: dict[str, Any]) -> None:
    keys = keys_of(vector)
    payload = bytes.fromhex(vector["wire_payload_hex"])
    # Each message starts from the IV, whatever was encrypted before it.
    for _ in range(3):
        assert keys.encrypt(bytes.fromhex(vector["plaintext_hex"])) == payload == vector["ciphertext_b64"].encode()
        assert keys.decrypt(payload).hex() == vector["plaintext_hex"]
        for form in ("send", "recv"):
            text = vector[form]["sign_text"].encode()
            assert keys.encrypt(text) == vector[form]["sign_ciphertext_b64"].encode()
            assert keys.sign(text) == vector[form]["msg_key"].encode()


@named(VECTORS["encryption"])
def test_w033_texts_that_are_signed(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["wire_payload_hex"])
    send = {name: value for name, value in vector["send"].items() if name in Send.__struct_fields__}
    assert send_sign_text(Send(**send | {"payload": payload})) == vector["send"]["sign_text"].encode()
    recv = {name: value for name, value in vector["recv"].items() if name in Recv.__struct_fields__}
    recv |= {"message_id": int(recv["message_id"]), "message_seq": int(recv["message_seq"])}
    del recv["msg_key"]
    assert recv_sign_text(Recv(**recv | {"payload": payload})) == vector["recv"]["sign_text"].encode()


@named(ENCRYPTED)
def test_w033_packets_of_encrypted_sessions(vector: dict[str, Any]) -> None:
    keys = keys_of(vector)
    (packet,) = PacketReader(vector["version"]).receive(bytes.fromhex(vector["hex"]))
    assert isinstance(packet, Send | Recv)
    assert keys.sign(sign_text(packet)).decode() == packet.msg_key
    assert keys.decrypt(packet.payload).hex() == vector["plaintext_hex"]
    assert keys.encrypt(bytes.fromhex(vector["plaintext_hex"])) == packet.payload


def sign_text(packet: Send | Recv) -> bytes:
    return send_sign_text(packet) if isinstance(packet, Send) else recv_sign_text(packet)


@named(VECTORS["streams"])
def test_w066_streams(vector: dict[str, Any]) -> None:
    reader = PacketReader(vector["version"])
    arrived = [
        (index, encode(packet, vector["version"]).hex())
        for index, chunk in enumerate(vector["chunks_hex"])
        for packet in reader.receive(bytes.fromhex(chunk))
    ]
    result = vector["result"]
    assert arrived == [(packet["after_chunk"], packet["hex"]) for packet in result["packets"]]
    assert (reader.failure is not None) == (result["outcome"] == "error")
    if result["outcome"] == "ok":
        assert reader.at_start == (result["bytes_left_in_buffer"] == 0)


@named(VECTORS["malformed"])
def test_w066_malformed(vector: dict[str, Any]) -> None:
    reader = PacketReader(vector["version"])
    packets = reader.receive(bytes.fromhex(vector["hex"]))
    outcome = "error" if reader.failure is not None else "packet" if packets else "need_more"
    assert outcome == vector["recommended"]
    assert len(packets) == (outcome == "packet")
    if outcome == "packet" and reader.at_start:
        recorded = vector["go_v3"]
        assert type(packets[0]).__name__.upper() == recorded["packet_type"]
        for name in recorded["fields"].keys() & set(packets[0].__struct_fields__) - {"server_version"}:
            assert str(getattr(packets[0], name)) == str(recorded["fields"][name])


def test_all_recordings_are_replayed(replayed: list[str]) -> None:
    left_out = {vector["name"] for vector in VECTORS["packets"]} - {vector["name"] for vector in PACKETS}
    assert left_out == OTHER_LAYOUT
    replayed.append(f"WKProto: {len(PACKETS)} of {len(VECTORS['packets'])} recorded packets replayed")

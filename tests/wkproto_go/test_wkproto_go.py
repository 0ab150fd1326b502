"""The binary protocol compared with WuKongIM's own Go code, WuKongIMGoProto, which knows versions up to 5.

Needs Go, and a network for the first time. Skipped without them.
"""

import json
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from random import Random
from typing import Any

import pytest
from binary_packets import random_packet
from msgspec.structs import asdict, replace

from wukong_trio.model import DUP, NO_PERSIST, RED_DOT, SETTING_STREAM, SYNC_ONCE
from wukong_trio.protocol.wkproto import Connack, Event, Packet, PacketType, Recv, Send, Sendack
from wukong_trio.protocol.wkproto_keys import recv_sign_text, send_sign_text
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode

HERE = Path(__file__).parent
GO = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
VERSIONS = range(6)
PACKETS = 2000
"""For each version."""
FLAGS = {"nopersist": NO_PERSIST, "reddot": RED_DOT, "synconce": SYNC_ONCE, "dup": DUP}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go side, built."""
    if GO is None:
        pytest.skip("there is no go command")
    try:
        got = subprocess.run([GO, "mod", "download"], cwd=HERE, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("WuKongIMGoProto could not be downloaded in time")
    if got.returncode:
        pytest.skip(f"WuKongIMGoProto cannot be downloaded: {got.stderr.strip()}")
    binary = tmp_path_factory.mktemp("wkproto_go") / "wkproto_go"
    command = [GO, "build", "-buildvcs=false", "-o", binary, "."]
    built = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return binary


def ask(program: Path, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = "\n".join(json.dumps(request) for request in requests).encode()
    done = subprocess.run([program], input=lines, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests)
    return answers


def go_fields(packet: Packet) -> dict[str, Any]:
    """The fields by their Go names in lower case, which Go takes as well."""
    fields = asdict(packet)
    if isinstance(packet, Connack):
        fields["hasserverversion"] = packet.server_version is not None
        fields["server_version"] = packet.server_version or 0
    if "flags" in fields:
        flags = fields.pop("flags")
        fields |= {name: flags & bit != 0 for name, bit in FLAGS.items()}
    if isinstance(packet, Event):
        fields["id"] = fields.pop("event_id")
    return {
        name.replace("_", ""): b64encode(value).decode() if isinstance(value, bytes) else value
        for name, value in fields.items()
    }


def type_of(packet: Packet) -> PacketType:
    return PacketType[type(packet).__name__.upper()]


def same(answer: dict[str, Any], packet: Packet) -> bool:
    """Whether Go has decoded this packet."""
    decoded = {name.lower(): value for name, value in (answer["Packet"] or {}).items()}
    expected = go_fields(packet)
    if isinstance(packet, Sendack):
        # That field is for newer clients.
        del expected["clientmsgno"]
    return answer["Type"] == type_of(packet) and {name: decoded[name] for name in expected} == expected


def signed(packet: Packet) -> bytes:
    """What the msg_key of a packet signs; nothing if it has none."""
    if isinstance(packet, Send):
        return send_sign_text(packet)
    return recv_sign_text(packet) if isinstance(packet, Recv) else b""


@pytest.mark.parametrize("version", VERSIONS)
def test_both_codecs_write_and_read_the_same(program: Path, version: int) -> None:
    random = Random(version)
    packets = [random_packet(random, version) for _ in range(PACKETS)]
    requests = [
        {
            "Type": type_of(packet),
            "Version": version,
            "Packet": go_fields(packet),
            "Hex": encode(packet, version).hex(),
        }
        for packet in packets
    ]
    wrong_lengths = 0
    for packet, request, answer in zip(packets, requests, ask(program, requests), strict=True):
        assert same(answer, packet), (packet, answer)
        assert answer["Used"] == len(request["Hex"]) // 2
        assert bytes.fromhex(answer["Signed"]) == signed(packet)
        written = replace(packet, client_msg_no="") if isinstance(packet, Sendack) else packet
        if isinstance(packet, Send) and version == 5 and packet.setting & SETTING_STREAM:
            # Go counts a stream_no that it does not write.
            wrong_lengths += 1
            continue
        assert answer["Hex"] == encode(written, version).hex(), (packet, answer)
        assert PacketReader(version).receive(bytes.fromhex(answer["Hex"])) == [written]
    assert wrong_lengths < PACKETS // 10


def differs_on_purpose(data: bytes, version: int, reader: PacketReader) -> bool:
    """Whether this is read in another way than by Go, as documented."""
    first = data[0] >> 4
    if first in (0, 13, 14, 15) or first == PacketType.SENDACK:
        return True
    if first == PacketType.SEND and 2 <= version <= 4:
        return True
    return "UTF-8" in str(reader.failure) or "four bytes" in str(reader.failure)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_codecs_read_damaged_packets_alike(program: Path, version: int) -> None:
    random = Random(version)
    damaged = []
    for _ in range(PACKETS):
        data = bytearray(encode(random_packet(random, version), version))
        for _ in range(random.randint(1, 2)):
            data[random.randrange(min(len(data), 40))] = random.choice((0, 1, 0x80, 0xFF, random.randint(0, 255)))
        damaged.append(bytes(data[: random.choice((len(data), random.randint(1, len(data))))]))
    compared = 0
    requests = [{"Version": version, "Hex": data.hex()} for data in damaged]
    for data, answer in zip(damaged, ask(program, requests), strict=True):
        reader = PacketReader(version)
        packets = reader.receive(data, most=1)
        if differs_on_purpose(data, version, reader):
            continue
        compared += 1
        assert (reader.failure is not None) == (answer["Error"] != ""), (data.hex(), answer, reader.failure)
        assert len(packets) == (answer["Type"] != 0), (data.hex(), answer)
        if packets:
            assert same(answer, packets[0]), (data.hex(), packets, answer)
    assert compared > PACKETS // 4

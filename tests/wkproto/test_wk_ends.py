"""How connections of the binary protocol end when their clients are done, or do not read."""

import sys
from pathlib import Path

import pytest
import trio
from places import OpenPlace, message, read_until_closed

from wukong_trio import ConnectInfo, SendCommand
from wukong_trio.gateway import piles
from wukong_trio.protocol.wkproto import Disconnect, Sendack
from wukong_trio.testing import RawPacketClient

SENDS = 300


async def said_all(client: RawPacketClient) -> None:
    """Nothing more will be sent."""
    stream = client.stream
    assert isinstance(stream, trio.SocketStream)
    await stream.send_eof()


@pytest.mark.parametrize("last", [None, Disconnect(0), b"\x00"], ids=["nothing", "DISCONNECT", "what is no packet"])
async def test_what_was_asked_before_the_end_is_answered(
    open_native: OpenPlace, last: Disconnect | bytes | None
) -> None:
    async with open_native() as place, place.online("ann") as (ann,):
        sends = [ann.seal(message(client_msg_no=str(n))) for n in range(SENDS)]
        await ann.send(*sends)
        if isinstance(last, Disconnect):
            await ann.send(last)
        elif last:
            await ann.send_bytes(last)
        await said_all(ann)
        packets, _ = await read_until_closed(ann)
        answers = [ann.decode(packet) for packet in packets]
        assert [a.client_msg_no for a in answers if isinstance(a, Sendack)] == [str(n) for n in range(SENDS)]


async def test_encrypted_clients_that_do_not_read_are_bounded_together(
    open_native: OpenPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piles, "PILES_BYTES", 2**20)
    uids, payload = ("reader", "idler", "sleeper"), b"x" * 100_000
    async with (
        open_native(limits={"outbox_bytes": 2**40, "outbox_frames": 2**30}) as place,
        place.online(*uids) as (reader, *_),
    ):
        while place.server.statistics().sessions == len(uids):
            for uid in uids:
                await place.server.send(SendCommand(from_uid="ann", channel_id=uid, channel_type=1, payload=payload))
            assert len((await reader.receive_message()).payload) == len(payload)
        await reader.ping()


async def test_a_kick_ends_a_session_whatever_its_reason_says(open_place: OpenPlace) -> None:
    for reason in ("x" * 40_000, "half a character: \ud800", "é" * 20_000):
        async with open_place() as place, place.online("ann") as (ann,):
            assert place.server.kick("ann", reason=reason) == 1
            notice = await ann.receive()
            assert isinstance(notice, Disconnect)
            assert notice.reason[:16] == reason[:16].replace("\ud800", "?")
            await ann.wait_closed()
            assert place.server.statistics().sessions == 0


async def test_a_hook_that_fails_sends_nobody_away_for_good(open_place: OpenPlace) -> None:
    async def fail(_: ConnectInfo) -> bool:
        raise ZeroDivisionError

    async with open_place(authenticate=fail) as place, place.stranger() as client:
        await client.send(client.hello("ann"))
        await client.wait_closed()


async def test_a_message_of_a_great_many_packets_needs_no_stack() -> None:
    """In a process of its own: it would end with it."""
    script = Path(__file__).with_name("small_stack.py")
    process = await trio.run_process([sys.executable, script], capture_stdout=True, check=False)
    assert (process.returncode, process.stdout) == (0, b"answered\n")

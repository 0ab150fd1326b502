"""Killing a server under load, again and again, and counting what it kept.

    python tests/e2e/crashes.py [--rounds N] [--seconds S] [--engine E] [--directory DIR]

The test suite runs ten short rounds; run the script for longer.
"""

import argparse
import random
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import trio
from child import ServerProcess, run_server

from wukong_trio.testing import RawClient, SocketClosed, open_raw_client

CONNECTIONS = 4
IN_FLIGHT = 64
GROUP = "crash"
PAGE = 10_000


class Ledger:
    """What the clients know: which sends were acknowledged, with which id and sequence number."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, tuple[int, int]] = {}
        self.sent: dict[str, int] = defaultdict(int)
        self._wanted = 0
        self._reached = trio.Event()

    def acknowledge(self, number: str, message_id: int, message_seq: int) -> None:
        """Notes the answer to a send."""
        self.acknowledged[number] = (message_id, message_seq)
        if len(self.acknowledged) >= self._wanted:
            self._reached.set()

    async def wait_for_more(self, count: int) -> None:
        """Waits until so many more sends are acknowledged."""
        self._wanted = len(self.acknowledged) + count
        self._reached = trio.Event()
        await self._reached.wait()

    def check(self, channels: dict[str, list[dict[str, Any]]]) -> None:
        """Compares it with the stored channels: an AssertionError if anything is missing, doubled or out of order."""
        stored: dict[str, tuple[int, int]] = {}
        for name, messages in channels.items():
            seqs = [message["message_seq"] for message in messages]
            assert seqs == list(range(1, len(seqs) + 1)), f"{name}: sequence numbers are not contiguous"
            ids = [message["message_id"] for message in messages]
            assert ids == sorted(set(ids)), f"{name}: ids do not grow"
            order: dict[str, int] = defaultdict(lambda: -1)
            for message in messages:
                number = message["client_msg_no"]
                assert number not in stored, f"{number} is stored twice"
                stored[number] = (message["message_id"], message["message_seq"])
                connection, n = number.rsplit("-", 1)
                assert int(n) > order[connection], f"{name}: {number} is out of order"
                order[connection] = int(n)
        for number, ack in self.acknowledged.items():
            assert stored.get(number) == ack, f"{number}: acknowledged as {ack}, stored as {stored.get(number)}"
        self._check_prefixes(stored)

    @staticmethod
    def _check_prefixes(stored: dict[str, tuple[int, int]]) -> None:
        """A connection's sends are stored in order, so what is missing can only be the last of them."""
        numbers: dict[str, list[int]] = defaultdict(list)
        for number in stored:
            connection, n = number.rsplit("-", 1)
            numbers[connection].append(int(n))
        for connection, found in numbers.items():
            assert sorted(found) == list(range(len(found))), f"{connection}: a send in the middle is missing"


async def send_until_killed(url: str, uid: str, connection: str, ledger: Ledger) -> None:
    """Keeps IN_FLIGHT sends under way, in turn to a person and to the group, until the connection breaks."""
    async with open_raw_client(url) as client:
        try:
            await client.connect(uid)
            for _ in range(IN_FLIGHT):
                await _send(client, connection, ledger)
            while True:
                answer = await client.receive()
                if "id" in answer:
                    result = answer["result"]
                    ledger.acknowledge(answer["id"], result["messageId"], result["messageSeq"])
                    await _send(client, connection, ledger)
        except (SocketClosed, trio.BrokenResourceError):
            pass


async def _send(client: RawClient, connection: str, ledger: Ledger) -> None:
    n = ledger.sent[connection]
    ledger.sent[connection] += 1
    number = f"{connection}-{n}"
    to = {"channelId": GROUP, "channelType": 2} if n % 2 else {"channelId": "nobody", "channelType": 1}
    await client.send({"id": number, "method": "send", "params": {"clientMsgNo": number, "payload": "e30=", **to}})


async def read_channel(http: httpx.AsyncClient, login_uid: str, channel_id: str, kind: int) -> list[dict[str, Any]]:
    """All messages of a channel."""
    messages: list[dict[str, Any]] = []
    while True:
        body = {
            "login_uid": login_uid,
            "channel_id": channel_id,
            "channel_type": kind,
            "start_message_seq": len(messages) + 1,
            "pull_mode": 1,
            "limit": PAGE,
        }
        page = (await http.post("/channel/messagesync", json=body, timeout=60)).json()
        messages += page["messages"]
        if not page["more"]:
            return messages


async def verify(server: ServerProcess, ledger: Ledger, uids: list[str]) -> int:
    """Reads everything back; returns how many messages there are."""
    async with httpx.AsyncClient(base_url=server.http) as http:
        channels = {uid: await read_channel(http, uid, "nobody", 1) for uid in uids}
        channels[GROUP] = await read_channel(http, uids[0], GROUP, 2)
    ledger.check(channels)
    return sum(map(len, channels.values()))


async def crash_rounds(directory: Path, rounds: int, seconds: float, engine: str = "native") -> int:
    """Runs, kills and checks a server `rounds` times; returns how many messages were acknowledged."""
    ledger = Ledger()
    uids = [f"user{n}" for n in range(CONNECTIONS)]
    for turn in range(rounds):
        async with run_server(directory, "--engine", engine) as server:
            async with httpx.AsyncClient(base_url=server.http) as http:
                await http.post("/channel", json={"channel_id": GROUP, "channel_type": 2, "subscribers": uids})
            if turn:
                await verify(server, ledger, uids)
            async with trio.open_nursery() as nursery:
                for uid in uids:
                    nursery.start_soon(send_until_killed, server.ws, uid, f"{uid}-{turn}", ledger)
                await ledger.wait_for_more(CONNECTIONS * IN_FLIGHT)
                await trio.sleep(random.uniform(0, seconds))
                await server.stop(signal.SIGKILL)
        print(f"round {turn + 1}: {len(ledger.acknowledged)} acknowledged so far", flush=True)
    async with run_server(directory, "--engine", engine) as server:
        stored = await verify(server, ledger, uids)
    print(f"{len(ledger.acknowledged)} acknowledged, {stored} stored: all found once, in order")
    return len(ledger.acknowledged)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=2.0, help="load before a kill, at most (default: 2)")
    parser.add_argument("--engine", choices=["native", "reference"], default="native")
    parser.add_argument("--directory", type=Path, help="keep data and log here (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.directory or Path(temporary)
        trio.run(crash_rounds, directory, options.rounds, options.seconds, options.engine)


if __name__ == "__main__":
    sys.exit(main())

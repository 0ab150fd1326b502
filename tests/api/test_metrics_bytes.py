"""Bytes, as dashboards made for WuKongIM 2 look for them: of SEND and RECV the payloads, of the rest whole packets."""

import json

import pytest
from api_calls import OpenServer
from common import person
from scraping import Scrape, scrape, serving, until

from wukong_trio.protocol.wkproto import Recvack, Send
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import open_raw_client, open_raw_packet_client

NAMES = (
    *("conn_packet", "connack_packet", "send_packet", "sendack_packet", "recv_packet", "recvack_packet"),
    *("ping", "pong"),
)


def sizes(figures: Scrape) -> dict[str, float]:
    return {name: figures(f"app_{name}_bytes_total") for name in NAMES}


async def test_json(open_server: OpenServer) -> None:
    async with serving(open_server) as (server, api), open_raw_client(server.endpoints.ws) as ann:
        expected = dict.fromkeys(NAMES, 0.0)

        async def say(what: str, request: dict[str, object], answer: str = "") -> None:
            text = json.dumps(request)
            await ann.send_text(text)
            expected[what] += len(text)
            if answer:
                expected[answer] += len(await ann.receive_text())

        await say(
            "conn_packet", {"id": "c", "method": "connect", "params": {"uid": "ann", "token": "t"}}, "connack_packet"
        )
        await say("ping", {"id": "p", "method": "ping"}, "pong")
        for number, to in (("m1", "bob"), ("m2", "")):  # the second is refused before it gets to the router
            params = {"clientMsgNo": number, "channelId": to, "channelType": 1, "payload": "QUJDRA=="}
            await ann.send({"id": "s", "method": "send", "params": params})
            expected["sendack_packet"] += len(await ann.receive_text())
        expected["send_packet"] += len("ABCD")
        await server.send(person(b"ABCDE", to="ann"))
        push = (await ann.receive())["params"]
        expected["recv_packet"] += len("ABCDE")
        params = {"messageId": push["messageId"], "messageSeq": push["messageSeq"]}
        await say("recvack_packet", {"method": "recvack", "params": params})
        assert sizes(await until(api, "wukong_recvacks_total")) == expected
        # A pong that has to wait for its turn behind a send is still a pong.
        params = {"clientMsgNo": "m3", "channelId": "bob", "channelType": 1, "payload": "QUJDRA=="}
        await ann.send({"id": "s", "method": "send", "params": params})
        await say("ping", {"id": "p", "method": "ping"}, "sendack_packet")
        expected["pong"] += len(await ann.receive_text())
        expected["send_packet"] += len("ABCD")
        assert sizes(await scrape(api)) == expected


async def test_batches_of_json(open_server: OpenServer) -> None:
    """Each counts as its share of the text; what is answered together counts together."""
    async with serving(open_server) as (server, api), open_raw_client(server.endpoints.ws) as ann:
        await ann.connect("ann")
        before = sizes(await scrape(api))
        text = json.dumps([{"id": n, "method": "ping"} for n in ("a", "b")])
        await ann.send_text(text)
        await ann.receive()
        assert sizes(await scrape(api))["ping"] - before["ping"] == len(text) // 2 * 2
        sends = [{"clientMsgNo": number, "channelId": "bob", "channelType": 1, "payload": "QQ=="} for number in "ab"]
        await ann.send([{"id": "s", "method": "send", "params": params} for params in sends])
        answer = await ann.receive_text()
        figures = await scrape(api)
        assert sizes(figures)["sendack_packet"] == len(answer)
        assert figures("app_sendack_packet_count_total") == figures("app_send_packet_count_total") == 2


@pytest.mark.parametrize("version", [4, 6])
async def test_packets(open_server: OpenServer, version: int) -> None:
    async with (
        serving(open_server, encryption=False) as (server, api),
        open_raw_packet_client(server.endpoints.tcp) as bob,
    ):
        connect = bob.hello("bob", version=version, encryption=False, token="t")
        await bob.send(connect)
        connack = await bob.receive()
        await bob.ping()
        sendack = await bob.call(Send(client_seq=1, channel_id="ann", channel_type=1, payload=b"ABCD"))
        await server.send(person(b"ABCDE"))
        recv = await bob.receive_message()
        await bob.acknowledge(recv)
        figures = await until(api, "wukong_recvacks_total")
        assert sizes(figures) == {
            "conn_packet": len(encode(connect, version)),
            "connack_packet": len(encode(connack, version)),
            "send_packet": 4,
            "sendack_packet": len(encode(sendack, version)),
            "recv_packet": 5,
            "recvack_packet": len(encode(Recvack(recv.message_id, recv.message_seq), version)),
            "ping": 1,
            "pong": 1,
        }
        refused = await bob.call(Send(client_seq=2, channel_id="", channel_type=1, payload=b"ABCD"))
        after = sizes(await scrape(api))
        assert after["sendack_packet"] == len(encode(sendack, version)) + len(encode(refused, version))
        assert after["send_packet"] == 4

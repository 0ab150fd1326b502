"""The statements of the HTTP contract on webhooks, each with its number, against a running server."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import httpx
import trio
from common import until
from receiver import Receiver, Request, hang, open_receiver, statuses

from wukong_trio import SendCommand, Server
from wukong_trio.model import NO_PERSIST
from wukong_trio.store import MemoryStore
from wukong_trio.testing import open_raw_client, open_test_server


def hooked(receiver: Receiver, **settings: Any) -> dict[str, Any]:
    """Settings of a server that tells this receiver, quickly."""
    return {"webhook": {"http_addr": receiver.url, "push_interval_s": 0.05} | settings}


def command(number: str, *, to: str = "bob", kind: int = 1, flags: int = 0, from_uid: str = "ann") -> SendCommand:
    return SendCommand(
        from_uid=from_uid, channel_id=to, channel_type=kind, payload=b"{}", client_msg_no=number, flags=flags
    )


async def group(server: Server, channel_id: str, *uids: str) -> None:
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        body = {"channel_id": channel_id, "channel_type": 2, "subscribers": uids}
        assert (await http.post("/channel", json=body)).status_code == 200


async def register(server: Server, uid: str, level: int) -> None:
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        body = {"uid": uid, "token": "t", "device_flag": 0, "device_level": level}
        assert (await http.post("/user/token", json=body)).status_code == 200


async def test_h113_a_stored_message_is_told() -> None:
    async with open_receiver() as receiver, open_test_server(webhook={"http_addr": receiver.url}) as server:
        result = await server.send(command("a1"))
        await receiver.until(lambda: bool(receiver.messages))
        [request] = receiver.of("msg.notify")
    assert request.headers["content-type"] == "application/json"
    assert [record["message_id"] for record in request.data] == [result.message_id]
    [record] = request.data
    assert (record["client_msg_no"], record["message_seq"], record["from_uid"]) == ("a1", 1, "ann")
    assert (record["channel_id"], record["channel_type"], record["payload"]) == ("bob", 1, "e30=")


async def test_h114_many_messages_come_in_several_requests_in_order() -> None:
    async with (
        open_receiver() as receiver,
        open_test_server(**hooked(receiver, focus_events=("msg.notify",))) as server,
    ):
        async with trio.open_nursery() as nursery:
            for n in range(250):
                nursery.start_soon(server.send, command(f"n{n}", to=f"bob{n % 3}"))
        await receiver.until(lambda: len(receiver.messages) >= 250)
        sizes = [len(records) for records in receiver.accepted("msg.notify")]
    assert max(sizes) == 100
    assert len({record["message_id"] for record in receiver.messages}) == len(receiver.messages) == 250
    for to in ("bob0", "bob1", "bob2"):
        seqs = [record["message_seq"] for record in receiver.messages if record["channel_id"] == to]
        assert seqs == list(range(1, len(seqs) + 1))


async def test_h116_messages_that_are_not_stored_are_told_as_offline_only() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
        await server.send(command("a1", flags=NO_PERSIST))
        await server.send(command("a2"))
        await receiver.until(lambda: bool(receiver.messages) and len(receiver.of("msg.offline")) == 2)
    assert [record["client_msg_no"] for record in receiver.messages] == ["a2"]
    offline = {record["client_msg_no"]: record for record in receiver.accepted("msg.offline")}
    assert offline["a1"]["header"] == {"no_persist": 1, "red_dot": 0, "sync_once": 0}
    assert offline["a1"]["message_seq"] == 0


async def test_h117_who_is_offline_is_named() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
        await server.send(command("a1"))
        await receiver.until(lambda: bool(receiver.of("msg.offline")))
    [record] = receiver.accepted("msg.offline")
    assert (record["to_uids"], record["channel_id"], record["source_id"]) == (["bob"], "bob", 1001)


async def test_h118_a_master_device_is_online_and_a_slave_is_not() -> None:
    settings = {"auth": {"token_auth": "on"}}
    async with open_receiver() as receiver, open_test_server(**settings, **hooked(receiver)) as server:
        await register(server, "master", 1)
        await register(server, "slave", 0)
        ws = server.endpoints.ws
        async with open_raw_client(ws) as master, open_raw_client(ws) as slave:
            for client, uid in ((master, "master"), (slave, "slave")):
                await client.connect(uid, token="t")
            await server.send(command("a1", to="master"))
            await server.send(command("a2", to="slave"))
            await receiver.until(lambda: bool(receiver.of("msg.offline")))
            for client in (master, slave):
                assert (await client.receive())["params"]["payload"] == "e30="
            await receiver.until(lambda: len(receiver.messages) == 2)
        [record] = receiver.accepted("msg.offline")
    assert (record["client_msg_no"], record["to_uids"]) == ("a2", ["slave"])


async def test_h119_neither_the_sender_nor_system_accounts_are_named() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
        async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
            assert (await http.post("/user/systemuids_add", json={"uids": ["news"]})).status_code == 200
        await group(server, "g", "ann", "bob", "cat", "news", "____system")
        await group(server, "alone", "ann", "news")
        await server.send(command("a0", to="alone", kind=2))
        await server.send(command("a1", to="g", kind=2))
        await receiver.until(lambda: bool(receiver.of("msg.offline")) and len(receiver.messages) == 2)
    [record] = receiver.accepted("msg.offline")
    assert sorted(record["to_uids"]) == ["bob", "cat"]


async def test_h120_who_comes_and_goes_is_told() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
        async with open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            await receiver.until(lambda: bool(receiver.entries))
        await receiver.until(lambda: len(receiver.entries) == 2)
    came, went = receiver.entries
    session_id = came.split("-")[3]
    assert (came, went) == (f"ann-0-1-{session_id}-1-1", f"ann-0-0-{session_id}-0-0")


async def test_h120_who_is_kicked_or_replaced_has_gone_and_counts_are_after_it() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
        ws = server.endpoints.ws
        async with open_raw_client(ws) as first, open_raw_client(ws) as second, open_raw_client(ws) as web:
            await first.connect("ann", deviceId="d")
            await web.connect("ann", deviceFlag=1)
            await second.connect("ann", deviceId="d")
            server.kick("ann", 0)
            await receiver.until(lambda: len(receiver.entries) == 5)
            one, other, *_ = [entry.split("-")[3] for entry in receiver.entries]
            new = receiver.entries[3].split("-")[3]
    assert receiver.entries[:5] == [
        f"ann-0-1-{one}-1-1",
        f"ann-1-1-{other}-1-2",
        f"ann-0-0-{one}-1-2",
        f"ann-0-1-{new}-1-2",
        f"ann-0-0-{new}-0-1",
    ]


async def test_h121_only_events_in_focus_are_told() -> None:
    async with open_receiver() as receiver:
        async with open_test_server(**hooked(receiver, focus_events=("msg.notify",))) as server:
            async with open_raw_client(server.endpoints.ws) as ann:
                await ann.connect("ann")
            await server.send(command("a1"))
            await receiver.until(lambda: bool(receiver.messages))
        # The server has stopped, which would have told what was left.
        assert {request.event for request in receiver.requests} == {"msg.notify"}


async def test_h122_many_receivers_are_compressed() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver, compress_of_count=2)) as server:
        await group(server, "g2", "bob", "cat")
        await group(server, "g3", "bob", "cat", "dan")
        await server.send(command("a1", to="g2", kind=2))
        await receiver.until(lambda: len(receiver.of("msg.offline")) == 1)
        await server.send(command("a2", to="g3", kind=2))
        await receiver.until(lambda: len(receiver.of("msg.offline")) == 2)
    plain, packed = receiver.accepted("msg.offline")
    assert sorted(plain["to_uids"]) == ["bob", "cat"]
    assert not plain.keys() & {"compress", "compress_to_uids"}
    assert (packed["to_uids"], packed["compress"]) == ([], "gzip")
    assert sorted(json.loads(gzip.decompress(base64.b64decode(packed["compress_to_uids"])))) == ["bob", "cat", "dan"]


async def test_h123_the_event_joins_the_query_of_the_address() -> None:
    async with open_receiver() as receiver:
        settings = {"webhook": {"http_addr": f"{receiver.url}?k=v", "push_interval_s": 0.05}}
        async with open_test_server(**settings) as server:
            await server.send(command("a1"))
            await receiver.until(lambda: bool(receiver.messages))
    assert all(request.query["k"] == "v" for request in receiver.requests)
    assert {"msg.notify", "msg.offline"} <= {request.query["event"] for request in receiver.requests}


async def test_h124_a_receiver_that_hangs_delays_nobody() -> None:
    async with open_receiver() as receiver:
        receiver.answer = hang
        async with open_test_server(drain_timeout_s=0.2, **hooked(receiver)) as server:
            await server.send(command("a0"))
            await receiver.until(lambda: receiver.arrived >= 2)
            with trio.fail_after(10):
                async with open_raw_client(server.endpoints.ws) as bob:
                    await bob.connect("bob")
                    for n in range(300):
                        await server.send(command(f"n{n}"))
                        assert (await bob.receive())["params"]["clientMsgNo"] == f"n{n}"
            assert server.statistics().webhook_waiting == 301
        assert not receiver.messages


async def test_h125_what_waits_survives_a_restart(tmp_path: Path) -> None:
    async with open_receiver() as receiver:
        receiver.answer = statuses(then=503)
        settings = {"data_dir": tmp_path, "drain_timeout_s": 0.2, **hooked(receiver)}
        async with open_test_server(**settings) as server:
            for n in range(3):
                await server.send(command(f"n{n}"))
            await receiver.until(lambda: bool(receiver.of("msg.notify")))
        assert not receiver.messages
        receiver.answer = statuses()
        async with open_test_server(**settings) as server:
            await receiver.until(lambda: len(receiver.messages) == 3)
            assert server.statistics().webhook_dropped == 0
    assert [record["client_msg_no"] for record in receiver.messages] == ["n0", "n1", "n2"]


async def test_where_the_first_use_begins_is_saved_before_anything_is_stored() -> None:
    store = MemoryStore()
    async with open_receiver() as receiver, open_test_server(store=store) as server:
        result = await server.send(command("a1"))
        assert await store.webhook_cursor() is None
        server.shutdown()
    async with open_receiver() as receiver, open_test_server(store=store, **hooked(receiver)):
        assert await store.webhook_cursor() == result.message_id


async def test_a_repeated_client_send_is_told_once() -> None:
    async with open_receiver() as receiver:
        async with open_test_server(**hooked(receiver)) as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            params = {"clientMsgNo": "a1", "channelId": "bob", "channelType": 1, "payload": "e30="}
            for _ in range(3):
                await ann.call("send", params)
            await ann.call("send", params | {"clientMsgNo": "a2"})
            await receiver.until(lambda: len(receiver.messages) == 2 and len(receiver.of("msg.offline")) == 2)
        for event in (receiver.messages, receiver.accepted("msg.offline")):
            assert sorted(record["client_msg_no"] for record in event) == ["a1", "a2"]


async def test_refused_messages_are_not_told() -> None:
    async with open_receiver() as receiver, open_test_server(**hooked(receiver)) as server:
        async with open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            answer = await ann.call("send", {"clientMsgNo": "a", "channelId": "g", "channelType": 2, "payload": "e30="})
            assert answer["error"]["data"]["reasonCode"] == 5
        await server.send(command("a1"))
        await receiver.until(lambda: bool(receiver.messages) and bool(receiver.of("msg.offline")))
    assert [record["client_msg_no"] for record in receiver.messages] == ["a1"]


async def test_a_stop_tells_who_has_gone() -> None:
    async with open_receiver() as receiver:
        async with open_test_server(**hooked(receiver)) as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            server.shutdown()
        assert [entry.split("-")[2] for entry in receiver.entries] == ["1", "0"]


async def test_statistics_count_requests() -> None:
    async with open_receiver() as receiver:

        async def answer(request: Request) -> int:
            return 200 if request.event == "msg.notify" else 500

        receiver.answer = answer
        async with open_test_server(**hooked(receiver)) as server:
            await server.send(command("a1"))
            await receiver.until(lambda: len(receiver.requests) == 2)

            def both_are_counted() -> bool:
                statistics = server.statistics()
                return statistics.webhook_requests + statistics.webhook_failures >= 2

            # Answered, but perhaps not read yet.
            await until(both_are_counted)
            statistics = server.statistics()
    assert (statistics.webhook_requests, statistics.webhook_failures) == (1, 1)
    assert (statistics.webhook_waiting, statistics.webhook_dropped) == (0, 0)

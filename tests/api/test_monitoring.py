"""HTTP statements 126-129: the list of connections, sending one away, counters of the server."""

import re
import time
from datetime import datetime
from typing import Any

import pytest
import trio
from api_calls import OK, Api, OpenServer

from wukong_trio.delivery import connections
from wukong_trio.testing import RawClient, SocketClosed, open_raw_client
from wukong_trio.version import __version__

LOCAL = "本地连接"


async def listed(api: Api, query: str = "") -> list[dict[str, Any]]:
    """The connections that `/connz` lists."""
    found: list[dict[str, Any]] = (await api.get(f"/connz?{query}"))["connections"]
    return found


async def send(client: RawClient, channel_id: str, number: str) -> None:
    """Sends a message with a payload of two bytes."""
    answer = await client.call(
        "send", {"clientMsgNo": number, "channelId": channel_id, "channelType": 1, "payload": "e30="}
    )
    assert answer["result"]["reasonCode"] == 1


async def test_h126_a_connection_is_listed(api: Api) -> None:
    assert await api.get("/connz") == {
        "connections": [], "now": (await api.get("/connz"))["now"], "total": 0, "offset": 0, "limit": 20
    }  # fmt: skip
    async with open_raw_client(api.server.endpoints.ws) as ann:
        await ann.connect("ann", deviceId="d1", deviceFlag=1)
        answer = await api.get("/connz")
        assert (answer["total"], answer["offset"], answer["limit"]) == (1, 0, 20)
        assert abs(datetime.fromisoformat(answer["now"]).timestamp() - time.time()) < 60
        [connection] = answer["connections"]
        shown = {"uid": "ann", "ip": "127.0.0.1", "device": "Web(从)", "device_id": "d1", "version": 5}
        shown |= {"pending_bytes": 0, "leader_id": 1001, "node_id": 1001, "proxy_type_format": LOCAL}
        assert connection | shown == connection
        assert connection["port"] == ann.stream.socket.getsockname()[1]
        assert connection["id"] > 0
        assert re.fullmatch(r"\d+s", connection["uptime"])
        assert re.fullmatch(r"\d+s", connection["idle"])
        assert abs(datetime.fromisoformat(connection["last_activity"]).timestamp() - time.time()) < 60


@pytest.mark.parametrize(("flag", "name"), [(0, "App"), (1, "Web"), (2, "PC"), (9, "未知")])
async def test_h126_devices_have_names(api: Api, flag: int, name: str) -> None:
    await api.post("/user/token", {"uid": "ann", "token": "t", "device_flag": flag, "device_level": 1})
    async with open_raw_client(api.server.endpoints.ws) as ann:
        await ann.connect("ann", deviceFlag=flag)
        assert (await listed(api))[0]["device"] == f"{name}(主)"


async def test_h126_filter_order_and_part(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "AT_ONCE", 2)
    url = api.server.endpoints.ws
    async with (
        open_raw_client(url) as a,
        open_raw_client(url) as b,
        open_raw_client(url) as c,
        open_raw_client(url) as d,
    ):
        clients = {"ann": a, "bob": b, "anna": c, "joe": d}
        for uid, client in clients.items():
            await client.connect(uid)
        for n, client in enumerate((b, d, d, d)):
            await send(client, "nobody", f"n{n}")
        queries = {
            "": ["ann", "bob", "anna", "joe"],
            "sort=id": ["ann", "bob", "anna", "joe"],
            "sort=idDesc": ["joe", "anna", "bob", "ann"],
            "sort=inMsgDesc&limit=2": ["joe", "bob"],
            "sort=uptimeDesc": ["ann", "bob", "anna", "joe"],
            "sort=idleDesc&limit=1": ["ann"],
            "uid=ann": ["ann", "anna"],
            "uid=n&sort=idDesc&limit=1": ["anna"],
            "uid=n&offset=1": ["anna"],
            "offset=9": [],
            "limit=-5&offset=x": ["ann", "bob", "anna", "joe"],
            "node_id=1001": ["ann", "bob", "anna", "joe"],
        }
        for query, uids in queries.items():
            answer = await api.get(f"/connz?{query}")
            assert [connection["uid"] for connection in answer["connections"]] == uids, query
            assert answer["total"] == 4
        fields = ("id", "inMsg", "outMsg", "inMsgBytes", "outMsgBytes", "pendingBytes", "inPacket", "outPacket")
        for sort in (*fields, "inPacketBytes", "outPacketBytes", "uptime", "idle", "protoVersion", "nonsense"):
            for order in ("", "Desc"):
                assert len(await listed(api, f"sort={sort}{order}")) == 4
        unknown = await api.http.get("/connz?node_id=77")
        assert (unknown.status_code, unknown.json()) == (400, {"msg": "节点不存在！", "status": 400})


async def test_h126_what_a_connection_carries(api: Api) -> None:
    async with open_raw_client(api.server.endpoints.ws) as ann, open_raw_client(api.server.endpoints.ws) as bob:
        await ann.connect("ann")
        await bob.connect("bob")
        [before] = await listed(api, "uid=ann")
        names = ("in_msgs", "out_msgs", "in_msg_bytes", "out_msg_bytes", "in_packets", "out_packets")
        assert [before[name] for name in names] == [0, 0, 0, 0, 1, 1]
        for n in range(3):
            await send(ann, "bob", f"n{n}")
            pushed = (await bob.receive())["params"]
            await bob.send({"method": "recvack", "params": {"messageId": pushed["messageId"], "messageSeq": n + 1}})
        await bob.ping()
        await api.send("ann", 1, from_uid="joe")
        await ann.receive()
        [sender], [receiver] = await listed(api, "uid=ann"), await listed(api, "uid=bob")
        # connect and three sends; their answers and one push
        assert [sender[name] for name in names] == [3, 1, 6, 10, 4, 5]
        # connect, three acknowledgements and a ping; two answers and three pushes
        assert [receiver[name] for name in names] == [0, 3, 0, 6, 5, 5]
        assert sender["in_packet_bytes"] > before["in_packet_bytes"] > 100
        assert sender["out_packet_bytes"] > before["out_packet_bytes"] > 100


async def test_h127_kicked_with_a_notice(api: Api) -> None:
    async with open_raw_client(api.server.endpoints.ws) as ann, open_raw_client(api.server.endpoints.ws) as other:
        await ann.connect("ann", deviceFlag=0)
        await other.connect("ann", deviceFlag=1)
        id_ = (await listed(api, "sort=id"))[0]["id"]
        for nobody in ({"uid": "bob", "conn_id": id_}, {"uid": "ann", "conn_id": 424242}, {"conn_id": id_}):
            await api.ok("/conn/kick", **nobody)
        await api.ok("/conn/kick", uid="ann", conn_id=id_, node_id=77)
        await ann.ping()
        await api.ok("/conn/kick", uid="ann", conn_id=id_, node_id=1001, op_node_id=1001)
        notice = await ann.receive()
        assert notice["method"] == "disconnect"
        assert notice["params"] == {"reasonCode": 12, "reason": "server kick"}
        assert (await ann.wait_closed()).code == 4003
        await other.ping()
        assert len(await listed(api)) == 1


async def test_h127_refusals(api: Api) -> None:
    for path in ("/conn/kick", "/conn/remove"):
        await api.e400(path, "conn_id is 0", uid="ann")
        await api.e400(path, "node not found", uid="ann", conn_id=1, op_node_id=77)
        await api.e400(path, "node not found", uid="ann", op_node_id=77)


async def test_h128_removed_without_a_word(api: Api) -> None:
    async with open_raw_client(api.server.endpoints.ws) as ann:
        await ann.connect("ann")
        [connection] = await listed(api)
        assert await api.post("/conn/remove", {"uid": "ann", "conn_id": connection["id"]}) == OK
        with pytest.raises(SocketClosed) as closed:
            await ann.receive()
        assert closed.value.code == 4003
    async with open_raw_client(api.server.endpoints.ws) as again:
        await again.connect("ann")
        assert len(await listed(api)) == 1


async def test_h129_counters_of_the_server(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with (
            open_server(external={"wss_addr": "wss://im.example.org"}, node_id=7) as server,
            Api(server) as api,
        ):
            empty = await api.get("/varz")
            assert "conns" not in empty
            async with open_raw_client(server.endpoints.ws) as ann, open_raw_client(server.endpoints.ws) as bob:
                await ann.connect("ann")
                await bob.connect("bob")
                await send(ann, "bob", "n1")
                pushed = (await bob.receive())["params"]
                await bob.send({"method": "recvack", "params": {"messageId": pushed["messageId"], "messageSeq": 1}})
                # Who has acknowledged once is expected to do so again.
                await bob.ping()
                await send(ann, "bob", "n2")
                await bob.receive()
                busy = await api.get("/varz?show=conn&conn_limit=1&node_id=7")
            [busiest] = busy.pop("conns")
            assert (busiest["uid"], busiest["in_msgs"]) == ("ann", 2)
            assert busy.keys() == empty.keys()
            for name, before, after in (
                ("connections", 0, 2),
                ("user_handler_count", 0, 2),
                ("user_handler_conn_count", 0, 2),
                ("in_msgs", 0, 6),
                ("out_msgs", 0, 7),
                ("retry_queue", 0, 1),
                ("slow_clients", 0, 0),
                ("conversation_cache_count", 0, 0),
            ):
                assert (empty[name], busy[name]) == (before, after), name
            assert busy["in_bytes"] > 100
            assert busy["out_bytes"] > 100
            while (gone := await api.get("/varz"))["connections"]:
                pass
            assert gone["in_msgs"] == 6, "what has passed before still counts"
            assert gone["in_bytes"] >= busy["in_bytes"]
            texts = {"server_id": "7", "server_name": "WuKongIM", "version": __version__, "manager_uid": "____manager"}
            texts |= dict.fromkeys(("commit", "commit_date", "tree_state", "manager_addr"), "")
            assert empty | texts == empty
            assert (empty["manager_on"], empty["manager_token_on"]) == (0, 0)
            assert empty["wss_addr"] == "wss://im.example.org"
            assert empty["api_url"] == server.endpoints.http
            assert (empty["tcp_addr"], empty["ws_addr"]) == (server.endpoints.tcp[6:], server.endpoints.ws)
            assert empty["mem"] > 1_000_000
            assert empty["goroutine"] > 3
            assert type(empty["cpu"]) is float
            assert re.fullmatch(r"\d+s", empty["uptime"])
            unknown = await api.http.get("/varz?node_id=77")
            assert (unknown.status_code, unknown.json()) == (400, {"msg": "node not found", "status": 400})


async def test_h129_a_manager_token_is_said_to_be_there(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server, Api(server, "k") as api:
            assert (await api.get("/varz"))["manager_token_on"] == 1


async def test_h129_features_of_the_original(api: Api) -> None:
    assert await api.get("/varz/setting") == {
        "logger": {"trace_on": 0, "loki_on": 0},
        "prometheus_on": 0,
        "stress_on": 0,
    }

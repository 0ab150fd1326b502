"""Statements 87-101: what receivers get."""

from steps import OpenServer, P, group, history, online, post, send_params, sent

from wukong_trio.testing import open_raw_client

NO_FLAGS = {"noPersist": False, "redDot": False, "syncOnce": False, "dup": False}


async def test_j087_the_published_form(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        result = await sent(ann)
        assert await bob.receive() == {
            "jsonrpc": "2.0",
            "method": "message",
            "params": {
                "header": NO_FLAGS,
                "messageId": result["messageId"],
                "messageSeq": 1,
                "clientMsgNo": "m1",
                "timestamp": result["timestamp"],
                "fromUid": "ann",
                "channelId": "ann",
                "channelType": 1,
                "payload": P,
            },
        }
        await bob.ping()


async def test_j088_the_form_of_the_sdks(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "sdk:bob") as (ann, bob):
        result = await sent(ann)
        push = await bob.receive()
        assert push["method"] == "recv"
        assert push["params"]["messageId"] == str(result["messageId"])
        await bob.ping()


async def test_j089_forms_by_request(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        online(server, "ann") as (ann,),
        online(server, "bob", query="/?profile=both") as (both,),
        online(server, "cid", query="/?profile=sdk") as (sdk,),
        online(server, "sdk:dan", query="/?profile=doc") as (doc,),
    ):
        await sent(ann, "bob")
        pushes = [await both.receive() for _ in range(2)]
        assert [push["method"] for push in pushes] == ["message", "recv"]
        assert pushes[1]["params"]["messageId"] == str(pushes[0]["params"]["messageId"])
        await sent(ann, "cid")
        assert (await sdk.receive())["method"] == "recv"
        await sent(ann, "dan")
        assert (await doc.receive())["method"] == "message"


async def test_forms_by_setting_and_parameter(open_server: OpenServer) -> None:
    async with (
        open_server(notification_profile="sdk") as server,
        online(server, "ann", "bob") as (ann, bob),
        open_raw_client(server.endpoints.ws) as cid,
    ):
        await cid.connect("cid", profile="doc")
        await sent(ann, "bob")
        assert (await bob.receive())["method"] == "recv"
        await sent(ann, "cid")
        assert (await cid.receive())["method"] == "message"


async def test_j090_j091_the_senders_other_devices(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "ann", "bob") as (one, two, bob):
        await sent(one, header={"redDot": True})
        own = (await two.receive())["params"]
        assert (own["channelId"], own["fromUid"], own["header"]["redDot"]) == ("bob", "ann", False)
        assert (await bob.receive())["params"]["header"]["redDot"] is True
        await one.ping()
        await sent(bob, "ann")
        for client in (one, two):
            assert (await client.receive())["params"]["fromUid"] == "bob"


async def test_j092_j093_members_of_a_group(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob", "cid", "eve") as (ann, bob, cid, eve):
        await group(server, "ann", "bob", "cid", "bob")
        await post(server, "/channel/subscriber_add", {"channel_id": "g", "subscribers": ["bob"]})
        await sent(ann, "g", 2)
        for client in (bob, cid):
            params = (await client.receive())["params"]
            assert (params["channelId"], params["channelType"], params["fromUid"]) == ("g", 2, "ann")
        for client in (ann, bob, cid, eve):
            await client.ping()


async def test_j094_order(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await group(server, "ann", "bob")
        for n in range(200):
            await ann.send({"id": str(n), "method": "send", "params": send_params("g", 2, f"m{n}")})
        assert [(await bob.receive())["params"]["messageSeq"] for _ in range(200)] == list(range(1, 201))


async def test_j095_no_persist(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await sent(ann, number="1")
        assert (await sent(ann, number="2", header={"noPersist": True}))["messageSeq"] == 0
        assert (await sent(ann, number="3"))["messageSeq"] == 2
        pushes = [(await bob.receive())["params"] for _ in range(3)]
        assert [(p["messageSeq"], p["header"]["noPersist"]) for p in pushes] == [(1, False), (0, True), (2, False)]
        assert [m["client_msg_no"] for m in await history(server, "bob")] == ["1", "3"]


async def test_j096_sync_once(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await sent(ann, header={"syncOnce": True, "dup": True})
        header = (await bob.receive())["params"]["header"]
        assert header == {**NO_FLAGS, "syncOnce": True}
        assert len(await history(server, "bob")) == 1


async def test_j097_optional_fields(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await sent(ann, number="1", expire=30, topic="t", streamNo="s")
        params = (await bob.receive())["params"]
        assert (params["expire"], params["topic"], params["streamNo"]) == (30, "t", "s")
        await sent(ann, number="2")
        assert {"expire", "topic", "streamNo", "setting"}.isdisjoint((await bob.receive())["params"])


async def test_j098_objects_for_clients_that_connect_in_binary(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,), open_raw_client(server.endpoints.ws) as bob:
        await bob.send_binary(b'{"id":"c","method":"connect","params":{"uid":"bob","token":"t"}}')
        await bob.receive()
        await sent(ann, number="1")
        push = await bob.receive()
        assert (push["method"], push["params"]["payload"]) == ("recv", {"a": 1})
        await sent(ann, number="2", payload="AP8Q")
        assert (await bob.receive())["params"]["payload"] == "AP8Q"
        await bob.send_binary(b'{"id":"p","method":"ping"}')
        assert (await bob.receive())["result"] == {}


async def test_j099_objects_for_clients_that_write_snake_case(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,), open_raw_client(server.endpoints.ws) as bob:
        await bob.connect("bob", device_id="d", device_flag=0, client_timestamp=1)
        await sent(ann)
        push = await bob.receive()
        assert (push["method"], push["params"]["payload"]) == ("recv", {"a": 1})
        assert "channelId" in push["params"]


async def test_objects_for_clients_that_send_objects(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await sent(bob, "ann", payload={"hello": 1})
        assert (await ann.receive())["params"]["payload"] != {"hello": 1}
        await sent(ann, number="2")
        assert (await bob.receive())["params"]["payload"] == {"a": 1}


async def test_j100_the_system_account(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "bob") as (bob,):
        await post(server, "/message/send", {"channel_id": "bob", "channel_type": 1, "payload": P})
        params = (await bob.receive())["params"]
        assert params["fromUid"] == params["channelId"] == "____system"


async def test_j101_to_oneself(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "ann") as (one, two):
        await sent(one, "ann")
        params = (await two.receive())["params"]
        assert params["fromUid"] == params["channelId"] == "ann"
        for client in (one, two):
            await client.ping()


async def test_a_large_group_gets_everything_once_and_in_order(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, *(f"u{n}" for n in range(300))) as clients:
        await group(server, *(f"u{n}" for n in range(300)), *(f"offline{n}" for n in range(1000)))
        for n in range(3):
            await sent(clients[0], "g", 2, number=f"m{n}")
        for client in clients[1:]:
            assert [(await client.receive())["params"]["messageSeq"] for _ in range(3)] == [1, 2, 3]
        assert server.statistics().delivered == 3 * 299

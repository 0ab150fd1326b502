"""Clients of both protocols in one conversation."""

from base64 import b64decode, b64encode
from typing import Any

from places import OpenPlace, message, received, sent

from wukong_trio.model import RED_DOT, SETTING_NO_ENCRYPT
from wukong_trio.protocol.wkproto import Disconnect
from wukong_trio.testing import RawClient


async def json_sent(
    client: RawClient, number: int = 1, to: str = "bob", payload: bytes = b'{"a":1}', **more: Any
) -> Any:
    """Sends in JSON and returns the result, which has to be one."""
    params = {"clientMsgNo": f"m{number}", "channelId": to, "channelType": 1, "payload": b64encode(payload).decode()}
    answer = await client.call("send", {**params, **more})
    assert "error" not in answer, answer
    return answer["result"]


async def json_received(client: RawClient, message_id: int) -> Any:
    """The parameters of the next message, which has to be this one."""
    push = await client.receive()
    assert push["method"] == "recv", push
    assert push["params"]["messageId"] == str(message_id)
    return push["params"]


async def test_a_person_channel(open_place: OpenPlace) -> None:
    async with (
        open_place() as place,
        place.online("ann", "bob", "2:bob") as (ann, bob, old),
        place.json_online("ann", "bob") as (json_ann, json_bob),
    ):
        sendack = await sent(ann, 1, flags=RED_DOT)
        for client, red_dot, channel_id in ((json_bob, True, "ann"), (json_ann, False, "bob")):
            params = await json_received(client, sendack.message_id)
            assert (params["messageSeq"], params["clientMsgNo"]) == (1, "m1")
            assert (params["fromUid"], params["channelId"], params["channelType"]) == ("ann", channel_id, 1)
            assert (params["header"]["redDot"], b64decode(params["payload"])) == (red_dot, b'{"a":1}')
        for binary in (bob, old):
            await received(binary, sendack)

        result = await json_sent(json_bob, 2, to="ann", header={"redDot": True})
        assert result["messageSeq"] == 2
        for binary, flags, channel_id in ((ann, RED_DOT, "bob"), (bob, 0, "ann"), (old, 0, "ann")):
            recv = await binary.receive_message()
            assert (str(recv.message_id), recv.message_seq) == (result["messageId"], 2)
            assert (recv.from_uid, recv.channel_id, recv.flags) == ("bob", channel_id, flags)
            assert (recv.timestamp, recv.payload) == (result["timestamp"], b'{"a":1}')
        await json_received(json_ann, recv.message_id)
        await json_bob.ping()
        assert [entry["message_seq"] for entry in await place.history("bob")] == [1, 2]


async def test_a_group_in_order(open_place: OpenPlace) -> None:
    async with (
        open_place() as place,
        place.online("0:ann", "5:bob", "cid") as (ann, bob, cid),
        place.json_online("dan", "eve") as (dan, eve),
    ):
        await place.group("ann", "bob", "cid", "dan", "eve")
        for n in range(1, 11):
            if n % 2:
                assert (await sent(ann, n, to="g", channel_type=2)).message_seq == n
                await dan.receive()
            else:
                assert (await json_sent(dan, n, to="g", channelType=2))["messageSeq"] == n
                await ann.receive_message()
        for binary in (bob, cid):
            assert [(await binary.receive_message()).message_seq for _ in range(10)] == list(range(1, 11))
        assert [(await eve.receive())["params"]["messageSeq"] for _ in range(10)] == list(range(1, 11))


async def test_w051_repetitions_across_speeches_and_reconnects(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("bob") as (bob,), place.json_online("bob") as (json_bob,):
        async with place.online("ann") as (ann,):
            first = await sent(ann)
        async with place.json_online("ann") as (json_ann,):
            result = await json_sent(json_ann)
            assert (int(result["messageId"]), result["messageSeq"]) == (first.message_id, first.message_seq)
            second = await json_sent(json_ann, 2)
        async with place.online("2:ann") as (ann,):
            assert (await sent(ann, 2)).message_id == int(second["messageId"])
            other = await sent(ann, 3, payload=b"other", client_msg_no="m2")
            assert other.message_seq == 3
        assert [(await bob.receive_message()).message_seq for _ in range(3)] == [1, 2, 3]
        await bob.ping()
        assert [(await json_bob.receive())["params"]["messageSeq"] for _ in range(3)] == [1, 2, 3]
        await json_bob.ping()


async def test_w037_clear_messages_and_strange_settings(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,), place.json_online("bob") as (bob,):
        sendack = await ann.call(message(payload=b"clear", setting=0xF5))
        params = await json_received(bob, sendack.message_id)
        assert b64decode(params["payload"]) == b"clear"
        assert params["setting"] == {"receipt": True, "signal": True}
        assert (await place.history("bob"))[0]["setting"] == 0xF5
        # JSON-RPC is never encrypted, so the bit says nothing there, and nothing of it comes back.
        result = await json_sent(bob, 2, to="ann", setting=0xF5)
        recv = await ann.receive_message()
        assert (recv.message_id, recv.setting) == (int(result["messageId"]), 0xF5 & ~(SETTING_NO_ENCRYPT | 0x04))


async def test_topics_expire_and_flags_both_ways(open_place: OpenPlace) -> None:
    async with (
        open_place() as place,
        place.online("ann", "2:ann") as (ann, old),
        place.json_online("bob", "bob") as (bob, tablet),
    ):
        sendack = await sent(ann, setting=0x88, topic="thème", expire=77, flags=0x0C)
        for client in (bob, tablet):
            params = await json_received(client, sendack.message_id)
            assert (params["topic"], params["expire"]) == ("thème", 77)
            assert params["setting"] == {"receipt": True, "topic": True}
            assert params["header"] == {"noPersist": False, "redDot": False, "syncOnce": True, "dup": False}
        await received(old, sendack)
        # The topic alone is enough: in a RECV the bit has to say that it is there.
        for number, more in ((2, {}), (3, {"setting": {"topic": True}}), (4, {"setting": {"receipt": True}})):
            result = await json_sent(
                bob, number, to="ann", topic="sujet", expire=2**32 - 1, header={"syncOnce": True}, **more
            )
            receipt = 0x80 if number == 4 else 0
            for binary, expire in ((ann, 2**32 - 1), (old, 0)):
                recv = await binary.receive_message()
                assert (str(recv.message_id), recv.setting, recv.topic) == (
                    result["messageId"],
                    0x08 | receipt,
                    "sujet",
                )
                assert (recv.expire, recv.flags) == (expire, 4)
            await tablet.receive()
        result = await json_sent(bob, 5, to="ann", header={"noPersist": True})
        assert result["messageSeq"] == 0
        for binary in (ann, old):
            recv = await binary.receive_message()
            assert (recv.message_seq, recv.flags, recv.setting) == (0, 1, 0)


async def test_w039_payloads_that_are_no_text(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,), place.json_online("bob") as (bob,):
        await bob.call("send", {"clientMsgNo": "o", "channelId": "ann", "channelType": 1, "payload": {"a": 1}})
        assert (await ann.receive_message()).payload == b'{"a":1}'
        # From now on objects come as such to bob, and what is none still in base64.
        for number, payload in enumerate((bytes(range(256)), b"", b"\xff", b'{"a":"\xff"}', b"[1]", b'{"b":2}')):
            sendack = await sent(ann, number, payload=payload)
            params = await json_received(bob, sendack.message_id)
            assert params["payload"] == ({"b": 2} if payload == b'{"b":2}' else b64encode(payload).decode())
            result = await json_sent(bob, number + 10, to="ann", payload=payload)
            recv = await ann.receive_message()
            assert (str(recv.message_id), recv.payload) == (result["messageId"], payload)


async def test_w052_a_kick_across_speeches(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await place.post("/user/token", {"uid": "ann", "token": "t", "device_level": 1})
        async with place.json_online("ann") as (json,), place.online("ann", device_id="d2") as (binary,):
            assert (await json.receive())["params"] == {"reasonCode": 12, "reason": "login in other device"}
            assert (await json.wait_closed()).code == 4003
            async with place.json_online("ann") as (again,):
                assert await binary.receive() == Disconnect(12, "login in other device")
                await place.ended(binary, 4003)
                await again.ping()


async def test_w053_the_same_device_across_speeches(open_place: OpenPlace) -> None:
    device: dict[str, Any] = {"device_id": "d1", "device_flag": 1}
    async with (
        open_place() as place,
        place.online("ann", device_id="d1", device_flag=2) as (pc,),
        place.json_online("ann", **device) as (json,),
        place.online("ann", **device) as (binary,),
    ):
        assert (await json.wait_closed()).code == 4006
        async with place.json_online("ann", **device) as (again,):
            await place.ended(binary, 4006)
            await again.ping()
            await pc.ping()


async def test_device_quit_ends_both(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await place.post("/user/token", {"uid": "ann", "token": "t", "device_flag": 0})
        async with place.online("ann") as (binary,), place.json_online("ann") as (json,):
            await place.post("/user/device_quit", {"uid": "ann", "device_flag": 0})
            assert await binary.receive() == Disconnect(12, "device quit")
            await place.ended(binary, 4003)
            assert (await json.receive())["method"] == "disconnect"
            assert (await json.wait_closed()).code == 4003


async def test_messages_of_the_http_api(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann", "4:ann") as (ann, old):
        body = {"from_uid": "robot", "channel_id": "ann", "channel_type": 1, "payload": b64encode(b"\xff").decode()}
        await place.post("/message/send", {**body, "header": {"red_dot": 1}})
        for client in (ann, old):
            recv = await client.receive_message()
            assert (recv.from_uid, recv.channel_id, recv.payload, recv.flags) == ("robot", "robot", b"\xff", RED_DOT)
            assert recv.client_msg_no
        # The server's own account has no name.
        await place.post("/message/send", {**body, "from_uid": ""})
        for client in (ann, old):
            recv = await client.receive_message()
            assert (recv.from_uid, recv.channel_id) == ("", "____system")
        status = await place.post("/user/onlinestatus", ["ann", "bob"])
        assert {(entry["uid"], entry["device_flag"]) for entry in status} == {("ann", 0)}

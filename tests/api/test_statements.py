"""Further HTTP statements, each as a whole: what the answer says, what receivers get, and what is stored."""

import json
import time

import httpx
import pytest
import trio
from api_calls import OK, Api, OpenServer, P

from wukong_trio import RequestError, open_client
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.model import Message
from wukong_trio.store.memory import MemoryStore
from wukong_trio.testing import open_raw_client

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "POST, OPTIONS, GET, PUT,DELETE,PATCH",
    "Access-Control-Max-Age": "86400",
}


async def test_h002_cors_headers_are_on_errors_too(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with (
            open_server(auth={"manager_token": "k"}, limits={"http_body_bytes": 100}) as server,
            Api(server, "k") as api,
            httpx.AsyncClient(base_url=server.endpoints.http) as stranger,
        ):
            answers = {
                200: await api.http.get("/route", headers={"Origin": "http://a"}),
                204: await stranger.options("/route", headers={"Origin": "http://a"}),
                400: await api.http.post("/channel", content=b"{"),
                401: await stranger.get("/user/systemuids"),
                404: await api.http.get("/nope"),
                413: await api.http.post("/channel", content=b" " * 101),
            }
            for status, answer in answers.items():
                assert answer.status_code == status
                assert {name: answer.headers.get(name) for name in CORS} == CORS, status


async def test_h010_the_token_guards_every_endpoint_but_route_and_the_probes(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server, Api(server, "k") as api:
            async with httpx.AsyncClient(base_url=server.endpoints.http) as stranger:
                for endpoint in ENDPOINTS:
                    answer = await stranger.request(
                        endpoint.method, endpoint.path, json={"uids": ["eve"], "token": "k"}
                    )
                    expected = 200 if endpoint.path in ("/route", "/health", "/healthz", "/readyz") else 401
                    assert answer.status_code == expected, endpoint.path
                    assert expected == 200 or answer.content == b""
                for token in ("K", "kk", "k,k"):
                    assert (await stranger.get("/user/systemuids", headers={"token": token})).status_code == 401
            assert await api.get("/user/systemuids") == []


async def test_h053_allow_lists_of_persons(open_server: OpenServer) -> None:
    for off, before in ((True, 1), (False, 13)):
        with trio.fail_after(10):
            async with (
                open_server(whitelist_off_of_person=off) as server,
                Api(server) as api,
                open_client(server.endpoints.ws, uid="A") as a,
            ):
                for expected, change in ((before, "add"), (1, "remove"), (before, "")):
                    if expected == 1:
                        await a.send("B", b"{}", channel_type=1)
                    else:
                        with pytest.raises(RequestError) as refused:
                            await a.send("B", b"{}", channel_type=1)
                        assert refused.value.reason_code == expected
                    if change:
                        await api.ok(f"/channel/whitelist_{change}", channel_id="B", channel_type=1, uids=["A"])


async def test_h057_h058_the_numbers_of_a_message(api: Api) -> None:
    given = (await api.send("bob", 1, from_uid="ann", client_msg_no="mine"))["data"]
    made = [(await api.send("bob", 1, from_uid="ann", client_msg_no=no))["data"] for no in ("", " ")]
    assert given["client_msg_no"] == "mine"
    assert 0 < given["message_id"] < made[0]["message_id"] < made[1]["message_id"]
    numbers = {data["client_msg_no"] for data in (given, *made)}
    assert len(numbers) == 3
    assert all(number.strip() for number in numbers)


async def test_h068_a_command_reaches_members_and_leaves_the_numbers_alone(api: Api) -> None:
    url = api.server.endpoints.ws
    await api.ok("/channel", channel_id="g", channel_type=2, subscribers=["ann", "bob"])
    async with open_client(url, uid="ann") as ann, open_client(url, uid="bob") as bob:
        assert (await api.send("g"))["message_seq"] == 1
        assert (await api.send("g", header={"sync_once": 1}))["message_seq"] == 1
        assert (await api.send("g"))["message_seq"] == 2
        for client in (ann, bob):
            received = [await client.__anext__() for _ in range(3)]
            assert [message.message_seq for message in received] == [1, 1, 2]
    assert [record["message_seq"] for record in (await api.history("g"))["messages"]] == [1, 2]


async def test_h071_all_devices_of_both_sides_receive(api: Api) -> None:
    url = api.server.endpoints.ws
    async with (
        open_client(url, uid="A", device_flag=0) as phone,
        open_client(url, uid="A", device_flag=1) as browser,
        open_client(url, uid="B") as other,
    ):
        sent = await api.send("B", 1, from_uid="A")
        for client in (phone, browser, other):
            assert (await client.__anext__()).message_id == sent["message_id"]


async def test_h091_the_form_of_a_record(api: Api) -> None:
    before = int(time.time())
    for header in ({}, {"red_dot": 1}, {"red_dot": 2}, None):
        await api.send("g", header=header)
    records = (await api.history("g"))["messages"]
    assert [record["header"]["red_dot"] for record in records] == [0, 1, 0, 0]
    for record in records:
        assert record["header"].keys() == {"no_persist", "red_dot", "sync_once"}
        assert {type(flag) for flag in record["header"].values()} == {int}
        assert record["message_idstr"] == str(record["message_id"])
        assert before <= record["timestamp"] <= time.time()
        assert (record["payload"], record["expire"], record["setting"]) == (P, 0, 0)
        assert "topic" not in record


async def test_h139_a_thousand_requests_at_once(api: Api) -> None:
    seqs: list[int] = []

    async def send_some() -> None:
        seqs.extend([(await api.send("g"))["message_seq"] for _ in range(50)])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(send_some)
    assert sorted(seqs) == list(range(1, 1001))
    page = await api.history("g", limit=1000)
    assert [record["message_seq"] for record in page["messages"]] == list(range(1, 1001))


async def test_h141_ids_beyond_2_to_the_53_stay_exact(open_server: OpenServer) -> None:
    last = 2**53 + 1
    store = MemoryStore()
    await store.append_messages([_message(last)])
    with trio.fail_after(10):
        async with open_server(store=store) as server, Api(server) as api:
            answer = await api.http.post("/message/send", json={"channel_id": "g", "channel_type": 2, "payload": P})
            assert f'"message_id":{last + 1},' in answer.text
            assert json.loads(answer.text)["message_idstr"] == str(last + 1)
            records = (await api.history("g"))["messages"]
            assert [record["message_id"] for record in records] == [last, last + 1]


def _message(message_id: int) -> Message:
    return Message(
        message_id=message_id,
        message_seq=1,
        client_msg_no="c",
        from_uid="ann",
        channel_id="g",
        channel_type=2,
        timestamp=1,
        payload=b"{}",
    )


async def test_h142_two_mebibytes_of_members(api: Api) -> None:
    uids = [f"user{n:016}" for n in range(100_000)]
    body = json.dumps({"channel_id": "g", "channel_type": 2, "subscribers": uids})
    assert len(body) > 2 * 1024 * 1024
    assert (await api.http.post("/channel/subscriber_add", content=body)).json() == OK
    async with open_client(api.server.endpoints.ws, uid=uids[-1]) as last:
        assert (await last.send("g", b"{}", channel_type=2)).reason_code == 1


async def test_h146_receivers_see_the_receipt_bit(api: Api) -> None:
    async with open_raw_client(api.server.endpoints.ws) as ann:
        await ann.connect("ann")
        for setting, receipt, stored in ((128, True, 128), (0, False, 0), (2, False, 0)):
            await api.send("ann", 1, from_uid="bob", setting=setting)
            params = (await ann.receive())["params"]
            assert bool(params.get("setting", {}).get("receipt", False)) is receipt
            assert (await api.history("bob", 1, limit=1))["messages"][-1]["setting"] == stored

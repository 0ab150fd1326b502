"""Bodies: what is read leniently, large ones, and what bounds them."""

import json
import random
from contextlib import AsyncExitStack, suppress

import pytest
import trio
from api_calls import Api, OpenServer
from common import counted_turns
from exchanges import connect
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.api import bodies
from wukong_trio.api.bodies import BodyError, BodyReader, TooManyItemsError, encode_list
from wukong_trio.contract.channels import SubscribersRequest
from wukong_trio.contract.messages import SendHeader, SendRequest
from wukong_trio.services.arguments import clean_uids

STRUCT = BodyReader(SubscribersRequest)
LIST = BodyReader(list[str])


def test_null_counts_as_absent_and_the_rest_is_ignored() -> None:
    assert STRUCT.read(b"null") == STRUCT.read(b"{}") == SubscribersRequest()
    assert LIST.read(b"null") == LIST.read(b" [] ]") == []
    read = STRUCT.read(b'{"channel_id":"g","reset":null,"subscribers":null,"x":[null]}\n{"channel_id":5}')
    assert read == SubscribersRequest(channel_id="g")
    sent = BodyReader(SendRequest).read(b'{"header":{"no_persist":null,"red_dot":1},"setting":null,"payload":"x"} [')
    assert sent == SendRequest(header=SendHeader(red_dot=1), payload="x")
    for bad in (b"", b" ", b"{", b"[]", b"5", b'{"reset":"1"}', b'{"channel_type":300}', b'{"subscribers":[null]}'):
        with pytest.raises(BodyError):
            STRUCT.read(bad)
    for bad in (b"", b"{}", b"[null]", b"[1]", b'["a"', b'["a",]', b'["\xff"]'):
        with pytest.raises(BodyError):
            LIST.read(bad)


TEXTS = st.lists(st.text(alphabet='a"\\,[]{}: é', max_size=5), max_size=8)


@given(TEXTS, TEXTS, st.sampled_from([None, 1]), st.booleans())
def test_slices_give_what_the_whole_gives(
    first: list[str], second: list[str], indent: int | None, ascii_: bool
) -> None:
    tree = {"x": {"y": [1, {"z": second}]}, "channel_id": ']["', "subscribers": first, "v": second, "reset": 1}
    body = json.dumps(tree, indent=indent, ensure_ascii=ascii_).encode()
    listed = json.dumps(first, indent=indent, ensure_ascii=ascii_).encode()

    async def main() -> None:
        assert await STRUCT.read_in_slices(body) == STRUCT.read(body)
        assert await LIST.read_in_slices(listed) == first

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bodies, "SLICE_BYTES", 50)
        trio.run(main)


async def test_damaged_bodies_are_never_read_differently_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SLICE_BYTES", 40)
    chance = random.Random(1)
    sound = json.dumps({"channel_id": 'a["', "subscribers": ["u1", ",", 'x"y', "\\", "]"], "reset": 0}).encode()
    for _ in range(5000):
        body = bytearray(sound)
        for _ in range(chance.randint(1, 3)):
            body[chance.randrange(len(body))] = chance.choice(b'"\\[],{}: a\xff')
        try:
            whole = STRUCT.read(body)
        except BodyError:
            whole = None
        # What is wrong where nobody looks, behind the value or in unknown members, may be refused all the same.
        with suppress(BodyError):
            assert await STRUCT.read_in_slices(body) == whole, body


async def test_the_limit_of_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_ITEMS", 10)
    assert len(await LIST.read_in_slices(json.dumps(["a"] * 10).encode())) == 10
    with pytest.raises(TooManyItemsError):
        await LIST.read_in_slices(json.dumps(["a"] * 11).encode())
    two = {"subscribers": ["a"] * 6, "x": ["a"] * 4}
    assert len((await STRUCT.read_in_slices(json.dumps(two).encode())).subscribers) == 6
    with pytest.raises(TooManyItemsError):
        await STRUCT.read_in_slices(json.dumps(two | {"y": ["a"]}).encode())


async def test_large_bodies_give_way() -> None:
    uids = [f"user-{n:020}" for n in range(200_000)]
    body = json.dumps({"channel_id": "g", "subscribers": uids}).encode()
    async with counted_turns() as turns:
        request = await STRUCT.read_in_slices(body)
        assert request.subscribers == uids
        assert turns.count > len(body) / bodies.SLICE_BYTES / 2
        turns.count = 0
        assert await clean_uids("uids", [*uids, " "]) == uids
        assert turns.count > len(uids) / bodies.SLICE_ITEMS / 2
        turns.count = 0
        assert json.loads(bytes(await encode_list(uids))) == uids
        assert turns.count > len(uids) / bodies.SLICE_ITEMS / 2


async def test_large_bodies_over_the_wire(api: Api) -> None:
    uids = [f"user-{n:020}" for n in range(50_000)]
    assert (await api.post("/route/batch", uids))[0]["uids"] == uids
    assert await api.post("/user/onlinestatus", uids) == []
    await api.ok("/channel/whitelist_set", channel_id="g", channel_type=2, uids=[*uids, ""])
    allowed = await api.get("/channel/whitelist?channel_id=g&channel_type=2")
    assert [entry["uid"] for entry in allowed] == uids
    await api.e400("/channel/subscriber_add", "订阅者不能为空！", channel_id="g", subscribers=[" " * 20] * 50_000)
    await api.e400("/route/batch", "数据格式有误！", raw=b"[" + b"{}," * 500_000 + b"{}]")


async def test_too_many_entries_are_413(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_ITEMS", 100_000)
    body = {"channel_id": "g", "channel_type": 2, "subscribers": ["uid"] * 100_001}
    answer = await api.http.post("/channel/subscriber_add", json=body)
    assert (answer.status_code, answer.json()["status"]) == (413, 413)
    assert "several calls" in answer.json()["msg"]


async def test_only_lists_may_be_large(api: Api) -> None:
    async with await connect(api.server) as stream:
        for size, status in ((1024 * 1024, b"200"), (1024 * 1024 + 1, b"413")):
            await stream.send_all(b"POST /user/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
            if status == b"200":
                await stream.send_all(b'{"uid":"ann","token":"t"}'.ljust(size))
            received = b""
            while not received.endswith(b"}"):
                received += await stream.receive_some()
            assert received.split()[1] == status


async def test_bodies_that_are_collected_have_a_common_limit(open_server: OpenServer, engine: str) -> None:
    with trio.fail_after(20):
        async with open_server(limits={"http_body_bytes": 9_000_000}) as server, Api(server) as api:
            head = b"POST /route/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n["
            refused = trio.Event()

            async def collect() -> None:
                async with await connect(server) as stream:
                    try:
                        await stream.send_all(head + b" " * 8_999_000)
                        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 503")
                    except trio.BrokenResourceError:
                        # The reference does not wait for the client to read why.
                        assert engine == "reference"
                    refused.set()

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(collect)
                await refused.wait()
                # What is small has nothing to do with it.
                assert (await api.http.post("/route/batch", json=["a"])).status_code == 200
                nursery.cancel_scope.cancel()
            # Everything is given back.
            for _ in range(100):
                answer = await api.http.post("/route/batch", content=b"[]".ljust(8_999_999))
                if answer.status_code == 200:
                    break
            assert answer.status_code == 200


@pytest.mark.parametrize(("token", "at_once"), [("", 1), ("k", 2)])
async def test_without_a_token_one_of_the_largest_bodies_is_collected_at_a_time(
    open_server: OpenServer, token: str, at_once: int
) -> None:
    size = 17_000_000
    head = b"POST /route/batch HTTP/1.1\r\nHost: localhost\r\ntoken: %b\r\nContent-Length: %d\r\n\r\n["
    with trio.fail_after(20):
        async with (
            open_server(limits={"http_body_bytes": size}, auth={"manager_token": token}) as server,
            AsyncExitStack() as stack,
        ):
            for number in range(at_once + 1):
                stream = await stack.enter_async_context(await connect(server))
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(head % (token.encode(), size) + b" " * (size - 2))
                # Until it is known that no answer comes, the server may still be reading.
                with trio.move_on_after(0.5) as quiet:
                    with suppress(trio.BrokenResourceError):
                        await stream.receive_some()
                assert quiet.cancelled_caught == (number < at_once)

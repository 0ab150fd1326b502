"""The client of the binary protocol with the real server, on TCP and on a WebSocket, alone and beside others."""

import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from stub_server import open_secure_server

from wukong_trio import (
    ChannelType,
    Client,
    ConfigError,
    ConnectionClosed,
    RequestError,
    Server,
    open_client,
)
from wukong_trio.model import NO_PERSIST, RED_DOT, SYNC_ONCE
from wukong_trio.testing import open_test_server

BINARY = bytes(range(256))
LARGE = bytes(range(250)) * 2800
"""700 kB: its RECV has nearly the largest size."""
LARGE_LIMITS = {"payload_bytes": len(LARGE)}

pytestmark = pytest.mark.parametrize("scheme", ["tcp", "ws"])


def opened(server: Server, scheme: str, uid: str, **arguments: Any) -> AbstractAsyncContextManager[Client]:
    """A client that speaks WKProto."""
    return open_client(getattr(server.endpoints, scheme), uid=uid, protocol="wkproto", **arguments)


async def post(server: Server, path: str, **body: object) -> None:
    async with httpx.AsyncClient(base_url=server.endpoints.http) as http:
        assert (await http.post(path, json=body)).status_code == 200


async def received(client: Client) -> bytes:
    """The payload of the next message."""
    return (await client.__anext__()).payload


async def test_a_message_goes_through_with_all_that_belongs_to_it(scheme: str) -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            opened(server, scheme, "ann") as ann,
            opened(server, scheme, "bob") as bob,
        ):
            sent = await ann.send("bob", BINARY, topic="weather", client_msg_no="m1")
            message = await bob.__anext__()
            assert (sent.reason_code, sent.message_seq, sent.client_msg_no, sent.timestamp) == (1, 1, "m1", 0)
            assert (message.message_id, message.message_seq) == (sent.message_id, 1)
            assert (message.channel_id, message.channel_type, message.from_uid) == ("ann", 1, "ann")
            assert (message.payload, message.topic, message.client_msg_no) == (BINARY, "weather", "m1")
            assert message.timestamp > 0


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ({}, RED_DOT),
        ({"red_dot": False}, 0),
        ({"no_persist": True}, RED_DOT | NO_PERSIST),
        ({"sync_once": True}, RED_DOT | SYNC_ONCE),
    ],
)
async def test_flags_arrive(scheme: str, arguments: dict[str, Any], flags: int) -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            opened(server, scheme, "ann") as ann,
            opened(server, scheme, "bob") as bob,
        ):
            await ann.send("bob", b"hi", **arguments)
            assert (await bob.__anext__()).flags == flags


async def test_both_protocols_meet_in_a_person_channel_and_a_group(scheme: str) -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            opened(server, scheme, "ann") as ann,
            open_client(server.endpoints.ws, uid="bob") as bob,
        ):
            for sender, receiver in ((ann, bob), (bob, ann)):
                await sender.send(receiver.uid, BINARY, topic="t")
                message = await receiver.__anext__()
                assert (message.channel_id, message.from_uid) == (sender.uid, sender.uid)
                assert (message.payload, message.topic, message.flags) == (BINARY, "t", RED_DOT)
            await post(server, "/channel", channel_id="team", channel_type=2, subscribers=["ann", "bob"])
            for number, (sender, receiver) in enumerate(((ann, bob), (bob, ann)), 1):
                sent = await sender.send("team", BINARY, channel_type=ChannelType.GROUP)
                message = await receiver.__anext__()
                assert (message.channel_id, message.message_seq, message.payload) == ("team", number, BINARY)
                assert message.message_id == sent.message_id


async def test_a_repeated_number_is_answered_alike_and_delivered_once(scheme: str) -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            opened(server, scheme, "ann") as ann,
            opened(server, scheme, "bob") as bob,
        ):
            first, second = [await ann.send("bob", b"once", client_msg_no="m1") for _ in range(2)]
            await ann.send("bob", b"next")
            assert first == second
            assert [await received(bob) for _ in range(2)] == [b"once", b"next"]


async def test_many_sends_at_once_have_their_own_answers(scheme: str) -> None:
    answers: dict[int, int] = {}
    with trio.fail_after(20):
        async with open_test_server() as server, opened(server, scheme, "ann") as ann, trio.open_nursery() as nursery:

            async def send(number: int) -> None:
                answers[number] = (await ann.send("bob", b"%d" % number)).message_seq

            for number in range(300):
                nursery.start_soon(send, number)
    assert sorted(answers.values()) == [*range(1, 301)]


async def test_a_large_message_goes_through(scheme: str) -> None:
    with trio.fail_after(20):
        async with (
            open_test_server(limits=LARGE_LIMITS) as server,
            opened(server, scheme, "ann") as ann,
            opened(server, scheme, "bob") as bob,
        ):
            await ann.send("bob", LARGE)
            assert await received(bob) == LARGE
            with pytest.raises(RequestError) as refused:
                await ann.send("bob", LARGE + b"x")
            assert refused.value.reason_code == 9
            await ann.ping()


async def test_what_fits_into_no_packet_is_refused_and_the_connection_stays(scheme: str) -> None:
    with trio.fail_after(20):
        async with open_test_server() as server, opened(server, scheme, "ann") as ann:
            with pytest.raises(RequestError, match="1,048,576 are allowed") as refused:
                await ann.send("bob", bytes(1_048_576))
            assert refused.value.code == -32006
            with pytest.raises(RequestError) as refused:
                await ann.send("bob", b"hi", channel_type=256)
            assert refused.value.code == -32002
            assert (await ann.send("bob", b"hi")).message_seq == 1


async def test_a_large_send_that_is_given_up_leaves_the_connection_whole(scheme: str) -> None:
    with trio.fail_after(20):
        async with open_test_server(limits=LARGE_LIMITS) as server, opened(server, scheme, "ann") as ann:
            for _ in range(10):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        for _ in range(5):
                            nursery.start_soon(ann.send, "bob", LARGE)
                        await trio.lowlevel.checkpoint()
                        scope.cancel()
                await ann.ping()
            assert (await ann.send("bob", b"hi")).reason_code == 1


async def test_pings_are_answered_each(scheme: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, opened(server, scheme, "ann") as ann:
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ann.ping)
            await ann.ping()


async def test_reasons_have_the_codes_of_json_rpc(scheme: str) -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as server,
            opened(server, scheme, "ann") as ann,
            open_client(server.endpoints.ws, uid="eve") as eve,
        ):
            await post(server, "/channel", channel_id="team", channel_type=2, subscribers=["bob"])
            await post(server, "/channel", channel_id="gone", channel_type=2, subscribers=["ann", "eve"], ban=1)
            for channel_id, reason_code in (("team", 3), ("gone", 19), ("none", 5)):
                codes = set()
                for client in (ann, eve):
                    with pytest.raises(RequestError) as refused:
                        await client.send(channel_id, b"hi", channel_type=2)
                    assert refused.value.reason_code == reason_code
                    codes.add(refused.value.code)
                assert len(codes) == 1


async def test_who_is_not_let_in_is_told_why(scheme: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            await post(server, "/user/token", uid="ann", token="right", device_flag=0, device_level=0)
            async with opened(server, scheme, "ann", token="right") as ann:
                await ann.ping()
            with pytest.raises(RequestError, match="AuthFail") as refused:
                async with opened(server, scheme, "ann", token="wrong"):
                    pass
            assert (refused.value.code, refused.value.reason_code) == (-32001, 2)
        async with open_test_server() as server:
            await post(server, "/channel/info", channel_id="ann", channel_type=1, ban=1)
            with pytest.raises(RequestError, match="Ban") as refused:
                async with opened(server, scheme, "ann"):
                    pass
            assert (refused.value.code, refused.value.reason_code) == (-32004, 19)


async def test_without_encryption_both_sides_must_agree(scheme: str) -> None:
    with trio.fail_after(10):
        async with open_test_server(encryption=False) as server:
            async with (
                opened(server, scheme, "ann", encryption=False) as ann,
                opened(server, scheme, "bob", encryption=False) as bob,
            ):
                await ann.send("bob", BINARY)
                assert await received(bob) == BINARY
            with pytest.raises(ConnectionClosed, match=r"does not encrypt.*encryption=False") as closed:
                async with opened(server, scheme, "ann"):
                    pass
            assert closed.value.code == 1002
        async with open_test_server() as server:
            with pytest.raises(RequestError, match="encryption=True") as refused:
                async with opened(server, scheme, "ann", encryption=False):
                    pass
            assert refused.value.reason_code == 21


async def test_over_tls(scheme: str, tmp_path: Path) -> None:
    secure = {"tcp": "tls", "ws": "wss"}[scheme]
    with trio.fail_after(10):
        async with open_secure_server(tmp_path) as server:
            trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            async with (
                opened(server, secure, "ann", ssl_context=trust) as ann,
                opened(server, secure, "bob", ssl_context=trust) as bob,
            ):
                await ann.send("bob", BINARY * 1000)
                assert await received(bob) == BINARY * 1000
                server.kick("bob", reason="be nice")
                with pytest.raises(ConnectionClosed, match="4003 be nice"):
                    await bob.__anext__()
                await ann.ping()


async def test_the_end_of_the_server_is_the_end(scheme: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, opened(server, scheme, "ann") as ann:
            server.shutdown()
            with pytest.raises(ConnectionClosed) as closed:
                await ann.__anext__()
            assert closed.value.code == {"tcp": 1006, "ws": 1001}[scheme]


async def test_the_server_sees_a_client_leave(scheme: str) -> None:
    gone = trio.Event()

    async def on_event(event: object) -> None:
        if type(event).__name__ == "SessionClosed":
            gone.set()

    with trio.fail_after(10):
        async with open_test_server(on_event=on_event) as server:
            async with opened(server, scheme, "ann"):
                pass
            await gone.wait()


async def test_there_are_no_other_requests(scheme: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, opened(server, scheme, "ann") as ann:
            with pytest.raises(ConfigError, match="protocol='jsonrpc'"):
                await ann.request("ping", {})
            await ann.ping()

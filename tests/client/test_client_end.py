"""Whatever ends a client's connection: every call that waits and every later one raises."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from stub_server import JsonPeer, Peer, deaf, open_port, open_stub_server, url_of

from wukong_trio import Client, ConnectionClosed, RequestError, open_client
from wukong_trio.client import client as client_module
from wukong_trio.client import outbox
from wukong_trio.client.client import State
from wukong_trio.testing import open_test_server

CALLS: list[Callable[[Client], Awaitable[object]]] = [
    lambda client: client.send("bob", b"hi"),
    lambda client: client.ping(),
    lambda client: client.__anext__(),
]


async def assert_over(client: Client, code: int, words: str = "connection closed") -> None:
    """Every later call raises, again and again."""
    for call in CALLS * 2:
        with pytest.raises(ConnectionClosed, match=words) as closed:
            await call(client)
        assert closed.value.code == code
    assert client.state is State.CLOSED


async def assert_all_raise(client: Client, code: int, words: str = "connection closed") -> None:
    """Calls that wait now, and later ones."""

    async def wait(call: Callable[[Client], Awaitable[object]]) -> None:
        with pytest.raises(ConnectionClosed) as closed:
            await call(client)
        assert closed.value.code == code

    async with trio.open_nursery() as nursery:
        for call in CALLS:
            nursery.start_soon(wait, call)
    await assert_over(client, code, words)


async def test_a_server_that_answers_no_ping_is_given_up_by_every_call(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(client_module, "PING_TIMEOUT_S", 0.1)
    with trio.fail_after(10):
        async with open_stub_server(deaf, protocol) as url, open_client(url, uid="ann") as ann:
            assert ann.state is State.OPEN
            await assert_all_raise(ann, 1006, "does not answer pings")


async def test_a_close_frame_ends_every_call() -> None:
    async def close(peer: Peer) -> None:
        await peer.hear()
        assert isinstance(peer, JsonPeer)
        await peer.websocket.aclose(4005, "slow consumer")

    with trio.fail_after(10):
        async with open_stub_server(close) as url, open_client(url, uid="ann") as ann:
            await assert_all_raise(ann, 4005, "slow consumer")


async def test_the_end_of_a_stream_ends_every_call() -> None:
    async def end(peer: Peer) -> None:
        await peer.hear()

    with trio.fail_after(10):
        async with open_stub_server(end, "wkproto") as url, open_client(url, uid="ann") as ann:
            await assert_all_raise(ann, 1006, "the server has ended the connection")


@pytest.mark.parametrize(
    ("protocol", "garbage", "code"),
    [
        ("jsonrpc", "not JSON", 1002),
        ("jsonrpc", "[1]", 1002),
        ("jsonrpc", '{"method":"recv","params":{"messageId":"x"}}', 1002),
        ("jsonrpc", b"\xff", 1002),
        ("jsonrpc", b"", 1002),
        ("wkproto", b"\x00", 1002),
        ("wkproto", b"\x50\x03abc", 1002),
        ("wkproto", b"\x90\x01\x0c", 1002),
        ("wkproto", b"\x50\x80\x80\x80\x80", 1002),
        ("wkproto", b"\x50\x81\x80\x40", 1009),
        ("wkproto", b"\x70", 1002),
        ("wkproto", b"\x30\x0f" + bytes(15), 1002),
    ],
)
async def test_a_server_that_talks_nonsense_ends_every_call(protocol: str, garbage: str | bytes, code: int) -> None:
    async def talk(peer: Peer) -> None:
        await peer.say(garbage)
        await deaf(peer)

    words = {"jsonrpc": "no JSON-RPC", "wkproto": "no WKProto"}[protocol]
    with trio.fail_after(10):
        async with open_stub_server(talk, protocol) as url, open_client(url, uid="ann") as ann:
            await assert_all_raise(ann, code, words)


async def ping_for_ever(client: Client) -> None:
    while True:
        await client.ping()


async def test_a_frame_that_is_none_ends_every_call() -> None:
    async def talk(peer: Peer) -> None:
        assert isinstance(peer, JsonPeer)
        await peer.websocket._stream.send_all(b"\xff\xff\xff")
        await deaf(peer)

    with trio.fail_after(10):
        async with open_stub_server(talk) as url, open_client(url, uid="ann") as ann:
            for _ in range(2):
                with pytest.raises(ConnectionClosed):
                    await ping_for_ever(ann)


async def test_a_kick_arrives_with_its_reason(protocol: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, open_client(url_of(server, protocol), uid="ann") as ann:
            server.kick("ann", reason="be nice")
            with pytest.raises(ConnectionClosed) as closed:
                await ann.__anext__()
            assert (closed.value.code, closed.value.reason, closed.value.reason_code) == (4003, "be nice", 12)
            await assert_over(ann, 4003, "be nice")


async def test_a_notice_counts_even_if_the_connection_stays_open(protocol: str) -> None:
    async def kick(peer: Peer) -> None:
        await peer.notice(12, "be nice")
        await deaf(peer)

    with trio.fail_after(10):
        async with open_stub_server(kick, protocol) as url, open_client(url, uid="ann") as ann:
            await assert_all_raise(ann, 4003, "be nice")


async def test_after_the_block_every_call_raises(protocol: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            async with open_client(url_of(server, protocol), uid="ann") as ann:
                pass
            await assert_over(ann, 1000)
            with pytest.raises(ConnectionClosed):
                await ann.request("nonsense", {})


async def test_what_was_received_is_acknowledged_before_the_client_leaves(protocol: str) -> None:
    seen: list[str] = []

    async def greet(peer: Peer) -> None:
        await peer.push(1)
        seen.append((await peer.hear()).what)

    with trio.fail_after(20):
        async with open_stub_server(greet, protocol) as url:
            for _ in range(20):  # which task runs first is chance
                async with open_client(url, uid="ann") as ann:
                    await ann.__anext__()
    assert seen == ["recvack"] * 20


async def test_a_repeated_push_is_given_and_acknowledged_again(protocol: str) -> None:
    async def repeat(peer: Peer) -> None:
        for _ in range(2):
            await peer.push(7)
            assert (await peer.hear()).what == "recvack"
        await deaf(peer)

    with trio.fail_after(10):
        async with open_stub_server(repeat, protocol) as url, open_client(url, uid="ann") as ann:
            assert [(await ann.__anext__()).message_id for _ in range(2)] == [7, 7]


async def test_a_server_that_does_not_read_holds_nobody_for_long(protocol: str) -> None:
    async def deaf_and_blind(_peer: Peer) -> None:
        await trio.sleep_forever()

    with trio.fail_after(10):
        async with open_stub_server(deaf_and_blind, protocol) as url, open_client(url, uid="ann") as ann:
            with trio.move_on_after(0.1):
                async with trio.open_nursery() as nursery:
                    for _ in range(20):
                        nursery.start_soon(ann.send, "bob", b"x" * 700_000)


async def test_who_waits_until_there_is_room_hears_of_the_end(protocol: str) -> None:
    async def deaf_and_rude(peer: Peer) -> None:
        await peer.hear()
        await peer.notice(12, "be nice")
        await trio.sleep_forever()

    async def send(ann: Client) -> None:
        with pytest.raises(ConnectionClosed, match="be nice"):
            await ann.send("bob", b"x" * 700_000)

    with trio.fail_after(10):
        async with (
            open_stub_server(deaf_and_rude, protocol) as url,
            open_client(url, uid="ann") as ann,
            trio.open_nursery() as nursery,
        ):
            for _ in range(20):
                nursery.start_soon(send, ann)


async def test_a_cancelled_send_leaves_the_connection_whole(protocol: str) -> None:
    seen: list[str] = []
    release = trio.Event()

    async def slow(peer: Peer) -> None:
        await release.wait()
        while True:
            heard = await peer.hear()
            seen.append(heard.what)
            await peer.answer(heard)

    with trio.fail_after(10):
        async with open_stub_server(slow, protocol) as url, open_client(url, uid="ann") as ann:
            # Far more than the sockets take, so that some of it is being written when it is given up.
            with trio.move_on_after(0.1):
                async with trio.open_nursery() as nursery:
                    for _ in range(40):
                        nursery.start_soon(ann.send, "bob", b"x" * 500_000)
                    nursery.start_soon(ann.ping)
            release.set()
            await ann.ping()
    assert set(seen) == {"send", "ping"}


async def test_requests_wait_while_the_server_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    box = outbox.Outbox()
    monkeypatch.setattr(outbox, "REQUEST_BYTES", 10)
    await box.put(lambda: b"x" * 11)
    with trio.move_on_after(0.01) as scope:
        await box.put(lambda: b"y")
    assert scope.cancelled_caught
    box.written(await box.take())
    await box.put(lambda: b"y")
    monkeypatch.setattr(outbox, "RECEIPT_BYTES", 2)
    assert [box.put_receipt(b"r") for _ in range(3)] == [True, True, False]


async def test_the_reason_of_a_refusal_is_told_and_the_body_of_the_block_keeps_its_errors(protocol: str) -> None:
    with trio.fail_after(10):
        async with open_test_server(authenticate=_refuse) as server:
            with pytest.raises(RequestError) as refused:
                async with open_client(url_of(server, protocol), uid="ann"):
                    pass
            assert (refused.value.code, refused.value.reason_code) == (-32001, 2)
        async with open_test_server() as server:
            with pytest.raises(RequestError, match="mine"):
                async with open_client(url_of(server, protocol), uid="ann"):
                    raise RequestError(1, "mine")


async def _refuse(_info: object) -> bool:
    return False


@pytest.mark.parametrize("error", [trio.BrokenResourceError(), OSError(), ConnectionClosed(1, "mine")])
async def test_errors_of_the_block_pass(error: Exception, protocol: str) -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            with pytest.raises(type(error)):
                async with open_client(url_of(server, protocol), uid="ann"):
                    raise error


@pytest.mark.parametrize(
    ("scheme", "words"), [("ws", "no WebSocket handshake"), ("tcp", "the server does not answer connect")]
)
async def test_a_server_that_never_answers_connect_is_named(scheme: str, words: str) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await trio.sleep_forever()

    with trio.fail_after(10):
        async with open_port(silent) as place:
            with pytest.raises(ConnectionClosed, match=rf"{words} \(0.1 s\)"):
                async with open_client(f"{scheme}://{place}", uid="ann", connect_timeout_s=0.1):
                    pass


async def test_many_clients_leave_no_task_behind(protocol: str) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(10):
        async with open_stub_server(deaf, protocol) as url, trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(_visit, url)
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def _visit(url: str) -> None:
    with pytest.raises(KeyError):
        async with open_client(url, uid="ann"):
            raise KeyError

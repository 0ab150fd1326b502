"""A server inside a Trio program: hooks, errors, cancellation, TLS, and the client."""

import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from common import person

from wukong_trio import (
    Address,
    ConfigError,
    ConnectInfo,
    ConnectionClosed,
    Listeners,
    MessageAccepted,
    ReasonCode,
    RequestError,
    SendCommand,
    SessionClosed,
    SessionOpened,
    StoreError,
    open_client,
    open_server,
)
from wukong_trio.model import Message
from wukong_trio.store.memory import MemoryStore
from wukong_trio.testing import config_for_tests, open_raw_client, open_test_server


async def test_a_program_sends_and_clients_receive() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, open_client(server.endpoints.ws, uid="bob") as bob:
            result = await server.send(person(b"hi"))
            received = await bob.__anext__()
            assert (result.reason_code, result.message_seq) == (ReasonCode.SUCCESS, 1)
            assert (received.message_id, received.payload, received.channel_id) == (result.message_id, b"hi", "robot")
            assert server.statistics().stored == server.statistics().delivered == 1


async def test_many_sends_at_once_share_commits() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            async with trio.open_nursery() as nursery:
                for _ in range(500):
                    nursery.start_soon(server.send, person())
            assert server.statistics().stored == 500
            assert server.statistics().commits < 50


async def test_authenticate_decides_who_may_connect() -> None:
    seen: list[ConnectInfo] = []

    async def authenticate(info: ConnectInfo) -> bool:
        seen.append(info)
        if info.uid == "broken":
            raise ValueError("no idea")
        if info.uid == "slow":
            await trio.sleep_forever()
        return info.token == "good"

    with trio.fail_after(10):
        async with open_test_server(authenticate=authenticate, hook_timeout_s=0.1) as server:
            url = server.endpoints.ws
            async with open_client(url, uid="ann", token="good", device_id="d1", device_flag=1):
                assert (seen[0].uid, seen[0].device_id, seen[0].device_flag) == ("ann", "d1", 1)
                assert "good" not in repr(seen[0])
            trouble = (-32603, ReasonCode.SYSTEM_ERROR)
            for uid, told in {"eve": (-32001, ReasonCode.AUTH_FAIL), "broken": trouble, "slow": trouble}.items():
                with pytest.raises(RequestError) as error:
                    async with open_client(url, uid=uid, token="bad"):
                        pass
                assert (error.value.code, error.value.reason_code) == told
            with pytest.raises(RequestError):
                async with open_client(url, uid="____system", token="good"):
                    pass


async def test_before_send_changes_and_refuses() -> None:
    async def before_send(command: SendCommand) -> SendCommand | ReasonCode | None:
        match command.payload:
            case b"rude":
                return ReasonCode.NOT_ALLOW_SEND
            case b"loud":
                return person(b"quiet", command.from_uid)
            case b"bug":
                raise ValueError("a bug in the hook")
            case b"slow":
                await trio.sleep_forever()
        return None

    with trio.fail_after(10):
        async with (
            open_test_server(before_send=before_send, hook_timeout_s=0.1) as server,
            open_client(server.endpoints.ws, uid="ann") as ann,
            open_client(server.endpoints.ws, uid="bob") as bob,
        ):
            for payload, code, reason in (
                (b"rude", -32004, ReasonCode.NOT_ALLOW_SEND),
                (b"bug", -32603, ReasonCode.SYSTEM_ERROR),
                (b"slow", -32603, ReasonCode.SYSTEM_ERROR),
            ):
                with pytest.raises(RequestError) as error:
                    await ann.send("bob", payload)
                assert (error.value.code, error.value.reason_code) == (code, reason)
            await ann.send("bob", b"loud")
            await ann.send("bob", b"plain")
            assert [(await bob.__anext__()).payload for _ in range(2)] == [b"quiet", b"plain"]


async def test_before_send_keeps_order_and_holds_up_nobody_else() -> None:
    release = trio.Event()

    async def before_send(command: SendCommand) -> None:
        if command.from_uid == "ann":
            await release.wait()

    async def send(number: int, uid: str) -> None:
        params = {"clientMsgNo": f"m{number}", "channelId": "bob", "channelType": 1, "payload": "e30="}
        await clients[uid].send({"id": f"s{number}", "method": "send", "params": params})

    with trio.fail_after(10):
        async with (
            open_test_server(before_send=before_send) as server,
            open_raw_client(server.endpoints.ws) as ann,
            open_raw_client(server.endpoints.ws) as cid,
        ):
            clients = {"ann": ann, "cid": cid}
            await ann.connect("ann")
            await cid.connect("cid")
            for number in range(20):
                await send(number, "ann")
            await ann.send({"id": "p", "method": "ping"})
            await send(99, "cid")
            assert (await cid.receive())["id"] == "s99", "another connection does not wait"
            release.set()
            answers = [await ann.receive() for _ in range(21)]
            assert [answer["id"] for answer in answers] == [*(f"s{n}" for n in range(20)), "p"]
            assert [answer["result"]["messageSeq"] for answer in answers[:20]] == list(range(1, 21))


async def test_on_event_is_told_what_happens() -> None:
    events: list[object] = []
    done = trio.Event()

    async def on_event(event: object) -> None:
        events.append(event)
        if isinstance(event, SessionClosed):
            done.set()
        if isinstance(event, MessageAccepted):
            raise ValueError("a bug in the hook harms nobody")

    with trio.fail_after(10):
        async with open_test_server(on_event=on_event) as server:
            async with open_client(server.endpoints.ws, uid="ann", device_id="d", device_flag=1) as ann:
                await ann.send("bob", b"hi")
            await done.wait()
    opened, accepted, closed = events
    assert isinstance(opened, SessionOpened)
    assert isinstance(closed, SessionClosed)
    for event in (opened, closed):
        assert (event.session_id, event.uid, event.device_flag, event.device_id) == (1, "ann", 1, "d")
        assert event.remote_address.startswith("127.0.0.1")
    assert 0 < closed.duration_s < 10
    assert closed.close_code in (1000, 1006)
    assert isinstance(accepted, MessageAccepted)
    assert accepted.message.payload == b"hi"


async def test_kick() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server, open_client(server.endpoints.ws, uid="ann", device_flag=1) as ann:
            assert server.kick("ann", device_flag=0) == 0
            assert server.kick("ann", reason="go") == 1
            with pytest.raises(ConnectionClosed) as closed:
                await ann.__anext__()
            assert closed.value.code == 4003


async def test_two_servers_do_not_know_each_other() -> None:
    with trio.fail_after(10):
        async with (
            open_test_server() as one,
            open_test_server() as other,
            open_client(other.endpoints.ws, uid="bob") as bob,
        ):
            await one.send(person(b"one"))
            await other.send(person(b"other"))
            assert (await bob.__anext__()).payload == b"other"
            assert one.statistics().sessions == 0


async def test_leaving_the_block_leaves_nothing_behind(tmp_path: Path) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(10):
        async with open_test_server(data_dir=tmp_path) as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann")
            server.shutdown()
            assert (await ann.wait_closed()).code == 1001
            await ann.send_close(1001)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        with pytest.raises(OSError, match="connect"):
            async with open_raw_client(server.endpoints.ws):
                pass


async def test_cancelling_answers_what_is_under_way(tmp_path: Path) -> None:
    with trio.fail_after(10), trio.CancelScope() as scope:
        async with open_test_server(data_dir=tmp_path) as server:
            with trio.CancelScope(shield=True):
                async with open_raw_client(server.endpoints.ws) as ann:
                    await ann.connect("ann")
                    params = {"clientMsgNo": "m", "channelId": "bob", "channelType": 1, "payload": "e30="}
                    await ann.send({"id": "s", "method": "send", "params": params})
                    scope.cancel()
                    assert (await ann.receive())["id"] == "s"
                    assert (await ann.wait_closed()).code == 1001
                    await ann.send_close(1001)
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_silent_client_delays_the_end_for_a_bounded_time() -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(10))
        async with open_test_server(drain_timeout_s=0.5, limits={"close_timeout_s": 60}) as server:
            ann = await stack.enter_async_context(open_raw_client(server.endpoints.ws))
            await ann.connect("ann")
            server.shutdown()
            assert (await ann.wait_closed()).code == 1001
            start = trio.current_time()
        # The closing handshake, which ann never answers, may take a minute; the drain timeout cuts it short.
        assert trio.current_time() - start < 5


async def test_errors_arrive_as_they_are() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            port = int(server.endpoints.ws.rpartition(":")[2])
            taken = config_for_tests(listeners=Listeners(http=None, tcp=None, ws=Address("127.0.0.1", port)))
            with pytest.raises(ConfigError, match="in use"):
                async with open_server(taken):
                    pass
        with pytest.raises(KeyError, match="mine"):
            async with open_test_server():
                raise KeyError("mine")
        for address in (Address("192.0.2.1", 0), Address("no.such.host.invalid", 0)):
            with pytest.raises(ConfigError, match="wsAddr"):
                async with open_test_server(listeners=Listeners(http=None, tcp=None, ws=address)):
                    pass


async def test_a_store_that_fails_is_an_error_of_the_send() -> None:
    class Broken(MemoryStore):
        broken = True

        async def append_messages(self, drafts: Sequence[Message], **terms: Any) -> Sequence[int]:
            if self.broken:
                raise StoreError("no")
            return await super().append_messages(drafts, **terms)

    store = Broken()
    with trio.fail_after(10):
        async with open_test_server(store=store) as server, open_client(server.endpoints.ws, uid="ann") as ann:
            with pytest.raises(StoreError):
                await server.send(person())
            with pytest.raises(RequestError) as error:
                await ann.send("bob", b"")
            assert (error.value.code, error.value.reason_code) == (-32603, ReasonCode.SYSTEM_ERROR)
            store.broken = False
            assert (await ann.send("bob", b"")).message_seq == 1


async def test_wss(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    any_port = Address("127.0.0.1", 0)
    listeners = Listeners(http=None, tcp=None, ws=any_port, wss=any_port, cert_file=cert, key_file=key)
    with trio.fail_after(10):
        async with (
            open_test_server(listeners=listeners) as server,
            open_client(server.endpoints.wss, uid="ann", ssl_context=trust) as ann,
            open_client(server.endpoints.ws, uid="bob") as bob,
        ):
            await ann.send("bob", b"secret")
            assert (await bob.__anext__()).payload == b"secret"
        key.write_text("not a key")
        with pytest.raises(ConfigError, match=r"wssConfig.*key"):
            async with open_test_server(listeners=listeners):
                pass


async def test_a_client_without_a_server_says_so() -> None:
    with trio.fail_after(10):
        with pytest.raises(ConnectionClosed, match="no connection"):
            async with open_client("ws://127.0.0.1:1", uid="ann"):
                pass
        async with open_test_server() as server:
            with pytest.raises(OSError, match="mine"):
                async with open_client(server.endpoints.ws, uid="ann"):
                    raise OSError("mine")

"""Statements 114-120: devices, kicks, slow consumers."""

import pytest
import trio
from steps import OpenServer, group, online, post, receive_for_ever, refused, send_params, sent

from wukong_trio.testing import RawClient, SocketClosed, open_raw_client


async def kicked(client: RawClient, reason: str) -> None:
    """A notice as the last frame, then close 4003."""
    notice = await client.receive()
    assert notice == {"jsonrpc": "2.0", "method": "disconnect", "params": {"reasonCode": 12, "reason": reason}}
    with trio.fail_after(2):
        assert (await client.wait_closed()).code == 4003


async def test_j114_j115_masters(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        open_raw_client(server.endpoints.ws) as one,
        open_raw_client(server.endpoints.ws) as two,
        open_raw_client(server.endpoints.ws) as again,
        open_raw_client(server.endpoints.ws) as nameless,
    ):
        await post(server, "/user/token", {"uid": "ann", "token": "t", "device_level": 1})
        await one.sdk_connect("ann", "d1")
        await two.sdk_connect("ann", "d2")
        await kicked(one, "login in other device")
        await two.ping()
        await again.sdk_connect("ann", "d2")
        assert (await two.wait_closed()).code == 4006
        await nameless.connect("ann")
        await kicked(again, "login in other device")
        await nameless.ping()


async def test_j116_slaves(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        open_raw_client(server.endpoints.ws) as one,
        open_raw_client(server.endpoints.ws) as again,
        open_raw_client(server.endpoints.ws) as other,
        open_raw_client(server.endpoints.ws) as web,
    ):
        await one.sdk_connect("ann", "d1")
        await other.sdk_connect("ann", "d2")
        await web.sdk_connect("ann", "d1", device_flag=1)
        await again.sdk_connect("ann", "d1")
        closed = await one.wait_closed()
        assert (closed.code, closed.reason) == (4006, "replaced")
        for client in (again, other, web):
            await client.ping()


async def test_j117_j118_device_quit(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        open_raw_client(server.endpoints.ws) as app,
        open_raw_client(server.endpoints.ws) as web,
        online(server, "bob") as (bob,),
    ):
        for device_flag in (0, 1):
            await post(server, "/user/token", {"uid": "ann", "token": "t", "device_flag": device_flag})
        await app.sdk_connect("ann")
        await web.sdk_connect("ann", device_flag=1)
        await post(server, "/user/device_quit", {"uid": "ann", "device_flag": 0})
        await kicked(app, "device quit")
        await sent(bob, "ann")
        assert (await web.receive())["method"] == "recv"
        await web.ping()


async def test_a_new_master_token_kicks(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        await post(server, "/user/token", {"uid": "ann", "token": "t", "device_level": 0})
        await ann.ping()
        await post(server, "/user/token", {"uid": "ann", "token": "t", "device_level": 1, "device_flag": 1})
        await ann.ping()
        await post(server, "/user/token", {"uid": "ann", "token": "t", "device_level": 1})
        await kicked(ann, "账号在其他设备上登录")


async def test_j118_what_waits_is_written_before_the_notice(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        for n in range(50):
            await ann.send({"id": str(n), "method": "send", "params": send_params(number=f"m{n}")})
        for _ in range(50):
            await ann.receive()
        assert server.kick("bob", reason="go") == 1
        await sent(ann, number="late")
        assert [(await bob.receive())["params"]["messageSeq"] for _ in range(50)] == list(range(1, 51))
        await kicked(bob, "go")


async def test_j119_the_device_id_of_the_system(open_server: OpenServer) -> None:
    async with (
        open_server() as server,
        open_raw_client(server.endpoints.ws) as one,
        open_raw_client(server.endpoints.ws) as two,
    ):
        await group(server, "bob")
        for client in (one, two):
            await client.connect("ann", deviceId="____device")
        assert await refused(one, "g", 2) == (-32004, 3)
        await sent(one, "bob")


async def test_j120_a_client_that_does_not_read(open_server: OpenServer) -> None:
    payload = "A" * 40_000
    async with (
        open_server() as server,
        online(server, "ann", "bob", "deaf") as (ann, bob, deaf),
    ):
        await group(server, "ann", "bob", "deaf")

        async def read_all(client: RawClient, count: int) -> None:
            for _ in range(count):
                await client.receive()

        for start in range(0, 2000, 50):
            for n in range(start, start + 50):
                params = send_params("g", 2, f"m{n}", header={"noPersist": True}) | {"payload": payload}
                await ann.send({"id": str(n), "method": "send", "params": params})
            # Together, because both read as fast as they can, but not as fast as the server writes.
            with trio.fail_after(2):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(read_all, ann, 50)
                    nursery.start_soon(read_all, bob, 50)
        assert server.statistics().sessions == 2, "the client that does not read is gone"
        with pytest.raises(SocketClosed, match=r"4005|1006"):
            await receive_for_ever(deaf)


async def test_j120_the_close_code_of_a_slow_consumer(open_server: OpenServer) -> None:
    limits = {"outbox_bytes": 200_000, "close_timeout_s": 5}
    async with open_server(limits=limits) as server, online(server, "ann", "deaf") as (ann, deaf):
        payload = "A" * 400_000
        for n in range(100):
            await sent(ann, "deaf", number=f"m{n}", payload=payload, header={"noPersist": True})
            if server.statistics().sessions == 1:
                break
        with pytest.raises(SocketClosed, match="4005 slow consumer"):
            await receive_for_ever(deaf)
        assert server._parts.gateway.statistics.slow_clients == 1

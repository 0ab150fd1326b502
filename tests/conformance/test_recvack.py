"""Statements 103-110: recvack and repetitions."""

import pytest
import trio
from steps import OpenServer, OpenServers, on_each, online, sent

from wukong_trio import Server
from wukong_trio.testing import RawClient

RETRY = {"interval_s": 0.4, "max_count": 5}


async def nothing_for(client: RawClient, seconds: float) -> None:
    """Passes time and then shows that nothing came meanwhile."""
    await trio.sleep(seconds)
    await client.ping()


async def acknowledge(client: RawClient, message_id: object) -> None:
    await client.send({"method": "recvack", "params": {"messageId": message_id, "messageSeq": 1}})


async def test_j103_repetitions(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann", "sdk:bob") as (ann, bob):
            await sent(ann, header={"redDot": True})
            first, last = await bob.receive(), trio.current_time()
            for _ in range(5):
                again, now = await bob.receive(), trio.current_time()
                assert 0.3 < now - last < 0.8
                last = now
                assert again["params"]["header"]["dup"] is True
                again["params"]["header"]["dup"] = False
                assert again == first
            await nothing_for(bob, 1)

    async with open_servers(message_retry=RETRY) as servers:
        await on_each(servers, step)


@pytest.mark.parametrize("convert", [str, int])
async def test_j104_j105_an_acknowledged_message_is_not_repeated(open_servers: OpenServers, convert: type) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann", "sdk:bob") as (ann, bob):
            await sent(ann)
            message_id = convert((await bob.receive())["params"]["messageId"])
            await acknowledge(bob, message_id)
            await nothing_for(bob, 1)
            assert (await bob.call("recvack", {"messageId": message_id}))["result"] == {}

    async with open_servers(message_retry=RETRY) as servers:
        await on_each(servers, step)


async def test_j106_strange_acknowledgements(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "sdk:bob") as (bob,):
        for params in ({"messageId": "123"}, {"messageId": "x"}, {"messageId": -1}, {}, None, {"messageId": "²"}):
            await bob.send({"method": "recvack", "params": params})
        await bob.send({"method": "recvack"})
        await bob.ping()


async def test_j106_an_endless_number_is_ignored(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "sdk:bob") as (ann, bob):
        await sent(ann)
        await bob.receive()
        await acknowledge(bob, "9" * 5000)
        await bob.ping()


async def test_j107_each_connection_for_itself(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann", "sdk:bob", "sdk:bob") as (ann, one, two):
            await sent(ann)
            await acknowledge(one, (await one.receive())["params"]["messageId"])
            await two.receive()
            assert (await two.receive())["params"]["header"]["dup"] is True
            await one.ping()
            async with online(server, "sdk:bob") as (three,):
                await nothing_for(three, 1)
            assert (await two.receive())["params"]["header"]["dup"] is True

    async with open_servers(message_retry=RETRY) as servers:
        await on_each(servers, step)


async def test_j110_a_new_connection_gets_no_repetition(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann") as (ann,):
            async with online(server, "sdk:bob") as (bob,):
                await sent(ann)
                await bob.receive()
            async with online(server, "sdk:bob") as (bob,):
                await nothing_for(bob, 1)

    async with open_servers(message_retry=RETRY) as servers:
        await on_each(servers, step)


async def test_j108_the_published_form_repeats_after_the_first_acknowledgement(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann", "bob") as (ann, bob):
            await sent(ann, number="1")
            message_id = (await bob.receive())["params"]["messageId"]
            await nothing_for(bob, 1)
            await acknowledge(bob, message_id)
            await sent(ann, number="2")
            assert (await bob.receive())["params"]["header"]["dup"] is False
            again = (await bob.receive())["params"]
            assert (again["clientMsgNo"], again["header"]["dup"]) == ("2", True)

    async with open_servers(message_retry=RETRY) as servers:
        await on_each(servers, step)


async def test_j109_what_is_not_stored_is_not_repeated(open_servers: OpenServers) -> None:
    async def step(server: Server) -> None:
        async with online(server, "ann", "sdk:bob") as (ann, bob):
            await sent(ann, header={"noPersist": True})
            await bob.receive()
            await nothing_for(bob, 1)

    async with open_servers(message_retry=RETRY) as servers:
        await on_each(servers, step)

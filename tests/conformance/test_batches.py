"""What a batch counts for, and where it ends (contract 1.6, 1.7)."""

from typing import Any

from steps import OpenServer, history, online, send_params

UNKNOWN = {"id": "x", "method": "nosuch"}


def codes_of(answers: list[dict[str, Any]]) -> list[int]:
    return [answer["error"]["code"] for answer in answers]


async def test_j051_a_batch_is_one_erroneous_frame_however_much_is_wrong_in_it(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for _ in range(16):
            await ann.send([UNKNOWN] * 20)
            assert codes_of(await ann.receive()) == [-32601] * 20
        await ann.ping()
        await ann.send([5, {"id": "p", "method": "ping"}])
        assert [answer.get("error", {}).get("code") for answer in await ann.receive()] == [-32007, None]
        assert (await ann.wait_closed()).code == 1008


async def test_a_batch_that_only_has_wrong_parameters_counts_for_nothing(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann") as (ann,):
        for _ in range(20):
            await ann.send([{"id": "x", "method": "send"}, {"method": "nosuch"}])
            assert codes_of(await ann.receive()) == [-32002]
        await ann.ping()


async def test_nothing_behind_a_disconnect_in_a_batch_is_served(open_server: OpenServer) -> None:
    async with open_server() as server, online(server, "ann", "bob") as (ann, bob):
        await ann.send(
            [
                {"id": "s1", "method": "send", "params": send_params(number="1")},
                {"id": "d", "method": "disconnect"},
                {"id": "s2", "method": "send", "params": send_params(number="2")},
                UNKNOWN,
            ]
        )
        first, second = await ann.receive()
        assert (first["id"], first["result"]["messageSeq"]) == ("s1", 1)
        assert (second["id"], second["result"]) == ("d", {})
        assert (await ann.wait_closed()).code == 1000
        assert (await bob.receive())["params"]["messageSeq"] == 1
        assert len(await history(server, "bob")) == 1

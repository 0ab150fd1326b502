"""The data directory of a running server is taken away: nothing is acknowledged, everybody is told, and it recovers."""

import shutil
from pathlib import Path

import httpx
import pytest
import trio
from crashes import read_channel

from wukong_trio import ConfigError, RequestError, open_client, open_store
from wukong_trio.testing import open_test_server


async def test_sends_are_refused_while_the_data_are_away_and_work_again_by_themselves(
    tmp_path: Path, engine: str
) -> None:
    data, away = tmp_path / "data", tmp_path / "away"
    with trio.fail_after(30):
        async with (
            open_test_server(data_dir=data, engine=engine) as server,
            open_client(server.endpoints.ws, uid="ann") as ann,
            httpx.AsyncClient(base_url=server.endpoints.http) as http,
        ):
            sent = [await ann.send("bob", b"1")]
            shutil.move(data, away)
            for _ in range(3):
                with pytest.raises(RequestError) as refused:
                    await ann.send("bob", b"2")
                assert refused.value.code == -32603
            health = await http.get("/health")
            assert health.status_code == 500
            assert (await http.get("/readyz")).status_code == 503
            shutil.move(away, data)
            # Nobody sends: what asks whether the server is ready must see it recover all the same.
            while (await http.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - a load balancer polls
                await trio.sleep(0.05)
            assert (await http.get("/health")).status_code == 200
            sent.append(await ann.send("bob", b"3"))
            found = await read_channel(http, "ann", "bob", 1)
            assert [m["message_id"] for m in found] == [s.message_id for s in sent]
            assert [m["message_seq"] for m in found] == [1, 2]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_store_serves_one_server_at_a_time(tmp_path: Path, kind: str) -> None:
    async with open_store(None if kind == "memory" else tmp_path) as store:
        for _ in range(2):
            async with open_test_server(store=store) as server:
                with pytest.raises(ConfigError, match="another server is using it"):
                    async with open_test_server(store=store):
                        pass
                async with open_client(server.endpoints.ws, uid="ann") as ann:
                    await ann.send("bob", b"1")

"""What happens to a user's sessions while another one of his is being authenticated concerns that one too."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import trio

from wukong_trio.store import MemoryStore
from wukong_trio.store.base import Login
from wukong_trio.testing import open_raw_client, open_test_server


class SlowLogins(MemoryStore):
    """Looks logins up at once, and answers when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.looked_up, self.may_answer = trio.Event(), trio.Event()
        self.look_ups = 0

    async def load_logins(self, keys: Sequence[tuple[str, int]]) -> list[Login]:
        logins = await super().load_logins(keys)
        self.look_ups += 1
        self.looked_up.set()
        await self.may_answer.wait()
        return logins


CONNECT = {"id": "c", "method": "connect", "params": {"uid": "ann", "token": "secret"}}


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("path", "body", "reason", "look_ups"),
    [
        ("/channel/info", {"channel_id": "ann", "channel_type": 1, "ban": 1}, 19, 2),
        ("/user/device_quit", {"uid": "ann", "device_flag": 0}, 2, 2),
        ("/user/device_quit", {"uid": "ann", "device_flag": -1}, 2, 2),
        ("/user/device_quit", {"uid": "ann", "device_flag": 1}, 0, 1),
        ("/user/device_quit", {"uid": "bob", "device_flag": 0}, 0, 1),
    ],
)
async def test_a_ban_or_quit_during_connect_holds(
    engine: str, path: str, body: dict[str, Any], reason: int, look_ups: int
) -> None:
    store = SlowLogins()
    with trio.fail_after(10):
        async with (
            open_test_server(engine=engine, store=store, auth={"token_auth": "on"}) as server,
            httpx.AsyncClient(base_url=server.endpoints.http) as http,
            open_raw_client(server.endpoints.ws) as ann,
        ):
            assert (await http.post("/user/token", json={"uid": "ann", "token": "secret"})).status_code == 200
            await ann.send(CONNECT)
            await store.looked_up.wait()
            assert (await http.post(path, json=body)).status_code == 200
            store.may_answer.set()
            answer = await ann.receive()
            if reason:
                assert answer["error"]["data"]["reasonCode"] == reason
                assert (await ann.wait_closed()).code == 4002
            else:
                assert "result" in answer
            assert store.look_ups == look_ups

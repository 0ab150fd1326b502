"""What CONNECT has to say, what it is answered, and what is looked at first (section 12.2)."""

from typing import Any

import pytest
from places import OpenPlace, Place, received, sent

from wukong_trio import ConnectInfo, StoreError
from wukong_trio.store import MemoryStore

WITHOUT_KEY = {"client_key": ""}
"""Whoever gets as far as the key is answered 21."""


async def answer(place: Place, uid: str, **fields: Any) -> int:
    """What a CONNECT is answered; after a refusal the connection has to end."""
    async with place.stranger() as client:
        connack = await client.try_connect(uid, **fields)
        if connack.reason_code != 1:
            await place.ended(client, 4002)
        return connack.reason_code


async def test_a_uid_is_looked_at_first(open_place: OpenPlace) -> None:
    async with open_place() as place:
        for uid in ("", " ", "\t", "a@b", "#", "a&", "a\x00b", "____system", "____x", "u" * 513, "é" * 257):
            assert await answer(place, uid, **WITHOUT_KEY) == 2, uid


async def test_d29_longest_uid_and_device_id(open_place: OpenPlace) -> None:
    async with open_place() as place:
        assert await answer(place, "u" * 512, device_id="d" * 512, token="t" * 4096) == 1
        assert await answer(place, "é" * 256) == 1
        assert await answer(place, "ann", device_id="d" * 513) == 2
        assert await answer(place, "ann", token="t" * 4097) == 2


async def test_the_manager(open_place: OpenPlace) -> None:
    async with open_place(auth={"manager_token": "secret"}) as place:
        assert await answer(place, "____manager", token="secret") == 1
        assert await answer(place, "____manager", token="secret", **WITHOUT_KEY) == 21
        for token in ("", "other"):
            assert await answer(place, "____manager", token=token, **WITHOUT_KEY) == 2
    async with open_place() as place:
        assert await answer(place, "____manager", token="") == 2


async def token(place: Place, value: str = "secret", **more: Any) -> None:
    await place.post("/user/token", {"uid": "ann", "token": value, **more})


async def test_tokens(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await token(place)
        await token(place, "web", device_flag=1)
        assert await answer(place, "ann", token="secret") == 1
        assert await answer(place, "ann", token="web", device_flag=1) == 1
        for wrong, flag in (("", 0), ("other", 0), ("web", 0), ("secret", 1), ("secret", 2), ("secret", 99)):
            assert await answer(place, "ann", token=wrong, device_flag=flag, **WITHOUT_KEY) == 2
        assert await answer(place, "ann___vstr", token="") == 1


async def test_every_device_flag(open_native: OpenPlace) -> None:
    async with open_native() as place:
        for flag in range(256):
            assert await answer(place, "ann", device_flag=flag) == 1


async def test_a_wrong_token_is_named_before_a_ban_and_a_ban_before_the_key(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await token(place)
        await place.post("/channel/info", {"channel_id": "ann", "channel_type": 1, "ban": 1})
        assert await answer(place, "ann", token="other") == 2
        for fields in ({}, WITHOUT_KEY, {"client_key": "nonsense"}):
            assert await answer(place, "ann", token="secret", **fields) == 19


async def test_the_key_is_looked_at_before_anybody_is_sent_away(open_place: OpenPlace) -> None:
    async with open_place() as place:
        await token(place, device_level=1)
        async with place.online("ann", "bob", token="secret", device_id="d1") as (ann, bob):
            for device_id in ("d1", "d2"):
                assert await answer(place, "ann", token="secret", device_id=device_id, **WITHOUT_KEY) == 21
                assert await answer(place, "ann", token="secret", device_id=device_id, client_key="A") == 2
            await received(ann, await sent(bob, to="ann"))


@pytest.mark.parametrize(("token_auth", "level"), [("on", 1), ("off", 0)])
async def test_the_level_comes_with_the_token(open_place: OpenPlace, token_auth: str, level: int) -> None:
    async with open_place(auth={"token_auth": token_auth}) as place:
        await token(place, "t", device_level=1)
        async with place.online("ann", device_id="d1") as (one,), place.online("ann", device_id="d2"):
            if level:
                assert (await one.receive()).reason_code == 12  # type: ignore[union-attr]
            else:
                await one.ping()


async def test_whom_the_hook_refuses(open_place: OpenPlace) -> None:
    async def authenticate(info: ConnectInfo) -> bool:
        return info.token == "right"

    async with open_place(authenticate=authenticate) as place:
        assert await answer(place, "ann", token="wrong", **WITHOUT_KEY) == 2
        assert await answer(place, "ann", token="right") == 1


async def test_on_means_everybody(open_place: OpenPlace) -> None:
    async with open_place(auth={"token_auth": "on"}) as place:
        assert await answer(place, "bob") == 2
        assert await answer(place, "bob___vstr") == 1


async def test_a_store_that_fails_is_no_reason_to_stay_away(open_place: OpenPlace) -> None:
    """Clients stay away after any CONNACK but a success, and come again after a plain end."""

    class Broken(MemoryStore):
        async def load_logins(self, keys: Any) -> Any:
            raise StoreError("no")

    async with open_place(store=Broken()) as place, place.stranger() as client:
        await client.send(client.hello("ann"))
        await place.ended(client, 4002)


async def test_a_shutdown_is_no_reason_to_stay_away(open_place: OpenPlace) -> None:
    async with open_place() as place, place.online("ann") as (ann,), place.stranger() as stranger:
        place.server.shutdown()
        await place.ended(ann, 1001)
        await place.ended(stranger, 1001)


async def test_too_many_strangers_are_no_reason_to_stay_away(open_native: OpenPlace) -> None:
    async with open_native(limits={"waiting_connections": 1}) as place, place.stranger() as one:
        async with place.stranger() as two:
            await place.ended(two)
        await one.connect("ann")

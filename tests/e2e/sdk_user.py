"""Two users of the official Python SDK, unmodified, in a process without Trio. Prints a line per step.

    python sdk_user.py HTTP_URL

Waits for a line on its standard input after `kill me`, so that the server can be restarted meanwhile.
"""

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any

import httpx
from wukong_easy_sdk import WKIM, AuthOptions, WKIMError, WKIMOptions

OPTIONS = WKIMOptions(reconnect_delay=0.2, ping_interval=0.3, pong_timeout=2)


class User:
    """One SDK client and the events it has seen."""

    def __init__(self, url: str, uid: str, token: str = "t", device_id: str = "") -> None:
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.sdk = WKIM(url, AuthOptions(uid, token, device_id), OPTIONS)
        for name in ("message", "disconnect", "connect"):
            self.sdk.on(name, lambda value, name=name: self.events.put_nowait((name, value)))

    async def next(self, name: str) -> Any:
        """The value of the next event of a kind."""
        async with asyncio.timeout(10):
            while True:
                seen, value = await self.events.get()
                if seen == name:
                    return value


async def refused(code: int, attempt: Awaitable[object]) -> None:
    """Awaits something that has to fail with a code."""
    try:
        await attempt
    except WKIMError as error:
        if error.code == code:
            return
        raise
    raise AssertionError(f"accepted, instead of refused with {code}")


async def main(http_url: str) -> None:
    async with httpx.AsyncClient(base_url=http_url) as http:
        route = (await http.get("/route")).json()
        url = route["ws_addr"] or route["wss_addr"]
        ann, bob = User(url, "ann"), User(url, "bob")
        await ann.sdk.connect()
        await bob.sdk.connect()
        print("connected", flush=True)

        for sender, receiver, name in ((ann, bob, "bob"), (bob, ann, "ann")):
            result = await sender.sdk.send(name, 1, {"type": 1, "content": f"to {name}"})
            message = await receiver.next("message")
            assert message["payload"] == {"type": 1, "content": f"to {name}"}, message
            assert message["messageId"] == result["messageId"]
            assert message["channelId"] == message["fromUid"] == ("ann" if name == "bob" else "bob")
        print("person", flush=True)

        await refused(-32003, ann.sdk.send("team", 2, {"type": 1}))
        body = {"channel_id": "team", "channel_type": 2, "subscribers": ["ann", "bob"]}
        assert (await http.post("/channel", json=body)).json() == {"status": 200}
        await ann.sdk.send("team", 2, {"type": 1, "content": "hello team"})
        assert (await bob.next("message"))["channelId"] == "team"
        print("group", flush=True)

        await http.post("/user/token", json={"uid": "cid", "token": "right", "device_flag": 2})
        wrong = User(url, "cid", "wrong")
        await refused(-32001, wrong.sdk.connect())
        await asyncio.sleep(3 * OPTIONS.reconnect_delay)
        assert not wrong.sdk.is_connected, "an SDK must not come back with a wrong token"
        await wrong.sdk.destroy()
        cid = User(url, "cid", "right")
        await cid.sdk.connect()
        print("token", flush=True)

        await http.post("/user/device_quit", json={"uid": "cid", "device_flag": 2})
        await cid.next("disconnect")
        await asyncio.sleep(3 * OPTIONS.reconnect_delay)
        assert not cid.sdk.is_connected, "a kicked SDK must stay away"
        await cid.sdk.destroy()
        print("kicked", flush=True)

        await asyncio.sleep(3 * OPTIONS.ping_interval)
        assert ann.sdk.is_connected, "pings are not answered"
        print("kill me", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for user in (ann, bob):
            await user.next("connect")
        await ann.sdk.send("bob", 1, {"type": 1, "content": "again"})
        while (await bob.next("message"))["payload"].get("content") != "again":
            pass
        print("reconnected", flush=True)
        await ann.sdk.destroy()
        await bob.sdk.destroy()


asyncio.run(main(sys.argv[1]))

"""Clients that take their answers slowly, or leave while their request is at work."""

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

import pytest
import trio
from api_calls import OpenServer

from wukong_trio import Server
from wukong_trio.api import time_limits
from wukong_trio.api.http_parser import RequestReader
from wukong_trio.api.strict_h11 import StrictConnection
from wukong_trio.model import Device
from wukong_trio.store.base import ChannelChange
from wukong_trio.store.memory import MemoryStore
from wukong_trio.testing import RawClient, open_raw_client

UIDS = b'["' + b'","'.join([b"x" * 100] * 40_000) + b'"]'
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def post(path: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body)


async def connect(server: Server) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", int(server.endpoints.http.rpartition(":")[2]))


async def sip(server: Server, task_status: trio.TaskStatus[None]) -> None:
    """Reads a large answer so slowly that it takes minutes, yet never stops."""
    async with await connect(server) as stream:
        await stream.send_all(post(b"/route/batch", UIDS))
        await stream.receive_some(1000)
        task_status.started()
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some(4096):  # noqa: ASYNC110 - slow on purpose
                await trio.sleep(0.2)


async def signed_in(stack: AsyncExitStack, server: Server, uid: str = "ann") -> RawClient:
    client = await stack.enter_async_context(open_raw_client(server.endpoints.ws))
    await client.connect(uid)
    return client


async def test_a_slow_reader_does_not_hold_up_the_end(open_server: OpenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limits, "GRACEFUL_S", 0.3)
    with trio.fail_after(10):
        async with trio.open_nursery() as outliving, AsyncExitStack() as clients:
            async with open_server() as server:
                await outliving.start(sip, server)
                ann = await signed_in(clients, server)
                start = trio.current_time()
            assert 0.3 <= trio.current_time() - start < 2
            assert (await ann.wait_closed()).code == 1001
            outliving.cancel_scope.cancel()


async def test_nor_does_it_when_the_time_for_draining_is_over_first(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as outliving:
            async with open_server(drain_timeout_s=0.3) as server:
                await outliving.start(sip, server)
                start = trio.current_time()
            assert trio.current_time() - start < 2
            outliving.cancel_scope.cancel()


async def test_an_error_in_one_connection_ends_only_that(
    open_server: OpenServer, engine: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: object) -> None:
        raise ZeroDivisionError

    part = (RequestReader, "receive") if engine == "native" else (StrictConnection, "receive_data")
    with trio.fail_after(10):
        async with open_server() as server:
            with monkeypatch.context() as patch:
                patch.setattr(*part, broken)
                async with await connect(server) as stream:
                    await stream.send_all(GET)
                    with suppress(trio.BrokenResourceError):
                        assert await stream.receive_some() == b""
            async with await connect(server) as stream:
                await stream.send_all(GET)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "an HTTP connection was dropped"
    ]


class SlowStore(MemoryStore):
    """Its writes last until they are let go; one that has begun cannot be cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = trio.Event(), trio.Event()

    async def _hold(self) -> None:
        self.begun.set()
        with trio.CancelScope(shield=True):
            await self.go_on.wait()

    async def change_channel(self, change: ChannelChange) -> None:
        await self._hold()
        with trio.CancelScope(shield=True):
            await super().change_channel(change)

    async def put_device(self, device: Device) -> None:
        await self._hold()
        with trio.CancelScope(shield=True):
            await super().put_device(device)

    async def clear_tokens(self, uid: str, device_flags: Sequence[int]) -> None:
        await self._hold()
        with trio.CancelScope(shield=True):
            await super().clear_tokens(uid, device_flags)

    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        await self._hold()
        with trio.CancelScope(shield=True):
            await super().change_system_uids(add=add, remove=remove)


async def leave_during_write(server: Server, store: SlowStore, path: bytes, body: bytes) -> None:
    """Sends a request, leaves while its write is at work, and lets the write go on once the server knows."""
    async with await connect(server) as stream:
        await stream.send_all(post(path, body))
        await store.begun.wait()
    # Requests are served in order of arrival here, so the end of the first connection has been seen by then.
    async with await connect(server) as stream:
        await stream.send_all(GET)
        assert await stream.receive_some()
    store.go_on.set()


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        (b"/channel/info", b'{"channel_id":"ann","channel_type":1,"ban":1}', 19),
        (b"/user/device_quit", b'{"uid":"ann","device_flag":0}', 12),
        (b"/user/token", b'{"uid":"ann","token":"t","device_level":1}', 12),
    ],
)
async def test_a_user_is_sent_away_though_the_caller_left(
    open_server: OpenServer, path: bytes, body: bytes, reason: int
) -> None:
    store = SlowStore()
    with trio.fail_after(10):
        async with AsyncExitStack() as outliving, open_server(store=store) as server:
            ann = await signed_in(outliving, server)
            await leave_during_write(server, store, path, body)
            assert (await ann.receive())["params"]["reasonCode"] == reason


async def test_a_system_account_counts_though_the_caller_left(open_server: OpenServer) -> None:
    store = SlowStore()
    with trio.fail_after(10):
        async with open_server(store=store) as server:
            await leave_during_write(server, store, b"/user/systemuids_add", b'{"uids":["ann"]}')
            received = b""
            while b'["ann"]' not in received:
                async with await connect(server) as stream:
                    await stream.send_all(
                        b"GET /user/systemuids HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                    )
                    received = b"".join([bytes(part) async for part in stream])


async def test_little_is_received_before_a_request_is_known(
    open_server: OpenServer, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = (RequestReader, "receive") if engine == "native" else (StrictConnection, "receive_data")
    receive, sizes = getattr(*part), []

    def measured(self: object, data: bytes) -> None:
        sizes.append(len(data))
        receive(self, data)

    monkeypatch.setattr(*part, measured)
    body = b'["%b"]' % (b"x" * 300_000)
    with trio.fail_after(10):
        async with open_server() as server, await connect(server) as stream:
            await stream.send_all(post(b"/route/batch", body))
            await stream.receive_some()
    assert sizes[0] <= 16 * 1024 < max(sizes)

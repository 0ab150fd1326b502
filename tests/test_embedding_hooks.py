"""Hooks that misbehave harm nobody but themselves, and events tell a story that a presence table can trust."""

import contextlib
from collections.abc import Callable

import pytest
import trio
from common import person, stolen_cancelled

from wukong_trio import (
    MessageAccepted,
    RequestError,
    SendCommand,
    SessionClosed,
    SessionOpened,
    StoreError,
    open_client,
)
from wukong_trio.testing import open_raw_client, open_test_server


@pytest.fixture(params=["alone", "in a group"])
async def stray(request: pytest.FixtureRequest) -> BaseException:
    """A Cancelled that is nobody's any more."""
    stolen = await stolen_cancelled()
    return stolen if request.param == "alone" else BaseExceptionGroup("two", [stolen, ValueError()])


async def test_a_stray_cancelled_of_authenticate_costs_one_connection(stray: BaseException) -> None:
    async def authenticate(info: object) -> bool:
        if info.uid == "eve":  # type: ignore[attr-defined]
            raise stray
        return True

    with trio.fail_after(10):
        async with (
            open_test_server(authenticate=authenticate) as server,
            open_client(server.endpoints.ws, uid="ann") as ann,
        ):
            with pytest.raises(RequestError):
                async with open_client(server.endpoints.ws, uid="eve"):
                    pass
            await ann.send("bob", b"{}")
            async with open_client(server.endpoints.ws, uid="bob"):
                pass


async def test_a_stray_cancelled_of_before_send_costs_one_send(stray: BaseException) -> None:
    async def before_send(command: SendCommand) -> None:
        if command.payload == b"stray":
            raise stray

    with trio.fail_after(10):
        async with (
            open_test_server(before_send=before_send) as server,
            open_client(server.endpoints.ws, uid="ann") as ann,
        ):
            for _ in range(2):
                with pytest.raises(RequestError) as error:
                    await ann.send("bob", b"stray")
                assert error.value.code == -32603
                await ann.send("bob", b"{}")
            with pytest.raises(StoreError):
                await server.send(person(b"stray"))
            await server.send(person())


async def test_a_stray_cancelled_of_on_event_costs_one_event(stray: BaseException) -> None:
    told: list[object] = []

    async def on_event(event: object) -> None:
        told.append(event)
        if len(told) == 1:
            raise stray

    with trio.fail_after(10):
        async with open_test_server(on_event=on_event) as server:
            for _ in range(3):
                await server.send(person())
    assert len(told) == 3


async def test_a_stop_tells_what_is_queued(tell_slowly: Callable[[object], object]) -> None:
    with trio.fail_after(10):
        async with open_test_server(on_event=tell_slowly) as server:
            for _ in range(20):
                await server.send(person())
            statistics = server.statistics
    assert len(tell_slowly.told) == 20  # type: ignore[attr-defined]
    assert statistics().events_dropped == 0


async def test_a_stop_counts_what_it_cuts_off(caplog: pytest.LogCaptureFixture) -> None:
    told: list[object] = []

    async def on_event(event: object) -> None:
        told.append(event)
        await trio.sleep_forever()

    with trio.fail_after(10):
        async with (
            open_test_server(on_event=on_event, drain_timeout_s=0.1) as server,
            open_raw_client(server.endpoints.ws) as ann,
        ):
            await ann.connect("ann")
            for _ in range(3):
                await server.send(person())
    assert len(told) == 1
    # One opened, three accepted, one closed: nobody can say that he was told of any of them.
    assert server.statistics().events_dropped == 5
    assert "not told" in caplog.text


@pytest.fixture
def tell_slowly() -> Callable[[object], object]:
    async def on_event(event: object) -> None:
        await trio.sleep(0.005)
        told.append(event)

    told: list[object] = []
    on_event.told = told  # type: ignore[attr-defined]
    return on_event


async def test_a_table_of_sessions_ends_right() -> None:
    present: dict[int, str] = {}
    seen: list[tuple[str, int]] = []
    told = trio.Event()

    async def on_event(event: object) -> None:
        nonlocal told
        told.set()
        told = trio.Event()
        match event:
            case SessionOpened():
                assert event.session_id > max((number for _, number in seen), default=0)
                present[event.session_id] = event.uid
                seen.append(("opened", event.session_id))
            case SessionClosed():
                assert present.pop(event.session_id) == event.uid
                seen.append(("closed", event.session_id))
                reasons[event.session_id] = event.close_code
            case MessageAccepted():
                pass

    reasons: dict[int, int] = {}
    with trio.fail_after(10):
        async with open_test_server(on_event=on_event) as server, contextlib.AsyncExitStack() as stack:
            # The same device comes back again and again; the old connections end when they like.
            for _ in range(5):
                client = await stack.enter_async_context(open_raw_client(server.endpoints.ws))
                await client.sdk_connect("ann", device_id="d")
            while list(present) != [5]:
                await told.wait()
            assert server.kick("ann") == 1
            while present:
                await told.wait()
    assert [number for word, number in seen if word == "opened"] == [1, 2, 3, 4, 5]
    assert reasons == {1: 4006, 2: 4006, 3: 4006, 4: 4006, 5: 4003}

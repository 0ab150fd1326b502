"""What can go wrong with a call, on Trio and on asyncio: each kind of failure is an error of its own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from common import free_port
from loops import run_on

from wukong_trio.api_client import (
    ApiAnswerError,
    ApiClient,
    ApiError,
    ApiRefusedError,
    ApiServerError,
    ApiTimeoutError,
    ApiUnauthorizedError,
    ApiUnreachableError,
)
from wukong_trio.testing import open_test_server

Behaviour = Callable[[trio.SocketStream], Awaitable[None]]


async def failure(url: str, **limits: float) -> ApiError:
    """The error of a call."""
    async with ApiClient(url, **limits) as api:  # type: ignore[arg-type]
        try:
            await api.channels.put("g", 2)
        except ApiError as error:
            return error
    raise AssertionError("nothing went wrong")


def answered(status: int, **content: Any) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _request: httpx.Response(status, **content))


async def failure_of(answer: httpx.MockTransport) -> ApiError:
    async with ApiClient("http://h", connections=answer) as api:
        with pytest.raises(ApiError) as error:
            await api.history.page("g", 2, login_uid="ann")
    return error.value


@asynccontextmanager
async def behaving(behaviour: Behaviour) -> AsyncIterator[str]:
    """The URL of a server that does with each connection what it is told to do."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, behaviour, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def hear(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def say_nothing(stream: trio.SocketStream) -> None:
    async for _ in stream:
        pass


async def say_half(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def say_something_else(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")


async def test_nobody_is_there(loop: str) -> None:
    with trio.fail_after(10):
        error = await run_on(loop, failure, f"http://127.0.0.1:{free_port()}")
    assert type(error) is ApiUnreachableError
    assert not error.maybe_done
    assert "POST http://127.0.0.1" in str(error)


@pytest.mark.parametrize("behaviour", [hear, say_half, say_something_else], ids=lambda b: b.__name__)
async def test_no_answer_comes(loop: str, behaviour: Behaviour) -> None:
    with trio.fail_after(10):
        async with behaving(behaviour) as url:
            error = await run_on(loop, failure, url)
    assert type(error) is ApiUnreachableError
    assert error.maybe_done


async def test_no_answer_comes_in_time(loop: str) -> None:
    with trio.fail_after(10):
        async with behaving(say_nothing) as url:
            error = await run_on(loop, partial(failure, answer_timeout_s=0.05), url)
    assert type(error) is ApiTimeoutError
    assert error.maybe_done


async def trickle(stream: trio.SocketStream) -> None:
    """An answer without end."""
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    with suppress(trio.BrokenResourceError):
        while True:
            await stream.send_all(b" ")
            await trio.sleep(0.02)


async def test_no_connection_becomes_free_in_time() -> None:
    with trio.fail_after(10):
        async with (
            behaving(trickle) as url,
            ApiClient(url, max_connections=1, answer_timeout_s=0.2) as api,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(api.channels.put, "g", 2)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ApiTimeoutError) as error:
                await api.channels.put("g", 2)
            assert not error.value.maybe_done
            nursery.cancel_scope.cancel()


async def test_a_cancelled_call_does_not_end_others() -> None:
    asked, answer = trio.Event(), trio.Event()

    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        asked.set()
        await answer.wait()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"status":200}')

    with trio.fail_after(10):
        async with behaving(behave) as url, ApiClient(url, max_connections=2) as api, trio.open_nursery() as nursery:
            nursery.start_soon(api.channels.put, "g", 2)
            await asked.wait()
            for _ in range(3):
                with trio.move_on_after(0.01) as scope:
                    await api.channels.put("g", 2)
                assert scope.cancelled_caught
            answer.set()


async def test_no_more_connections_than_allowed() -> None:
    open_now = most = 0

    async def count(stream: trio.SocketStream) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        async for data in stream:
            for _ in range(data.count(b"POST ")):
                await stream.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"status":200}')
        open_now -= 1

    with trio.fail_after(10):
        async with behaving(count) as url, ApiClient(url, max_connections=3) as api:
            async with trio.open_nursery() as nursery:
                for n in range(30):
                    nursery.start_soon(api.channels.disband, f"g{n}", 2)
            assert most == 3


async def cancelled(loop: str, call: Callable[[], Coroutine[Any, Any, None]], steps: int) -> None:
    """Runs so many turns of a call."""
    if loop == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    else:
        task = asyncio.create_task(call())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("max_connections", [1, 2, 5])
async def test_whenever_calls_are_cancelled_others_get_a_connection(loop: str, max_connections: int) -> None:
    async def use(url: str) -> None:
        async with ApiClient(url, max_connections=max_connections, answer_timeout_s=5) as api:
            for steps in range(40):
                await cancelled(loop, partial(api.channels.disband, "g", 2), steps)
                await cancelled(loop, partial(crowd, api), steps)
                await api.channels.disband("g", 2)

    async def crowd(api: ApiClient) -> None:
        if loop == "trio":
            async with trio.open_nursery() as nursery:
                for _ in range(7):
                    nursery.start_soon(api.channels.disband, "g", 2)
        else:
            await asyncio.gather(*[api.channels.disband("g", 2) for _ in range(7)])

    with trio.fail_after(20):
        async with open_test_server() as server:
            await run_on(loop, use, server.endpoints.http)


async def test_a_silent_server_and_a_time_limit_of_the_caller(loop: str) -> None:
    async def use(url: str) -> None:
        async with ApiClient(url) as api:
            if loop == "trio":
                with pytest.raises(trio.TooSlowError), trio.fail_after(0.05):
                    await api.channels.put("g", 2)
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await api.channels.put("g", 2)

    with trio.fail_after(10):
        async with behaving(say_nothing) as url:
            await run_on(loop, use, url)


async def test_the_token_is_missing_or_wrong() -> None:
    with trio.fail_after(10):
        async with open_test_server(auth={"manager_token": "k"}) as server:
            for token in ("", "wrong"):
                async with ApiClient(server.endpoints.http, token=token) as api:
                    with pytest.raises(ApiUnauthorizedError, match="token"):
                        await api.users.system_uids()
            async with ApiClient(server.endpoints.http, token="k") as api:
                assert await api.users.system_uids() == []


@pytest.mark.parametrize("status", [400, 403, 413])
async def test_the_server_refuses(status: int) -> None:
    error = await failure_of(answered(status, json={"msg": "频道ID不能为空！", "status": status}))
    assert isinstance(error, ApiRefusedError)
    assert (error.http_status, error.message) == (status, "频道ID不能为空！")


@pytest.mark.parametrize(
    ("status", "content", "message"),
    [
        (500, {"json": {"msg": "the store", "status": 500}}, "the store"),
        (500, {}, ""),
        (503, {"json": {"msg": "too many", "status": 503}}, "too many"),
        (502, {"text": "<html>Bad Gateway</html>"}, ""),
    ],
)
async def test_the_server_fails(status: int, content: dict[str, Any], message: str) -> None:
    error = await failure_of(answered(status, **content))
    assert isinstance(error, ApiServerError)
    assert (error.http_status, error.message) == (status, message)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, {"text": "<html>hello</html>"}),
        (200, {}),
        (200, {"json": []}),
        (200, {"json": {"hello": 1}}),
        (200, {"json": {"messages": [{"hello": 1}]}}),
        (200, {"json": {"messages": [7]}}),
        (200, {"json": {"messages": "none"}}),
        (200, {"json": {"messages": [{"message_id": "7"}]}}),
        (200, {"json": {"messages": [{"payload": "%%%"}]}}),
        (200, {"content": b'{"messages":' + b"[" * 100_000}),
        (200, {"headers": {"Content-Encoding": "gzip"}, "content": b"plain"}),
        (201, {"json": {"messages": []}}),
        (204, {}),
        (301, {"headers": {"Location": "http://elsewhere/"}}),
        (400, {"text": "<html>nginx</html>"}),
        (400, {"json": ["wrong"]}),
        (404, {"text": "404 page not found"}),
        (418, {"json": {"msg": "short and stout"}}),
    ],
)
async def test_who_answers_is_no_wukongim(status: int, content: dict[str, Any]) -> None:
    assert type(await failure_of(answered(status, **content))) is ApiAnswerError


@pytest.mark.parametrize("body", [b"[]", b"{}", b"7", b'"x"', b"null", b'{"message":"hello"}'])
async def test_only_a_status_says_that_something_was_done(body: bytes) -> None:
    async with ApiClient("http://h", connections=answered(200, content=body)) as api:
        with pytest.raises(ApiAnswerError):
            await api.channels.put("g", 2)


@pytest.mark.parametrize("body", [b"{}", b"7", b'"x"', b'{"message":"hello"}', b"[7]"])
async def test_what_is_no_list(body: bytes) -> None:
    async with ApiClient("http://h", connections=answered(200, content=body)) as api:
        with pytest.raises(ApiAnswerError):
            await api.users.system_uids()


async def test_a_password_or_a_parameter_is_in_no_error() -> None:
    async with ApiClient(f"http://127.0.0.1:{free_port()}", token="s3cret") as api:
        with pytest.raises(ApiUnreachableError) as error:
            await api.channels.allowed.get("private", 2)
    assert "s3cret" not in str(error.value)
    assert "private" not in str(error.value)


async def test_whom_to_trust(loop: str, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate / "authority.pem"))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    async def behave(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, serving, server_side=True)
        try:
            await secure.receive_some()
            await secure.send_all(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"status":200}')
        except trio.BrokenResourceError:
            pass

    async def use(url: str) -> None:
        async with ApiClient(url, ssl_context=trusting) as api:
            await api.channels.put("g", 2)
        error = await failure(url)
        assert type(error) is ApiUnreachableError
        assert not error.maybe_done

    with trio.fail_after(10):
        async with behaving(behave) as url:
            await run_on(loop, use, url.replace("http:", "https:"))

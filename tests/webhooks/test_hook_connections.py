"""Connections to receivers of all kinds: what is used again, what counts as an answer, and what is waited for."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from common import write_certificate
from scripted import easy_pace

from wukong_trio.webhooks import connections
from wukong_trio.webhooks.answer import HEAD_BYTES
from wukong_trio.webhooks.connections import REST_BYTES, Connections
from wukong_trio.webhooks.hook import Hook
from wukong_trio.webhooks.pace import Load, Pace

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Raw:
    """A receiver that answers with the bytes it is given, and counts what it sees."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        """One for each request, then OK."""
        self.hang_up: Callable[[int], bool] = lambda number: False
        """Whether it closes the connection after the answer to this request."""
        self.pause_s = 0.0
        """Between the bytes of an answer."""
        self.opened = self.answered = self.ended = 0
        self.bodies: list[bytes] = []
        self.url = ""

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.opened += 1
        buffer = b""
        try:
            async with stream:
                while True:
                    while b"\r\n\r\n" not in buffer:
                        buffer += await _receive(stream)
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    while len(buffer) < length:
                        buffer += await _receive(stream)
                    self.bodies.append(buffer[:length])
                    buffer = buffer[length:]
                    await self._answer(stream)
                    if self.hang_up(self.answered):
                        return
        except (trio.BrokenResourceError, EOFError):
            pass
        finally:
            self.ended += 1

    async def until_ended(self) -> None:
        """Waits until a connection has ended."""
        with trio.fail_after(5):
            while not self.ended:  # noqa: ASYNC110 - nobody is told
                await trio.sleep(0.01)

    async def _answer(self, stream: trio.abc.Stream) -> None:
        answer = self.answers.pop(0) if self.answers else OK
        pieces = [answer[n : n + 1] for n in range(len(answer))] if self.pause_s else [answer]
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(self.pause_s)
        self.answered += 1


async def _receive(stream: trio.abc.Stream) -> bytes:
    data = await stream.receive_some(65536)
    if not data:
        raise EOFError
    return bytes(data)


@asynccontextmanager
async def raw_receiver(certificate: trustme.LeafCert | None = None) -> AsyncIterator[Raw]:
    """A receiver on a port of its own; with a certificate it speaks TLS."""
    raw = Raw()

    async def serve(stream: trio.SocketStream) -> None:
        if certificate is None:
            await raw.serve(stream)
            return
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        await raw.serve(trio.SSLStream(stream, context, server_side=True, https_compatible=True))

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        raw.url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}/hook"
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield raw
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def told(raw: Raw) -> AsyncIterator[Hook]:
    """A hook that tells it."""
    async with Connections(raw.url) as transport:
        yield Hook("msg.notify", transport, raw.url, "", easy_pace())


async def post(hook: Hook, times: int = 1, body: bytes = b"[]") -> list[bool]:
    with trio.fail_after(10):
        return [await hook.post(body, f"id-{n}") for n in range(times)]


# --- connections


async def test_one_connection_serves_requests_that_follow_each_other() -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        assert all(await post(hook, 5))
    assert raw.opened == 1


async def test_requests_that_are_under_way_together_have_a_connection_each() -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.pause_s = 0.001
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                for n in range(8):
                    nursery.start_soon(hook.post, b"[]", f"{n}")
        assert hook.requests == 16
    assert raw.opened == 8


async def test_a_connection_that_the_receiver_has_closed_is_not_used_again() -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.hang_up = lambda number: number == 2
        assert all(await post(hook, 2))
        await raw.until_ended()
        await trio.sleep(0.05)
        assert all(await post(hook, 2))
    assert raw.opened == 2


async def test_a_connection_that_was_idle_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "KEPT_ALIVE_S", 0.0)
    async with raw_receiver() as raw, told(raw) as hook:
        assert all(await post(hook, 3))
    assert raw.opened == 3


async def test_connections_end_with_the_server() -> None:
    async with raw_receiver() as raw:
        async with told(raw) as hook:
            assert all(await post(hook))
        await raw.until_ended()


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (OK, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n3;x=y\r\nyes\r\n0\r\nend: 1\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", True),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok", True),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok, and more", False),
        (OK + OK, False),
        (OK + b"rubbish", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nrubbish", False),
    ],
)
async def test_a_connection_is_used_again_if_the_answer_allows_it(answer: bytes, again: bool) -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.answers = [answer]
        assert all(await post(hook, 2))
    assert raw.opened == (1 if again else 2)


# --- answers


@pytest.mark.parametrize("pause_s", [0.0, 0.0005])
async def test_provisional_answers_are_none(pause_s: float) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    async with raw_receiver() as raw, told(raw) as hook:
        raw.pause_s = pause_s
        raw.answers = [early + OK, early + b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"]
        assert await post(hook, 3) == [True, False, True]
    assert raw.opened == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_what_is_no_answer_accepts_nothing(answer: bytes) -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.answers, raw.hang_up = [answer], lambda number: number == 1
        assert await post(hook, 2) == [False, True]
    assert raw.opened == 2


async def test_an_answer_that_ends_with_the_connection_is_one() -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.answers, raw.hang_up = [b"HTTP/1.1 200 OK\r\n\r\nok"], lambda number: True
        assert all(await post(hook, 2))


@pytest.mark.parametrize(("size_bytes", "accepted"), [(HEAD_BYTES - 100, True), (3 * HEAD_BYTES, False)])
async def test_a_head_is_bounded(size_bytes: int, accepted: bool) -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.answers = [b"HTTP/1.1 200 OK\r\nx: " + b"x" * size_bytes + b"\r\ncontent-length: 0\r\n\r\n"]
        assert await post(hook) == [accepted]


@pytest.mark.parametrize(("size_bytes", "again"), [(REST_BYTES // 2, True), (3 * REST_BYTES, False)])
async def test_a_body_is_read_only_so_far(size_bytes: int, again: bool) -> None:
    async with raw_receiver() as raw, told(raw) as hook:
        raw.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size_bytes + bytes(size_bytes)]
        assert all(await post(hook, 2))
    assert raw.opened == (1 if again else 2)


@pytest.mark.parametrize("reads_on", [True, False])
async def test_who_refuses_before_he_has_everything_is_heard(reads_on: bool) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(1000)
            await stream.send_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
            if reads_on:
                await stream.send_eof()
                async for _ in stream:
                    pass

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, refuse, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        async with Connections(url) as transport:
            head = b"POST / HTTP/1.1\r\ncontent-length: 30000000\r\n\r\n"
            with trio.fail_after(10) as limit:
                assert await transport.exchange(head, bytes(30_000_000), limit, easy_pace().stopwatch()) == 413
        nursery.cancel_scope.cancel()


async def test_large_requests_arrive_whole() -> None:
    body = bytes(range(256)) * 20_000
    async with raw_receiver() as raw, told(raw) as hook:
        assert all(await post(hook, 2, body))
    assert raw.bodies == [body, body]


# --- time


async def test_a_slow_head_is_waited_for_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 0.2)
    async with raw_receiver() as raw, told(raw) as hook:
        raw.pause_s = 0.02
        assert all(await post(hook))


async def test_a_head_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wukong_trio.webhooks.hook.TOTAL_TIMEOUT_S", 0.3)
    async with raw_receiver() as raw, told(raw) as hook:
        raw.pause_s = 0.02
        assert await post(hook) == [False]
        raw.pause_s = 0
        assert await post(hook) == [True]
    assert raw.opened == 2


async def test_an_answer_whose_body_does_not_come_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr("wukong_trio.webhooks.hook.TOTAL_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connections, "REST_TIMEOUT_S", 0.4)
    async with raw_receiver() as raw, told(raw) as hook:
        raw.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"]
        assert all(await post(hook, 2))
    assert raw.opened == 2


async def test_a_connection_that_cannot_be_made_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_S", 0.05)
    # It listens, but nobody accepts, and TLS waits for a word.
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}/"
        async with Connections(url) as transport:
            assert await post(Hook("msg.notify", transport, url, "", easy_pace())) == [False]
    assert "no answer within" in caplog.text


async def test_trying_to_connect_is_paid_for() -> None:
    async with raw_receiver() as raw:
        pass
    pace = Pace(Load(lambda: 0.0, lambda: 0.0, lambda: 0.0), 0.01, cpu_clock=lambda: 0.0)
    async with Connections(raw.url) as transport:
        hook = Hook("msg.offline", transport, raw.url, "", pace)
        assert await post(hook, 10) == [False] * 10
    assert pace.wait_s > 0


# --- TLS


def trust(monkeypatch: pytest.MonkeyPatch, directory: Path, name: str = "127.0.0.1") -> trustme.LeafCert:
    """A certificate for this name, of somebody who is trusted as others are, by the environment."""
    authority = write_certificate(directory)
    monkeypatch.setenv("SSL_CERT_FILE", str(directory / "authority.pem"))
    return authority.issue_cert(name)


async def test_tls_is_used_and_its_connections_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = bytes(range(256)) * 5_000
    async with raw_receiver(trust(monkeypatch, tmp_path)) as raw, told(raw) as hook:
        raw.answers = [OK, b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + bytes(300_000)]
        assert all(await post(hook, 4, body))
    assert raw.opened == 1
    assert raw.bodies == [body] * 4


async def test_a_tls_connection_that_the_receiver_has_closed_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with raw_receiver(trust(monkeypatch, tmp_path)) as raw, told(raw) as hook:
        raw.hang_up = lambda number: number == 1
        assert all(await post(hook))
        await raw.until_ended()
        await trio.sleep(0.05)
        assert all(await post(hook))
    assert raw.opened == 2


async def test_an_answer_that_ends_with_a_tls_connection_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with raw_receiver(trust(monkeypatch, tmp_path)) as raw, told(raw) as hook:
        raw.answers, raw.hang_up = [b"HTTP/1.1 200 OK\r\n\r\nok"], lambda number: True
        assert all(await post(hook, 2))


async def test_who_has_a_certificate_of_somebody_else_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_receiver(trust(monkeypatch, tmp_path, "other.example")) as raw, told(raw) as hook:
        assert await post(hook) == [False]
    assert "certificate" in caplog.text
    assert not raw.bodies


async def test_who_is_certified_by_nobody_known_is_told_nothing(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    certificate = write_certificate(tmp_path).issue_cert("127.0.0.1")
    async with raw_receiver(certificate) as raw, told(raw) as hook:
        assert await post(hook) == [False]
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert not raw.bodies

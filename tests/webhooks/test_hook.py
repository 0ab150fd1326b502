"""One request: its signature, its address, and what counts as an answer."""

import logging
from base64 import b64encode

import pytest
import trio
from receiver import Receiver, Request, open_receiver, statuses
from scripted import URL, Scripted, easy_pace
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from trio.testing import MockClock

from wukong_trio import ConfigError
from wukong_trio.webhooks import connections
from wukong_trio.webhooks.address import event_url, parse_address
from wukong_trio.webhooks.connections import CONNECT_TIMEOUT_S, Connections
from wukong_trio.webhooks.hook import TOTAL_TIMEOUT_S, Hook, waits

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()


async def post(receiver: Receiver, *, secret: str = "", url: str = "", body: bytes = b"[]") -> bool:
    async with Connections(receiver.url) as transport:
        return await Hook("msg.notify", transport, url or receiver.url, secret, easy_pace()).post(body, "id-1")


async def test_requests_are_signed_as_standard_webhooks_says() -> None:
    async with open_receiver() as receiver:
        assert await post(receiver, secret=SECRET, body='["你好"]'.encode())
    [request] = receiver.requests
    assert request.headers["webhook-id"] == "id-1"
    assert Verifier(SECRET).verify(request.body, request.headers) == ["你好"]
    for wrong in (request.headers | {"webhook-id": "id-2"}, request.headers | {"webhook-timestamp": "1"}):
        with pytest.raises(WebhookVerificationError):
            Verifier(SECRET).verify(request.body, wrong)
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(request.body + b" ", request.headers)


async def test_a_request_is_one_of_http_with_what_its_receiver_needs() -> None:
    receiver = Scripted()
    assert await Hook("msg.notify", receiver, URL, "", easy_pace()).post(b'["\xe4\xbd\xa0"]', "id-1")
    [request] = receiver.requests
    assert (request.method, request.target, request.version) == ("POST", "/hook?event=msg.notify", "HTTP/1.1")
    assert request.headers.keys() == {
        *("host", "content-type", "user-agent", "content-length"),
        *("webhook-id", "webhook-timestamp"),
    }
    assert (request.headers["host"], request.headers["content-length"]) == ("receiver.example", "7")


async def test_without_a_secret_there_is_no_signature() -> None:
    async with open_receiver() as receiver:
        assert await post(receiver)
    [request] = receiver.requests
    assert "webhook-signature" not in request.headers
    assert "authorization" not in request.headers
    assert request.headers["webhook-id"] == "id-1"
    assert request.headers["webhook-timestamp"].isdecimal()


async def test_a_password_in_the_address_is_sent_as_browsers_do() -> None:
    async with open_receiver() as receiver:
        assert await post(receiver, url=receiver.url.replace("//", "//im:s%40cret@"))
    [request] = receiver.requests
    assert request.headers["authorization"] == f"Basic {b64encode(b'im:s@cret').decode()}"
    assert request.target == "/hook?event=msg.notify"


@pytest.mark.parametrize(("status", "accepted"), [(200, True), (204, True), (299, True), (300, False), (404, False)])
async def test_every_2xx_is_an_acceptance(status: int, accepted: bool) -> None:
    async with open_receiver() as receiver:
        receiver.answer, receiver.rest = statuses(status), b""
        assert await post(receiver) is accepted


async def test_redirects_are_not_followed() -> None:
    async with open_receiver() as receiver:
        receiver.answer = statuses(307)
        receiver.more_headers = [("location", receiver.url)]
        assert not await post(receiver)
        assert len(receiver.requests) == 1


async def test_a_connection_that_is_closed_is_no_acceptance(caplog: pytest.LogCaptureFixture) -> None:
    async with open_receiver() as receiver:
        receiver.answer = statuses(0)
        assert not await post(receiver)
    assert "does not accept" in caplog.text


async def test_nobody_there_is_no_acceptance() -> None:
    async with open_receiver() as receiver:
        pass
    assert not await post(receiver)


async def test_what_comes_behind_the_head_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_receiver() as receiver:
        receiver.rest = b"x" * 10_000_000
        assert await post(receiver)
        receiver.more_headers = [("content-encoding", "gzip")]
        receiver.rest = b"no gzip"
        assert await post(receiver)
        # It announces more than it gives.
        monkeypatch.setattr(connections, "REST_TIMEOUT_S", 0.05)
        receiver.missing = 5
        assert await post(receiver)


async def test_connections_are_used_again() -> None:
    async with open_receiver() as receiver:
        opened = 0
        serve = receiver.serve

        async def counted(stream: trio.SocketStream) -> None:
            nonlocal opened
            opened += 1
            await serve(stream)

        receiver.serve = counted  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, counted, [listener])
            receiver.port = listener.socket.getsockname()[1]
            async with Connections(receiver.url) as transport:
                hook = Hook("msg.notify", transport, receiver.url, "", easy_pace())
                assert all([await hook.post(b"[]", f"{n}") for n in range(5)])
            nursery.cancel_scope.cancel()
    assert opened == 1


def test_the_time_limits_are_those_of_the_original() -> None:
    assert (CONNECT_TIMEOUT_S, connections.ANSWER_TIMEOUT_S, TOTAL_TIMEOUT_S) == (5, 10, 30)


async def test_a_receiver_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT_S", 0.05)

    async def silent(request: Request) -> int:
        await trio.sleep_forever()
        raise AssertionError

    async with open_receiver() as receiver:
        receiver.answer = silent
        with trio.fail_after(5):
            assert not await post(receiver)


async def test_the_whole_request_has_a_limit(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    receiver = Scripted()
    receiver.before = trio.sleep_forever
    hook = Hook("msg.notify", receiver, URL, "", easy_pace())
    assert not await hook.post(b"[]", "id")
    assert trio.current_time() == pytest.approx(30)
    assert "no answer within 30 s" in caplog.text


async def test_requests_are_not_logged_with_their_address(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with open_receiver() as receiver:
            assert await post(receiver, url=receiver.url + "?password=s3cret")
    assert "s3cret" not in caplog.text


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with open_receiver() as receiver:
        assert await post(receiver)


async def test_whatever_the_client_stumbles_over_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def stumble() -> None:
        raise ZeroDivisionError("oh")

    receiver = Scripted()
    receiver.before = stumble
    hook = Hook("msg.notify", receiver, URL, "", easy_pace())
    assert not await hook.post(b"[]", "id")
    assert "ZeroDivisionError: oh" in caplog.text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a/hook", "http://a/hook?event=e"),
        ("http://a", "http://a?event=e"),
        ("http://a/hook?", "http://a/hook?event=e"),
        ("http://a/hook?k=v&l=%20", "http://a/hook?k=v&l=%20&event=e"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    assert event_url(url, "e") == expected


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "target", "userinfo"),
    [
        ("http://a", "a", 80, "a", "/", b""),
        ("http://a:80/x", "a", 80, "a", "/x", b""),
        ("http://a:81/x?y=z", "a", 81, "a:81", "/x?y=z", b""),
        ("https://A.example:443/x", "a.example", 443, "a.example", "/x", b""),
        ("https://a:80/", "a", 80, "a:80", "/", b""),
        ("http://[::1]:8090/hook", "::1", 8090, "[::1]:8090", "/hook", b""),
        ("http://bücher.example/ü b?ü=%C3%BC", "xn--bcher-kva.example", 80, None, "/%C3%BC%20b?%C3%BC=%C3%BC", b""),
        ("http://u%40v:p%3Aw@a/", "a", 80, "a", "/", b"u@v:p:w"),
        ("http://a/%2Fb;c=d,e/@:!$&'()*+~", "a", 80, "a", "/%2Fb;c=d,e/@:!$&'()*+~", b""),
    ],
)
def test_what_a_request_needs_of_an_address(
    url: str, host: str, port: int, authority: str | None, target: str, userinfo: bytes
) -> None:
    address = parse_address(url)
    assert address == (host, port, url.startswith("https"), authority or host, target, userinfo)


def test_a_host_that_cannot_be_is_no_address() -> None:
    with pytest.raises(ConfigError, match="can be no host"):
        parse_address("http://é..example/")


def test_waits_grow_up_to_half_a_minute() -> None:
    wait = waits()
    assert [next(wait) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]

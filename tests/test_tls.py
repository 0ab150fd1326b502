"""Certificates: what is said about bad ones, and changing them while the server runs."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from wukong_trio import Address, Config, ConfigError, Listeners, serve
from wukong_trio.protocol.wkproto import Connect, PacketType
from wukong_trio.protocol.wkproto_writer import encode
from wukong_trio.testing import config_for_tests, open_test_server
from wukong_trio.tls import Certificate

ANY_PORT = Address("127.0.0.1", 0)


class Authority:
    """Issues certificates into two files, and trusts them."""

    def __init__(self, directory: Path) -> None:
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        self._authority = trustme.CA()
        self.trust = ssl.create_default_context()
        self._authority.configure_trust(self.trust)

    def issue(self) -> None:
        certificate = self._authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(self.cert)
        certificate.private_key_pem.write_to_path(self.key)

    @property
    def config(self) -> Config:
        return config_for_tests(listeners=self.listeners)

    @property
    def listeners(self) -> Listeners:
        return Listeners(http=None, tcp=None, ws=None, wss=ANY_PORT, cert_file=self.cert, key_file=self.key)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path)
    authority.issue()
    return authority


async def connect(url: str, authority: Authority) -> "trio.SSLStream[trio.SocketStream]":
    host, _, port = url.removeprefix("wss://").rpartition(":")
    stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=authority.trust, https_compatible=True)
    await stream.do_handshake()
    return stream


def shown(stream: "trio.SSLStream[trio.SocketStream]") -> bytes:
    """The certificate that the server has shown."""
    shown = stream.getpeercert(binary_form=True)
    assert isinstance(shown, bytes)
    return shown


def encrypt(key: Path) -> None:
    private = load_pem_private_key(key.read_bytes(), None)
    form = Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    key.write_bytes(private.private_bytes(*form))


async def refusal(config: Config) -> str:
    """What `serve` itself raises: the error as it is, in no group."""
    with trio.fail_after(10), pytest.raises(ConfigError) as caught:
        await serve(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_a_certificate_that_cannot_be_used_is_one_plain_error(authority: Authority) -> None:
    good = authority.key.read_bytes()
    authority.key.write_text("not a key")
    assert "PEM" in await refusal(authority.config)
    authority.issue()
    authority.key.write_bytes(good)
    assert "another certificate's" in await refusal(authority.config)


async def test_an_encrypted_key_says_how_to_decrypt_it(authority: Authority) -> None:
    encrypt(authority.key)
    assert f"openssl pkey -in {authority.key}" in await refusal(authority.config)


@pytest.mark.parametrize("host", [".example", "a..example", "x" * 64, "a b", "a\0b", "\udcff", "\n"])
async def test_a_host_that_is_no_name_is_one_plain_error(host: str) -> None:
    message = await refusal(config_for_tests(listeners=Listeners(http=None, tcp=None, ws=Address(host, 0))))
    assert message.startswith("wsAddr = ")


@pytest.mark.parametrize("engine", ["native", "reference"])
async def test_a_new_certificate_is_for_new_connections(authority: Authority, engine: str) -> None:
    with trio.fail_after(10):
        async with open_test_server(listeners=authority.listeners, engine=engine) as server:
            url = server.endpoints.wss
            async with await connect(url, authority) as old:
                authority.issue()
                server.reload_certificates()
                async with await connect(url, authority) as new:
                    assert shown(new) != shown(old)
                await old.send_all(b"GET / HTTP/1.1\r\n\r\n")
                assert await old.receive_some(), "open connections stay"


async def test_a_bad_new_certificate_leaves_the_old_one(authority: Authority) -> None:
    with trio.fail_after(10):
        async with open_test_server(listeners=authority.listeners) as server:
            url = server.endpoints.wss
            async with await connect(url, authority) as before:
                other_key = authority.key.read_bytes()
                authority.issue()
                authority.key.write_bytes(other_key)
                with pytest.raises(ConfigError, match="another certificate's"):
                    server.reload_certificates()
                async with await connect(url, authority) as after:
                    assert shown(after) == shown(before)


async def test_the_binary_listener_with_tls_has_the_same_certificate(authority: Authority) -> None:
    listeners = Listeners(
        http=None, tcp=None, tls=ANY_PORT, ws=None, wss=None, cert_file=authority.cert, key_file=authority.key
    )
    with trio.fail_after(10):
        async with open_test_server(listeners=listeners) as server:
            assert server.endpoints.tls.startswith("tls://127.0.0.1:")
            authority.key.write_text("not a key")
            with pytest.raises(ConfigError, match="PEM"):
                server.reload_certificates()
    assert "PEM" in await refusal(config_for_tests(listeners=listeners))


async def test_without_tls_there_is_nothing_to_reload() -> None:
    with trio.fail_after(10):
        async with open_test_server() as server:
            with pytest.raises(ConfigError, match="wssAddr"):
                server.reload_certificates()


def test_a_certificate_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Certificate(tmp_path / "gone", tmp_path / "gone")


async def test_a_client_may_speak_right_behind_the_handshake(authority: Authority) -> None:
    listeners = Listeners(http=None, tcp=None, tls=ANY_PORT, ws=None, cert_file=authority.cert, key_file=authority.key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.trust.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with trio.fail_after(10):
        async with open_test_server(listeners=listeners) as server:
            stream = await trio.open_tcp_stream("127.0.0.1", int(server.endpoints.tls.rpartition(":")[2]))
            async with stream:
                while True:
                    with suppress(ssl.SSLWantReadError):
                        tls.do_handshake()
                        break
                    await stream.send_all(outgoing.read())
                    incoming.write(await stream.receive_some())
                tls.write(encode(Connect(5, 1, uid="ann"), 5))
                await stream.send_all(outgoing.read())
                answer = b""
                while not answer:
                    data = await stream.receive_some()
                    assert data, "what came behind the handshake was overlooked"
                    incoming.write(data)
                    with suppress(ssl.SSLWantReadError):
                        answer = tls.read(100)
    assert answer[0] >> 4 == PacketType.CONNACK

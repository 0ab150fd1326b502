"""SIGHUP: certificates are read again, and the log says what came of it."""

import signal
import ssl
from pathlib import Path

import trio
import trustme
from child import ServerProcess, run_server

from wukong_trio import open_client


class Files:
    """A certificate and its key in two files."""

    def __init__(self, directory: Path) -> None:
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        self.authority = trustme.CA()
        self.trust = ssl.create_default_context()
        self.authority.configure_trust(self.trust)

    def issue(self) -> None:
        certificate = self.authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(self.cert)
        certificate.private_key_pem.write_to_path(self.key)


async def logged(server: ServerProcess, words: str) -> None:
    with trio.fail_after(5):
        while words not in server.log.read_text():  # noqa: ASYNC110 - another process's event
            await trio.sleep(0.05)


async def certificate_of(server: ServerProcess, trust: ssl.SSLContext) -> bytes | None:
    host, _, port = server.urls["wss"].removeprefix("wss://").rpartition(":")
    stream = await trio.open_ssl_over_tcp_stream(host, int(port), ssl_context=trust, https_compatible=True)
    async with stream:
        await stream.do_handshake()
        shown = stream.getpeercert(binary_form=True)
        assert isinstance(shown, bytes)
        return shown


async def test_certificates_are_read_again_and_nobody_is_disturbed(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.issue()
    options = ("--wss", "127.0.0.1:0", "--cert", str(files.cert), "--key", str(files.key))
    with trio.fail_after(30):
        async with (
            run_server(tmp_path, *options) as server,
            open_client(server.urls["wss"], uid="ann", ssl_context=files.trust) as ann,
        ):
            first = await certificate_of(server, files.trust)
            files.issue()
            server.process.send_signal(signal.SIGHUP)
            await logged(server, "the certificate was read again")
            second = await certificate_of(server, files.trust)
            assert second != first
            files.key.write_text("not a key")
            server.process.send_signal(signal.SIGHUP)
            await logged(server, "the certificate in use stays: wssConfig")
            assert await certificate_of(server, files.trust) == second
            assert (await ann.send("bob", b"still here")).message_seq == 1
            assert await server.stop(signal.SIGTERM) == 0


async def test_what_cannot_be_reloaded_is_named(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with run_server(tmp_path) as server:
            (tmp_path / "wk.yaml").write_text("tokenAuth: on\nconnIdleTime: 1m\n")
            # The file was not there at the start, so it is none of this server's.
            server.process.send_signal(signal.SIGHUP)
            await logged(server, "there is no certificate to read again")
            assert await server.stop(signal.SIGTERM) == 0
        async with run_server(tmp_path) as server:
            (tmp_path / "wk.yaml").write_text("tokenAuth: off\nconnIdleTime: 1m\nlogger: {level: debug}\n")
            server.process.send_signal(signal.SIGHUP)
            await logged(server, "need a restart: tokenAuth, logger.level")
            (tmp_path / "wk.yaml").write_text("tokenAuth: maybe\n")
            server.process.send_signal(signal.SIGHUP)
            await logged(server, "the settings cannot be read again: tokenAuth = 'maybe'")
            assert await server.stop(signal.SIGTERM) == 0

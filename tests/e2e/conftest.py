"""What matters most is proved with each WebSocket engine."""

from pathlib import Path

import pytest
from common import ENGINES


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine."""
    return str(request.param)


@pytest.fixture(params=ENGINES)
def way(request: pytest.FixtureRequest, trusted_certificate: Path) -> list[str]:
    """The options of a server with one of ENGINES; clients trust it, and find it at `ServerProcess.ws`."""
    engine, _, tls = request.param.partition(" over ")
    if not tls:
        return ["--engine", engine]
    files = ["--cert", str(trusted_certificate / "cert.pem"), "--key", str(trusted_certificate / "key.pem")]
    return ["--engine", engine, "--http", "127.0.0.1:0", "--tcp", "off", "--ws", "off", "--wss", "127.0.0.1:0", *files]

"""What a client promises, it promises in both protocols."""

import pytest


@pytest.fixture(params=["jsonrpc", "wkproto"])
def protocol(request: pytest.FixtureRequest) -> str:
    """What the client speaks: JSON-RPC on a WebSocket, WKProto on TCP."""
    return str(request.param)

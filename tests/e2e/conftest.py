"""What matters most is proved with each WebSocket engine."""

import pytest


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine."""
    return str(request.param)

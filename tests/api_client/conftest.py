"""The client for back-ends, on both of its loops."""

import pytest
from loops import LOOPS


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    """The name of a loop."""
    return str(request.param)

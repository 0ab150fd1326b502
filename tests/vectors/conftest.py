"""Tells at the end of a test run how much of the recordings was replayed."""

import pytest

REPLAYED = pytest.StashKey[list[str]]()


@pytest.fixture
def replayed(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the summary."""
    return request.config.stash.setdefault(REPLAYED, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(REPLAYED, []):
        terminalreporter.write_line(line)

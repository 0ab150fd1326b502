"""What the router counts."""

from msgspec import Struct


class RouterStatistics(Struct):
    """Counters since the start."""

    accepted: int = 0
    refused: int = 0
    repeated: int = 0
    stored: int = 0
    commits: int = 0
    delivered: int = 0

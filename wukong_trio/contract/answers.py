"""What many endpoints answer."""

from typing import Literal

from msgspec import Struct


class Done(Struct, frozen=True):
    """Done. A change is durable, and holds for the next message."""

    status: Literal[200]


class Refused(Struct, frozen=True):
    """Refused for a reason code, and nothing was changed: 19 banned, 24 disbanded."""

    status: Literal[19, 24]


class NotFound(Struct, frozen=True):
    """There is no such message; the HTTP status is 200."""

    status: Literal[404] = 404


class Failure(Struct, frozen=True):
    """Why a request was not served."""

    msg: str
    status: int

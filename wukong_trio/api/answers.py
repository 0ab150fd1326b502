"""What probes are answered. What back-ends are answered is in `contract`.

The description of the API shows these types, so a handler that writes the same by hand has to keep to them.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class Health(Struct, frozen=True, kw_only=True):
    """How the server is; what it is, only for callers with the manager token."""

    status: Literal["ok", "error"]
    version: str | UnsetType = UNSET
    engine: str | UnsetType = UNSET
    durability: str | UnsetType = UNSET


class Unhealthy(Health, frozen=True, kw_only=True):
    """The store fails."""

    message: str


class Ready(Struct, frozen=True):
    """Whether clients should be sent here."""

    ready: bool


class NotReady(Ready, frozen=True):
    """They should not."""

    message: str

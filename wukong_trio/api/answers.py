"""What the handlers answer, where it is neither a list of plain values nor the record of something stored.

The description of the API shows these types, so a handler that writes the same by hand has to keep to them.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from .addresses import Route


class Done(Struct, frozen=True):
    """Done. A change is durable, and holds for the next message."""

    status: Literal[200]


class Refused(Struct, frozen=True):
    """Refused for a reason code, and nothing was changed: 19 banned, 24 disbanded."""

    status: Literal[19, 24]


class Failure(Struct, frozen=True):
    """Why a request was not served."""

    msg: str
    status: int


class Group(Route, frozen=True):
    """Users who connect to the same addresses."""

    uids: Annotated[Raw, list[str]]


class Online(Struct, frozen=True):
    """A device flag with which a user is online."""

    uid: str
    device_flag: int
    online: Literal[1]


class Listed(Struct, frozen=True):
    """A user on a list."""

    id: int
    uid: str


class MessageNames(Struct, frozen=True):
    """All by which a message is known."""

    message_id: int
    message_seq: int
    client_msg_no: str


class SendAnswer(MessageNames, frozen=True, kw_only=True):
    """What became of a message."""

    status: Literal[200]
    data: MessageNames | UnsetType = UNSET
    message_idstr: str
    reason: int


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

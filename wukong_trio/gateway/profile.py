"""Which dialect a client speaks, found out from its `connect`.

The published protocol page calls pushes `message` and ids integers (`doc`); every SDK wants `recv` and strings (`sdk`).
The SDKs give themselves away by the parameters they send.
"""

import re
from typing import Literal, cast
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from ..config import NotificationProfile
from ..protocol.answers import FORM_SDK
from ..protocol.requests import Connect, used_snake_case

Profile = Literal["doc", "sdk", "both"]
_SDK_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[0-9]+")
_SDK_KEYS = frozenset({"deviceId", "deviceFlag", "clientTimestamp"})
_SDK_SNAKE_KEYS = frozenset({"device_id", "device_flag", "client_timestamp"})
_DOC_KEYS = frozenset({"header", "clientKey"})


class Dialect(Struct, frozen=True):
    """How to speak to a session."""

    profile: Profile
    snake: bool
    """Results carry snake_case names beside the documented ones (Android)."""
    objects: bool
    """Payloads that are JSON objects are sent as such (iOS, Android)."""

    @property
    def forms(self) -> tuple[int, ...]:
        """The wire forms of its pushes, in the order in which they are written."""
        return {"doc": (0,), "sdk": (FORM_SDK,), "both": (0, FORM_SDK)}[self.profile]


def choose(connect: Connect, *, binary: bool, target: str, default: NotificationProfile) -> Dialect:
    """The dialect of a client.

    Args:
        binary: `connect` came in a binary frame.
        target: the path and query of the WebSocket request.
        default: the server's setting.
    """
    snake = used_snake_case(connect.keys)
    return Dialect(_profile(connect, binary, target, default), snake, binary or snake)


def _profile(connect: Connect, binary: bool, target: str, default: NotificationProfile) -> Profile:
    for wish in (*parse_qs(urlsplit(target).query).get("profile", ()), connect.params.profile, default):
        if wish in ("doc", "sdk", "both"):
            return cast(Profile, wish)
    keys = connect.keys
    if binary or keys & _SDK_SNAKE_KEYS:
        return "sdk"
    known_id = isinstance(connect.id, str) and _SDK_ID.fullmatch(connect.id) is not None
    return "sdk" if known_id and keys >= _SDK_KEYS and not keys & _DOC_KEYS else "doc"

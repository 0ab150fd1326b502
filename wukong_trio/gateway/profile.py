"""Which dialect a client speaks, found out from its `connect`.

The published protocol page calls pushes `message` and ids integers (`doc`); every SDK wants `recv` and strings (`sdk`).
The SDKs give themselves away by the parameters they send.
"""

import re
from typing import Final, Literal, cast
from urllib.parse import parse_qs

from msgspec import Struct

from ..config import NotificationProfile
from ..protocol.answers import FORM_OBJECT, FORM_SDK
from ..protocol.requests import Connect, used_snake_case

Profile = Literal["doc", "sdk", "both"]
_SDK_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}|[0-9]+")
_SDK_KEYS = frozenset({"deviceId", "deviceFlag", "clientTimestamp"})
_SDK_SNAKE_KEYS = frozenset({"device_id", "device_flag", "client_timestamp"})
_DOC_KEYS = frozenset({"header", "clientKey"})


class Dialect(Struct, frozen=True):
    """How to speak to a session. There are few, and sessions share them."""

    profile: Profile
    snake: bool
    """Results carry snake_case names beside the documented ones (Android)."""
    forms: tuple[int, ...]
    """The forms of pushes, FORM_* bits, in the order in which they are written."""
    object_forms: tuple[int, ...]
    """The same for clients that want payloads which are JSON objects as such (iOS, Android)."""


_FORMS: dict[Profile, tuple[int, ...]] = {"doc": (0,), "sdk": (FORM_SDK,), "both": (0, FORM_SDK)}
DIALECTS: Final = {
    (profile, snake): Dialect(profile, snake, forms, tuple(form | FORM_OBJECT for form in forms))
    for profile, forms in _FORMS.items()
    for snake in (False, True)
}


def choose(connect: Connect, *, binary: bool, target: str, default: NotificationProfile) -> tuple[Dialect, bool]:
    """The dialect of a client, and whether it wants payloads as objects.

    Args:
        binary: `connect` came in a binary frame.
        target: the path and query of the WebSocket request.
        default: the server's setting.
    """
    snake = used_snake_case(connect.keys)
    return DIALECTS[_profile(connect, binary, target, default), snake], binary or snake


def _profile(connect: Connect, binary: bool, target: str, default: NotificationProfile) -> Profile:
    asked = parse_qs(target.partition("?")[2]).get("profile", ()) if "?" in target else ()
    for wish in (*asked, connect.params.profile, default):
        if wish in ("doc", "sdk", "both"):
            return cast(Profile, wish)
    keys = connect.keys
    if binary or keys & _SDK_SNAKE_KEYS:
        return "sdk"
    known_id = isinstance(connect.id, str) and _SDK_ID.fullmatch(connect.id) is not None
    return "sdk" if known_id and keys >= _SDK_KEYS and not keys & _DOC_KEYS else "doc"

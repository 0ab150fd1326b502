"""What the API tells the operator: changes that were made, calls that were refused, endpoints that fail.

Sends are not among the changes; they are counted elsewhere. Nothing secret is logged, and what callers wrote goes into
`extra`, where it cannot pass for a line of its own.
"""

from collections.abc import Mapping
from logging import INFO, WARNING, getLogger
from time import monotonic
from typing import Final

from .guard import Head

log = getLogger(__name__)

BURST: Final = 20
INTERVAL_S: Final = 1.0
SHOWN_CHARACTERS: Final = 200
_NAMES: Final = ("uid", "device_flag", "device_level", "channel_id", "channel_type", "reset")
_FLAGS: Final = ("ban", "disband", "send_ban", "large", "allow_stranger")
_LISTS: Final = ("uids", "subscribers")


class Trickle:
    """Lines that strangers can cause: BURST at once, then one per INTERVAL_S, which says how many were left out."""

    def __init__(self, level: int, message: str) -> None:
        self._level = level
        self._message = message
        self._spent = 0.0
        self._since = 0.0
        self._left_out = 0

    def log(self, extra: Mapping[str, object]) -> None:
        """Logs the line, or counts it."""
        now = monotonic()
        self._spent = max(0.0, self._spent - (now - self._since) / INTERVAL_S)
        self._since = now
        if self._spent > BURST - 1:
            self._left_out += 1
            return
        self._spent += 1
        more = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        log.log(self._level, self._message, extra={**extra, **more})


class Journal:
    """The lines of one server's API."""

    def __init__(self) -> None:
        self._refused = Trickle(INFO, "an HTTP request was refused")
        self._misread = Trickle(INFO, "an HTTP request could not be read")
        self._tls = Trickle(
            WARNING, "TLS on the port of the plain HTTP API: use http://, or put a proxy that speaks TLS in front of it"
        )
        self._failing: set[str] = set()

    def changed(self, head: Head, request: object) -> None:
        """A call that has changed something."""
        facts: dict[str, object] = {
            name: value for name in _NAMES if (value := getattr(request, name, None)) is not None
        }
        facts |= {name: 1 for name in _FLAGS if getattr(request, name, 0) == 1}
        facts |= {name: len(value) for name in _LISTS if (value := getattr(request, name, None)) is not None}
        log.info("changed over the API", extra={"path": head.path, "peer": head.peer, **facts})

    def refused(self, head: Head, http_status: int) -> None:
        """A call that its caller may not make."""
        shown = {"method": head.method, "path": head.path, "host": head.host, "origin": head.origin}
        cut = {name: value[:SHOWN_CHARACTERS] for name, value in shown.items() if value}
        self._refused.log({"http_status": http_status, "peer": head.peer, **cut})

    def misread(self, head: Head, why: str) -> None:
        """A body that is not what its endpoint takes. The answer, which is the original's, does not say why."""
        self._misread.log({"path": head.path, "peer": head.peer, "why": why[:SHOWN_CHARACTERS]})

    def spoke_tls(self, peer: str) -> None:
        """A client that does not speak HTTP but TLS."""
        self._tls.log({"peer": peer})

    def failed(self, path: str, error: object) -> None:
        """An endpoint that the store has failed; said once, until it works again."""
        if path not in self._failing:
            self._failing.add(path)
            log.warning("%s fails: %s", path, error, extra={"path": path})

    def worked(self, path: str) -> None:
        """An endpoint that has had its answer from the store."""
        if path in self._failing:
            self._failing.discard(path)
            log.info("%s works again", path, extra={"path": path})

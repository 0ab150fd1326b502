"""One event's requests to the receiver of webhooks: signed, sent, and judged by their answers."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from logging import getLogger
from time import time
from typing import Final

import trio

from ..version import __version__
from .address import event_url, parse_address
from .connections import Transport
from .pace import Pace

log = getLogger(__name__)

TOTAL_TIMEOUT_S: Final = 30.0
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0


def waits() -> Iterator[float]:
    """How many seconds to wait after each failure."""
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


class Hook:
    """The receiver of one event."""

    def __init__(self, event: str, transport: Transport, url: str, secret: str, pace: Pace) -> None:
        """
        Args:
            secret: as the setting has it: empty, or `whsec_` and a key in base64.
            pace: pays for the requests.
        """
        self.event = event
        self.pace = pace
        self._transport = transport
        self._prefix = _prefix(event_url(url, event))
        self._key = b64decode(secret.partition("_")[2])
        self.failing = False
        """The last request was not accepted."""
        self.requests = 0
        """Those that were accepted."""
        self.failures = 0
        """Those that were not."""

    async def post(self, body: bytes, webhook_id: str) -> bool:
        """Sends a request, for at most TOTAL_TIMEOUT_S, and says whether the receiver has accepted it (2xx).

        Args:
            webhook_id: the same for each repetition of the same body.
        """
        watch, start = self.pace.stopwatch(), trio.current_time()
        problem = ""
        with trio.CancelScope(deadline=start + TOTAL_TIMEOUT_S) as limit:
            try:
                status = await self._transport.exchange(self._head(body, webhook_id.encode()), body, limit, watch)
                if not 200 <= status < 300:
                    problem = f"the answer is {status}"
            except Exception as error:  # whatever a receiver can make the client stumble over
                problem = f"{type(error).__name__}: {error}"
        if limit.cancelled_caught:
            problem = f"no answer within {trio.current_time() - start:.0f} s"
        watch.stop()
        self.pace.spent(watch.elapsed_s)
        if problem:
            self.failures += 1
        else:
            self.requests += 1
        self._note(problem)
        return not problem

    def _head(self, body: bytes, webhook_id: bytes) -> bytes:
        timestamp = int(time())
        signature = b""
        if self._key:
            signed = b"%b.%d.%b" % (webhook_id, timestamp, body)
            signature = b"webhook-signature: v1,%b\r\n" % b64encode(hmac.digest(self._key, signed, "sha256"))
        return b"%bwebhook-id: %b\r\nwebhook-timestamp: %d\r\n%bcontent-length: %d\r\n\r\n" % (
            self._prefix,
            webhook_id,
            timestamp,
            signature,
            len(body),
        )

    def _note(self, problem: str) -> None:
        """Speaks when it begins to fail, and when it is over."""
        if problem and not self.failing:
            log.warning("webhook %s: the receiver does not accept: %s", self.event, problem)
        elif self.failing and not problem:
            log.warning("webhook %s: the receiver accepts again", self.event)
        self.failing = bool(problem)


def _prefix(url: str) -> bytes:
    """What the heads of all requests to an address have in common."""
    address = parse_address(url)
    lines = [
        f"POST {address.target} HTTP/1.1",
        f"host: {address.authority}",
        "content-type: application/json",
        f"user-agent: wukong-trio/{__version__}",
    ]
    if address.userinfo:
        lines.append(f"authorization: Basic {b64encode(address.userinfo).decode()}")
    return "".join(f"{line}\r\n" for line in lines).encode()

"""One event's requests to the receiver of webhooks: signed, sent, and judged by their answers."""

import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from logging import getLogger
from time import time
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes, urlsplit

import trio

from ..version import __version__

if TYPE_CHECKING:
    import httpx

log = getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 10.0
"""For each piece of the answer, its head included, and of the request."""
TOTAL_TIMEOUT_S: Final = 30.0
KEPT_ALIVE_S: Final = 4.0
"""Many servers close after 5 s, and whoever writes to them just then has written in vain."""
REST_TIMEOUT_S: Final = 1.0
"""For so long an answer is read behind its head, and thrown away, to use the connection again."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
_TIMEOUTS: Final = {
    "connect": CONNECT_TIMEOUT_S,
    "read": ANSWER_TIMEOUT_S,
    "write": ANSWER_TIMEOUT_S,
    "pool": TOTAL_TIMEOUT_S,
}


def open_transport(url: str) -> "httpx.AsyncHTTPTransport":
    """The HTTP connections of all events, which have to be closed.

    The transport alone: a whole client of httpx would follow its own opinions on proxies, cookies and passwords in
    ~/.netrc, and log every request with its URL.
    """
    import httpx  # here: it takes long to import, and many servers have no webhooks

    return httpx.AsyncHTTPTransport(
        limits=httpx.Limits(keepalive_expiry=KEPT_ALIVE_S),
        verify=ssl.create_default_context() if urlsplit(url).scheme.lower() == "https" else False,
    )


def event_url(url: str, event: str) -> str:
    """The receiver's address for an event, which joins whatever query there is."""
    parts = urlsplit(url)
    query = f"{parts.query}&event={event}" if parts.query else f"event={event}"
    return parts._replace(query=query).geturl()


def waits() -> Iterator[float]:
    """How many seconds to wait after each failure."""
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


class Hook:
    """The receiver of one event."""

    def __init__(self, event: str, transport: "httpx.AsyncBaseTransport", url: str, secret: str) -> None:
        """
        Args:
            secret: as the setting has it: empty, or `whsec_` and a key in base64.
        """
        import httpx

        self.event = event
        self._transport = transport
        self._request = httpx.Request
        self._url = httpx.URL(event_url(url, event))
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
        try:
            with trio.fail_after(TOTAL_TIMEOUT_S):
                problem = await self._send(body, webhook_id)
        except trio.TooSlowError:
            problem = f"no answer within {TOTAL_TIMEOUT_S:g} s"
        except Exception as error:  # whatever a receiver can make the client stumble over
            problem = f"{type(error).__name__}: {error}"
        if problem:
            self.failures += 1
        else:
            self.requests += 1
        self._note(problem)
        return not problem

    async def _send(self, body: bytes, webhook_id: str) -> str:
        """Returns what is wrong with the answer, nothing if the receiver has accepted."""
        headers = self._headers(body, webhook_id)
        extensions = {"timeout": _TIMEOUTS}
        request = self._request("POST", self._url, headers=headers, content=body, extensions=extensions)
        answer = await self._transport.handle_async_request(request)
        try:
            if not answer.is_success:
                return f"the answer is {answer.status_code}"
            # He has accepted, whatever becomes of the rest. If it is not read to its end, the connection is closed.
            with trio.move_on_after(REST_TIMEOUT_S), suppress(Exception):
                async for _ in answer.aiter_raw():
                    pass
        finally:
            await answer.aclose()
        return ""

    def _headers(self, body: bytes, webhook_id: str) -> dict[str, str]:
        timestamp = str(int(time()))
        headers = {
            "content-type": "application/json",
            "user-agent": f"wukong-trio/{__version__}",
            "webhook-id": webhook_id,
            "webhook-timestamp": timestamp,
        }
        if self._url.userinfo:
            headers["authorization"] = f"Basic {b64encode(unquote_to_bytes(self._url.userinfo)).decode()}"
        if self._key:
            signed = b"%b.%b.%b" % (webhook_id.encode(), timestamp.encode(), body)
            headers["webhook-signature"] = f"v1,{b64encode(hmac.digest(self._key, signed, 'sha256')).decode()}"
        return headers

    def _note(self, problem: str) -> None:
        """Speaks when it begins to fail, and when it is over."""
        if problem and not self.failing:
            log.warning("webhook %s: the receiver does not accept: %s", self.event, problem)
        elif self.failing and not problem:
            log.warning("webhook %s: the receiver accepts again", self.event)
        self.failing = bool(problem)

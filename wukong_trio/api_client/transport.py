"""One server's HTTP API: requests, time limits, and what can go wrong.

httpx's transport is used without its client, which would log every address, and follow proxies and ~/.netrc of the
environment. It runs on Trio and on asyncio, whichever it finds itself in.
"""

import ssl
import sys
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

from ..errors import (
    ApiAnswerError,
    ApiRefusedError,
    ApiServerError,
    ApiTimeoutError,
    ApiUnauthorizedError,
    ApiUnreachableError,
    InvalidArgumentError,
)
from ..version import __version__
from .pool import Pool

KEPT_ALIVE_S: Final = 30.0
"""Less than servers keep an idle connection: who writes just when the other one closes does not know what became of
it."""


class _Failure(msgspec.Struct):
    """What is said beside a status that is not 200."""

    msg: str = ""


class Transport:
    """Sends requests, and gives the bodies of successes."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        connect_timeout_s: float,
        answer_timeout_s: float,
        max_connections: int,
        ssl_context: ssl.SSLContext | None,
        connections: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._url = _checked_url(url)
        self._headers = [(b"user-agent", b"wukong-trio/" + __version__.encode())]
        if token:
            self._headers.append((b"token", _checked_token(token)))
        self._extensions = {
            "timeout": {
                "connect": connect_timeout_s,
                "read": answer_timeout_s,
                "write": answer_timeout_s,
                "pool": answer_timeout_s,
            }
        }
        limits = httpx.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=KEPT_ALIVE_S
        )
        trusted = (ssl_context or ssl.create_default_context()) if self._url.scheme == "https" else False
        self._pool = Pool(
            lambda: connections or httpx.AsyncHTTPTransport(verify=trusted, limits=limits),
            # So half of the connections are there, however many calls are cancelled.
            most_cancelled=max(max_connections // 2, 1) if connections is None else sys.maxsize,
        )

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()

    async def request(self, method: str, path: str, query: Mapping[str, str | int], body: object | None) -> bytes:
        """The body of the answer, whose HTTP status is 200. Nothing is ever sent twice.

        Raises:
            ApiError: there is none; says why.
            InvalidArgumentError: the request cannot be written down.
        """
        request = self._request(method, path, query, body)
        try:
            answer = await self._pool.send(request)
        except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise ApiTimeoutError(_says(request, "no connection in time", error), maybe_done=False) from error
        except httpx.TimeoutException as error:
            raise ApiTimeoutError(_says(request, "no answer in time", error), maybe_done=True) from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise ApiUnreachableError(_says(request, "no connection", error), maybe_done=False) from error
        except httpx.TransportError as error:
            raise ApiUnreachableError(_says(request, "no answer", error), maybe_done=True) from error
        except httpx.HTTPError as error:
            raise ApiAnswerError(_says(request, "this is no answer of WuKongIM", error)) from error
        if answer.status_code != 200:
            raise _failure(request, answer)
        return answer.content

    def _request(self, method: str, path: str, query: Mapping[str, str | int], body: object | None) -> httpx.Request:
        url = self._url.copy_with(path=self._url.path.rstrip("/") + path)
        try:
            content = None if method == "GET" else msgspec.json.encode(body)
        except UnicodeEncodeError:
            raise InvalidArgumentError("request", "holds half a character (a lone surrogate)") from None
        except TypeError as error:
            raise InvalidArgumentError("request", f"cannot be written as JSON: {error}") from None
        headers = self._headers if content is None else [*self._headers, (b"content-type", b"application/json")]
        return httpx.Request(
            method, url, params={**query} or None, headers=headers, content=content, extensions=self._extensions
        )


def _failure(request: httpx.Request, answer: httpx.Response) -> Exception:
    """The error for an answer whose status is not 200."""
    status, message = answer.status_code, _message(answer.content)
    if status == 401:
        return ApiUnauthorizedError(_says(request, "the manager token is missing or wrong"))
    if status >= 500:
        return ApiServerError(status, message)
    if status in (400, 403, 413) and message:
        return ApiRefusedError(status, message)
    what = "there is no such endpoint" if status == 404 else "this is no answer of WuKongIM"
    return ApiAnswerError(_says(request, f"{what}: status {status}, {answer.content[:100]!r}"))


def _message(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Failure).msg
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _says(request: httpx.Request, what: str, error: Exception | None = None) -> str:
    """A text that names the address, but neither parameters nor a password in it."""
    url = request.url.copy_with(username=None, password=None, query=None)
    why = f" ({type(error).__name__}{f': {error}' if str(error) else ''})" if error is not None else ""
    return f"{request.method} {url}: {what}{why}"


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError) as error:
        raise InvalidArgumentError("url", f"is none: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
        raise InvalidArgumentError("url", "is like http://host:5001, without parameters or a password")
    return url


def _checked_token(token: str) -> bytes:
    if any(character < " " or character == "\x7f" for character in token):
        raise InvalidArgumentError("token", "holds control characters")
    return token.encode()

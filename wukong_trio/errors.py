"""Everything wukong_trio raises on purpose.

WukongError
├── ConfigError         a setting is wrong or a resource it names cannot be had; names key, value and cure
├── StoreError          the store could not do it now; nothing was changed (`store.base` has two kinds more)
│   └── StoreOpenError  the store cannot be used at all: unreadable, corrupt, or newer than this program
├── InternalError       a part of the server has ended by a bug; the server was stopped
├── InvalidArgumentError a call of a program is wrong, and nothing was changed; names the argument; also a ValueError
│   └── InvalidCommandError  a `SendCommand` that nobody could send; carries the reason code
├── RefusedError        a rule forbids what a program wants; carries the reason code
│   └── SendRefusedError     a message may not be sent
├── ApiError            a call of `wukong_trio.api_client` has failed
│   ├── ApiRefusedError      the server says no, and nothing was changed; carries its words
│   ├── ApiUnauthorizedError the manager token is missing or wrong
│   ├── ApiServerError       the server cannot do it at the moment
│   ├── ApiUnreachableError  no answer has come; says whether the server may have done it all the same
│   │   └── ApiTimeoutError  ... within the time limits
│   └── ApiAnswerError       who answers is no WuKongIM, or has no such endpoint
├── EventRefusedError   a message does not take this event: the key has ended, or there is no room; says why
├── SearchUnavailableError  the messages cannot be searched now
├── RequestError        a request of a client was refused; carries the protocol's code
├── ConnectionClosed    the client's connection has ended; carries close code and reason
└── MessagesMissed      a client did not take its messages in time; carries how many are gone
"""


class WukongError(Exception):
    """Root of the errors of this package."""


class ConfigError(WukongError):
    """A setting that cannot work. The text names the key, the value and what would be right."""


class StoreError(WukongError):
    """The store refused or failed. Nothing of the call was stored; trying again later is safe."""


class StoreOpenError(StoreError):
    """The store cannot be opened. The text says what to do."""


class InternalError(WukongError):
    """A part of the server has ended although it must not: a bug. The cause is attached; the server was stopped."""


class InvalidArgumentError(WukongError, ValueError):
    """An argument that no call takes: it has the wrong type or an impossible value. Nothing was changed.

    Attributes:
        field: the name of the argument or field.
        problem: what is wrong with it; the text of the error is both.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class InvalidCommandError(InvalidArgumentError):
    """A `SendCommand` that nobody could send: a field has the wrong type or an impossible value. Nothing was sent.

    Attributes:
        reason_code: WuKongIM's reason code, 0 if there is none for this.
    """

    def __init__(self, field: str, problem: str, reason_code: int = 0) -> None:
        super().__init__(field, problem)
        self.reason_code = reason_code


class SearchUnavailableError(WukongError):
    """The messages cannot be searched: not at the moment, then the server's log says why, or not by this server."""

    def __init__(self, text: str = "the search is not available at the moment; the server's log says why") -> None:
        super().__init__(text)


class RefusedError(WukongError):
    """A rule forbids it, for example because a user is banned. Nothing was changed.

    Attributes:
        reason_code: WuKongIM's reason code, a `ReasonCode`.
    """

    def __init__(self, text: str, reason_code: int) -> None:
        super().__init__(text)
        self.reason_code = reason_code


class SendRefusedError(RefusedError):
    """The rules of the channel, or the `before_send` hook, do not let this message pass. Nothing was sent.

    Attributes:
        client_msg_no: that of the command.
    """

    def __init__(self, reason_code: int, reason: str, client_msg_no: str = "") -> None:
        super().__init__(f"the message was refused: {reason} (reason {reason_code})", reason_code)
        self.client_msg_no = client_msg_no


class EventRefusedError(WukongError):
    """A message does not take this event: the key has ended, there is no room for it, or the number belongs to another
    message. The text says which. Nothing has changed, and nobody was told of it."""


class ApiError(WukongError):
    """A call of the HTTP API, made by `wukong_trio.api_client`, has failed."""


class ApiRefusedError(ApiError):
    """The server does not do this, and nothing was changed. The same call will be refused again.

    Attributes:
        http_status: 400 if the request is wrong; 403 and 413 are of this kind as well, and 200 with a `reason_code`.
        message: the server's words, for a developer.
        reason_code: WuKongIM's reason code, for example 19 for a banned channel; 0 if it is none of these.
    """

    def __init__(self, http_status: int, message: str, reason_code: int = 0) -> None:
        super().__init__(f"refused: {message} (HTTP status {http_status})")
        self.http_status = http_status
        self.message = message
        self.reason_code = reason_code


class ApiUnauthorizedError(ApiError):
    """The server wants another manager token than this client has."""


class ApiServerError(ApiError):
    """The server cannot do it at the moment: its store fails, or too much is asked at the same time.

    Attributes:
        http_status: 500 or above.
        message: the server's words, perhaps empty.
    """

    def __init__(self, http_status: int, message: str) -> None:
        super().__init__(f"the server failed: {message or 'it does not say why'} (HTTP status {http_status})")
        self.http_status = http_status
        self.message = message


class ApiUnreachableError(ApiError):
    """No answer has come.

    Attributes:
        maybe_done: the request was on its way, so the server may have done it all the same. Doing the same again is
            safe for everything but sends: these would be further messages.
    """

    def __init__(self, text: str, *, maybe_done: bool) -> None:
        super().__init__(text)
        self.maybe_done = maybe_done


class ApiTimeoutError(ApiUnreachableError):
    """No answer has come within the client's time limits."""


class ApiAnswerError(ApiError):
    """The answer is none of WuKongIM's: somebody else listens there, or a server that has no such endpoint."""


class RequestError(WukongError):
    """The server refused a request of this client.

    Attributes:
        code: the JSON-RPC error code, for example -32004.
        message: the server's words.
        reason_code: WuKongIM's reason code, 0 if the server gave none.
    """

    def __init__(self, code: int, message: str, reason_code: int = 0) -> None:
        super().__init__(
            f"{message} (code {code}, reason {reason_code})" if reason_code else f"{message} (code {code})"
        )
        self.code = code
        self.message = message
        self.reason_code = reason_code


class ConnectionClosed(WukongError):  # noqa: N818 - named like trio's and websockets' own
    """The connection is over.

    Attributes:
        code: the WebSocket close code, 1006 if the peer sent none, 1015 if TLS could not be had.
        reason: the peer's words, perhaps empty.
        reason_code: WuKongIM's reason code from the notice that a kick sends ahead, 0 if there was none.
    """

    def __init__(self, code: int, reason: str = "", reason_code: int = 0) -> None:
        super().__init__(f"connection closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.reason_code = reason_code

    def again(self) -> "ConnectionClosed":
        """The same to raise for one more caller: an exception that is raised twice gathers tracebacks."""
        return ConnectionClosed(self.code, self.reason, self.reason_code)


class MessagesMissed(WukongError):  # noqa: N818 - it tells what happened, like ConnectionClosed
    """A program took its messages too slowly, and the oldest of those that waited were given up.

    Iterating again goes on with the next one. What the server stores can be read from its history.

    Attributes:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(f"{count:,} messages were not taken in time and given up; iterate faster, or read the history")
        self.count = count

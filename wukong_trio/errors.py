"""Everything wukong_trio raises on purpose.

WukongError
├── ConfigError         a setting is wrong or a resource it names cannot be had; names key, value and cure
├── StoreError          the store could not do it now; nothing was changed (`store.base` has two kinds more)
│   └── StoreOpenError  the store cannot be used at all: unreadable, corrupt, or newer than this program
├── InternalError       a part of the server has ended by a bug; the server was stopped
├── InvalidCommandError a program wants something sent that cannot be sent as it is; also a ValueError
├── InvalidSearchError  a program searches for what cannot be searched for; also a ValueError
├── SearchUnavailableError  the messages cannot be searched now
├── SendRefusedError    a message of a program may not be sent; carries the reason code
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


class InvalidCommandError(WukongError, ValueError):
    """A `SendCommand` that nobody could send: a field has the wrong type or an impossible value. Nothing was sent.

    Attributes:
        field: the name of the field.
        problem: what is wrong with it; the text of the error is both.
        reason_code: WuKongIM's reason code, 0 if there is none for this.
    """

    def __init__(self, field: str, problem: str, reason_code: int = 0) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem
        self.reason_code = reason_code


class InvalidSearchError(WukongError, ValueError):
    """A search that makes no sense: a field has an impossible value.

    Attributes:
        field: the name of the field.
        problem: what is wrong with it; the text of the error is both.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class SearchUnavailableError(WukongError):
    """The messages cannot be searched at the moment; the server's log says why. Trying again later is safe."""

    def __init__(self) -> None:
        super().__init__("the search is not available at the moment; the server's log says why")


class SendRefusedError(WukongError):
    """The rules of the channel, or the `before_send` hook, do not let this message pass. Nothing was sent.

    Attributes:
        reason_code: WuKongIM's reason code, a `ReasonCode`.
        client_msg_no: that of the command.
    """

    def __init__(self, reason_code: int, reason: str, client_msg_no: str = "") -> None:
        super().__init__(f"the message was refused: {reason} (reason {reason_code})")
        self.reason_code = reason_code
        self.client_msg_no = client_msg_no


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

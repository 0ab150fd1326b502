"""Everything wukong_trio raises on purpose.

WukongError
├── ConfigError         a setting is wrong or a resource it names cannot be had; names key, value and cure
├── StoreError          the store could not do it now; nothing was changed
│   └── StoreOpenError  the store cannot be used at all: unreadable, corrupt, or newer than this program
├── RequestError        a request was refused; carries the protocol's code
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

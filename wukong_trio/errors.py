"""Everything wukong_trio raises on purpose.

WukongError
├── ConfigError         a setting is wrong or a resource it names cannot be had; names key, value and cure
├── StoreError          the store could not do it now; nothing was changed
│   └── StoreOpenError  the store cannot be used at all: unreadable, corrupt, or newer than this program
├── InternalError       a part of the server has ended by a bug; the server was stopped
├── RequestError        a request was refused; carries the protocol's code
└── ConnectionClosed    the client's connection has ended; carries close code and reason
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
        code: the WebSocket close code, 1006 if the peer sent none.
        reason: the peer's words, perhaps empty.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"connection closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason

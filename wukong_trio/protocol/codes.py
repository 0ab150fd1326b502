"""The numbers of the protocols: error codes of JSON-RPC, close codes, and which reason goes with which error."""

from enum import IntEnum

from msgspec import Struct

from ..model import ReasonCode


class ErrorCode(IntEnum):
    """`error.code` of an answer. -32001..-32007 are WuKongIM's, the others JSON-RPC 2.0's."""

    AUTHENTICATION_FAILED = -32001
    INVALID_PARAMETERS = -32002
    CHANNEL_NOT_FOUND = -32003
    PERMISSION_DENIED = -32004
    RATE_LIMITED = -32005
    TOO_LARGE = -32006
    INVALID_FORMAT = -32007
    METHOD_NOT_FOUND = -32601
    INTERNAL_ERROR = -32603

    @property
    def text(self) -> str:
        """The default `error.message`."""
        return _TEXTS[self]


_TEXTS = {
    ErrorCode.AUTHENTICATION_FAILED: "Authentication failed",
    ErrorCode.INVALID_PARAMETERS: "Invalid parameters",
    ErrorCode.CHANNEL_NOT_FOUND: "Channel not found",
    ErrorCode.PERMISSION_DENIED: "Permission denied",
    ErrorCode.RATE_LIMITED: "Rate limit exceeded",
    ErrorCode.TOO_LARGE: "Message too large",
    ErrorCode.INVALID_FORMAT: "Invalid message format",
    ErrorCode.METHOD_NOT_FOUND: "Method not found",
    ErrorCode.INTERNAL_ERROR: "Internal error",
}

_ERROR_OF_REASON = {
    ReasonCode.AUTH_FAIL: ErrorCode.AUTHENTICATION_FAILED,
    ReasonCode.QUERY_TOKEN_ERROR: ErrorCode.AUTHENTICATION_FAILED,
    ReasonCode.CHANNEL_ID_ERROR: ErrorCode.INVALID_PARAMETERS,
    ReasonCode.NOT_SUPPORT_HEADER: ErrorCode.INVALID_PARAMETERS,
    ReasonCode.CLIENT_KEY_IS_EMPTY: ErrorCode.INVALID_PARAMETERS,
    ReasonCode.NOT_SUPPORT_CHANNEL_TYPE: ErrorCode.INVALID_PARAMETERS,
    ReasonCode.CHANNEL_NOT_EXIST: ErrorCode.CHANNEL_NOT_FOUND,
    ReasonCode.SUBSCRIBER_NOT_EXIST: ErrorCode.PERMISSION_DENIED,
    ReasonCode.IN_BLACKLIST: ErrorCode.PERMISSION_DENIED,
    ReasonCode.NOT_ALLOW_SEND: ErrorCode.PERMISSION_DENIED,
    ReasonCode.NOT_IN_WHITELIST: ErrorCode.PERMISSION_DENIED,
    ReasonCode.BAN: ErrorCode.PERMISSION_DENIED,
    ReasonCode.DISBAND: ErrorCode.PERMISSION_DENIED,
    ReasonCode.SEND_BAN: ErrorCode.PERMISSION_DENIED,
    ReasonCode.CHANNEL_DELETING: ErrorCode.PERMISSION_DENIED,
    ReasonCode.RATE_LIMIT: ErrorCode.RATE_LIMITED,
    ReasonCode.MSG_KEY_ERROR: ErrorCode.INVALID_FORMAT,
    ReasonCode.PAYLOAD_DECODE_ERROR: ErrorCode.INVALID_FORMAT,
}


def error_of_reason(reason: ReasonCode) -> ErrorCode:
    """The error code under which a refusal for this reason is reported."""
    return _ERROR_OF_REASON.get(reason, ErrorCode.INTERNAL_ERROR)


class Close(Struct, frozen=True):
    """How the server ends a connection."""

    code: int
    reason: str


CLOSE_BYE = Close(1000, "bye")
CLOSE_SHUTDOWN = Close(1001, "server shutdown")
CLOSE_PROTOCOL_ERROR = Close(1002, "protocol error")
CLOSE_TOO_MANY_ERRORS = Close(1008, "too many errors")
CLOSE_TOO_BIG = Close(1009, "message too big")
CLOSE_INTERNAL_ERROR = Close(1011, "internal error")
CLOSE_AUTH_TIMEOUT = Close(4001, "authentication timeout")
CLOSE_AUTH_FAILED = Close(4002, "authentication failed")
CLOSE_KICKED = Close(4003, "kicked")
CLOSE_IDLE = Close(4004, "idle timeout")
CLOSE_SLOW_CONSUMER = Close(4005, "slow consumer")
CLOSE_REPLACED = Close(4006, "replaced")

CLOSES = (
    CLOSE_BYE,
    CLOSE_SHUTDOWN,
    CLOSE_PROTOCOL_ERROR,
    CLOSE_TOO_MANY_ERRORS,
    CLOSE_TOO_BIG,
    CLOSE_INTERNAL_ERROR,
    CLOSE_AUTH_TIMEOUT,
    CLOSE_AUTH_FAILED,
    CLOSE_KICKED,
    CLOSE_IDLE,
    CLOSE_SLOW_CONSUMER,
    CLOSE_REPLACED,
)

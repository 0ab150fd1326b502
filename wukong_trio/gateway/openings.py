"""What a client speaks, seen from the first thing it says. A further speech is added here."""

from typing import Final

from ..config import Config
from .jsonrpc import JsonRpcOpening
from .speech import Opening
from .transport import GREETING_BYTES, Transport
from .wkproto import WkProtoOpening

BLANKS: Final = b" \t\r\n"
_JSON: Final = (b"{", b"[")


def choose_opening(config: Config, transport: Transport, target: str, message: bytes) -> Opening | None:
    """The speech in which a connection has begun; None if that cannot be said yet.

    Args:
        target: path and query of a WebSocket's request.
        message: what came first.
    """
    begin = b"" if transport.bare else message.lstrip(BLANKS)[:1]
    if not begin and not transport.bare:
        return None
    if begin in _JSON:
        return JsonRpcOpening(
            transport.remote_address, target, default=config.notification_profile, node_id=config.node_id
        )
    return WkProtoOpening(
        transport.remote_address, encryption=config.encryption, node_id=config.node_id, limit_bytes=GREETING_BYTES
    )

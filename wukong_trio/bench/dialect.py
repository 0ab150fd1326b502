"""How all connections of a load process speak: which pipe, which framing, which speech. Scenarios need not know."""

import ssl
from base64 import b64encode
from collections.abc import Callable

from . import frames, stamps
from .frames import BARE, BINARY, TEXT, Masker
from .jsonrpc import JsonRpc
from .pipes import client_context
from .plan import Plan
from .speech import Speech


class Dialect:
    """What a plan's protocol and URL come to."""

    def __init__(self, plan: Plan) -> None:
        target = plan.target
        self.tls: ssl.SSLContext | None = client_context() if target.is_tls else None
        binary = plan.protocol == "wkproto"
        self.masker: Masker | None = None
        """None without WebSocket."""
        self.wire = BARE
        if target.is_web_socket:
            opcode = BINARY if binary else TEXT
            self.masker = Masker(opcode)
            self.wire = frames.web_socket(self.masker, opcode)
        self.alike = not (binary and plan.encryption)
        """Whether all who listen in a room are sent the same bytes."""
        self.speech: Callable[[int], Speech] = _wkproto(plan, self.wire) if binary else _jsonrpc(plan, self.wire)
        """That of a member."""


def _jsonrpc(plan: Plan, wire: frames.Wire) -> Callable[[int], Speech]:
    padding = b64encode(stamps.padding(plan.payload_bytes))
    return lambda member: JsonRpc(plan, member, wire.frame, padding)


def _wkproto(plan: Plan, wire: frames.Wire) -> Callable[[int], Speech]:
    # Imported here: it takes memory and time, and most runs do without.
    from ..protocol.wkproto_keys import ClientExchange
    from .wkproto import WkProto

    padding = stamps.padding(plan.payload_bytes)
    exchange = ClientExchange() if plan.encryption else None
    return lambda member: WkProto(plan, member, wire.frame, padding, exchange)

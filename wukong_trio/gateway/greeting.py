"""From a new connection to a session: the handshake if there is one, then an answered `connect`.

HANDSHAKE ─► CONNECT ─► VERDICT ─► a session, or the client is sent away

What a client speaks is seen from the first thing it says, and holds until the end.
"""

from enum import Enum, auto
from logging import getLogger

import trio

from ..errors import StoreError
from ..model import DeviceLevel, ReasonCode
from ..protocol.codes import CLOSE_AUTH_FAILED, CLOSE_AUTH_TIMEOUT, CLOSE_PROTOCOL_ERROR, CLOSE_TOO_BIG
from ..protocol.proxy import ProxyHeaderError
from ..services.auth import ConnectInfo
from .framing import Wire
from .gateway import Gateway
from .newcomers import TOO_MANY
from .openings import choose_opening
from .proxied import ProxyHeader
from .session import Session
from .speech import Opening
from .transport import FRAME_COST_BYTES, GREETING_BYTES, Allowance, DisconnectedError, Transport

log = getLogger(__name__)

LATE_S = 0.25
"""A deadline that is noticed so late says nothing about the client: this process did not run."""
SECOND_CHANCE_S = 0.5


class Stage(Enum):
    """What is waited for."""

    HANDSHAKE = auto()
    CONNECT = auto()
    VERDICT = auto()


class Greeting:
    """The opening of one connection."""

    __slots__ = (
        *("_allowance", "_blanks", "_gateway", "_heard_bytes", "_opening", "_target", "_transport", "_wire"),
        "stage",
    )

    def __init__(self, gateway: Gateway, transport: Transport) -> None:
        self._gateway = gateway
        self._transport = transport
        self._target = ""
        self._opening: Opening | None = None
        self._wire: Wire
        self._blanks = b""
        """What came before it could be seen what the client speaks."""
        self._heard_bytes = 0
        self._allowance = Allowance(GREETING_BYTES)
        self.stage = Stage.HANDSHAKE

    async def session(self) -> Session | None:
        """Greets within the time limits; None if the client was sent away.

        Raises:
            DisconnectedError: the client is gone, or there is no handshake.
        """
        transport, config = self._transport, self._gateway.config
        # Without a handshake of its own, `connect` is what a client has to begin with.
        limit_s = config.auth.auth_timeout_s if transport.bare else config.limits.handshake_timeout_s
        deadline, chances = transport.last_inbound + limit_s, 2
        while chances:
            # One scope for both limits: its deadline moves on once, when the handshake is done.
            with transport.awaiting(deadline) as scope:
                if self.stage is Stage.HANDSHAKE:
                    await self._shake_hands()
                    if not transport.bare:
                        scope.deadline = trio.current_time() + config.auth.auth_timeout_s
                while self._info is None:
                    await self._listen()
                    if transport.closing is not None:
                        return None
                self.stage = Stage.VERDICT
                return await self._admit(self._info)
            chances = chances - 1 if self._was_asleep(scope.deadline) else 0
            deadline = trio.current_time() + SECOND_CHANCE_S
        self._time_is_up()
        return None

    @property
    def _info(self) -> ConnectInfo | None:
        """What the client wants, once that is known."""
        return None if self._opening is None else self._opening.info

    async def _shake_hands(self) -> None:
        if self._transport.proxy_header is not None:
            await self._learn_address(self._transport.proxy_header)
        try:
            self._target = await self._transport.open()
        except DisconnectedError as refused:
            if self._transport.bare:
                raise DisconnectedError(f"closed, {refused}", violation=refused.violation) from None
            raise DisconnectedError(f"closed, no WebSocket handshake: {refused}", violation=True) from None
        self._gateway.statistics.connections += 1
        self.stage = Stage.CONNECT

    async def _learn_address(self, header: ProxyHeader) -> None:
        """Finds out whose connection this is that a proxy has opened."""
        transport, newcomers = self._transport, self._gateway.newcomers
        try:
            address = await header.read()
        except ProxyHeaderError as error:
            raise DisconnectedError(f"closed, {error}", violation=True) from None
        transport.proxy_header = None
        if address is not None:
            newcomers.discard(transport)
            transport.remote_address = f"{address[0]}:{address[1]}"
            if not newcomers.admit(transport):
                raise DisconnectedError(TOO_MANY, violation=True)

    def _was_asleep(self, deadline: float) -> bool:
        """Whether time is up only because this process did not run, though the client has done its part."""
        late = trio.current_time() - deadline > LATE_S
        return late and self._transport.closing is None and (self._info is not None or self._transport.has_unread())

    def _time_is_up(self) -> None:
        if self._transport.closing is None:
            if self.stage is Stage.HANDSHAKE:
                if self._transport.proxy_header is not None:
                    awaited = "PROXY protocol header"
                else:
                    awaited = "TLS handshake" if self._transport.bare else "WebSocket handshake"
                raise DisconnectedError(f"closed, no {awaited}: not in time", violation=True)
            self._transport.close(CLOSE_AUTH_TIMEOUT)

    async def _listen(self) -> None:
        """Takes what comes next; all but the beginning of a good `connect` ends the connection."""
        message, binary = await self._transport.receive(self._allowance)
        self._heard_bytes += len(message)
        opening = self._opening
        if opening is None:
            opening = self._opening = choose_opening(self._gateway.config, self._transport, self._target, message)
            if opening is None:
                # To some speeches blanks are not nothing; one is as much as many.
                self._blanks = message[:1]
                return
            self._wire = self._transport.speak(text=opening.text)
            message = self._blanks + message
        elif not self._transport.bare and not self._allowance.spend(FRAME_COST_BYTES):
            self._transport.close(CLOSE_TOO_BIG)
            return
        refusal = opening.hear(message, binary=binary)
        if refusal is not None:
            if refusal.answer is not None:
                self._transport.offer(refusal.answer)
            self._transport.close(refusal.why)

    async def _admit(self, info: ConnectInfo) -> Session | None:
        gateway, opening = self._gateway, self._opening
        assert opening is not None
        gateway.statistics.connects += 1
        gateway.statistics.connect_bytes += self._heard_bytes
        if (prepare := opening.preparation) is not None:
            await trio.to_thread.run_sync(prepare, abandon_on_cancel=True)
        expected = gateway.registry.expect(info.uid, info.device_flag)
        try:
            verdict = await gateway.authentication.check(info)
            while expected.kicked:
                # Sent away meanwhile: what was found out may not be true any more.
                expected.kicked = False
                verdict = await gateway.authentication.check(info)
        except StoreError as error:
            gateway.login_failed(error)
            self._refuse(ReasonCode.SYSTEM_ERROR)
            return None
        finally:
            gateway.registry.forget(expected)
        if verdict.reason is not ReasonCode.SUCCESS:
            self._refuse(verdict.reason)
            return None
        return self._enter(info, verdict.level)

    def _refuse(self, reason: ReasonCode) -> None:
        opening = self._opening
        assert opening is not None
        assert opening.info is not None
        self._gateway.statistics.turned_away[reason] += 1
        if reason is not ReasonCode.SYSTEM_ERROR:
            log.info("%s: %r was refused: %s", opening.info.remote_address, opening.info.uid, reason.wire_name)
        answer = opening.encode_refusal(reason)
        if answer is not None:
            self._count_connack(answer)
            self._transport.offer(answer)
        self._transport.close(CLOSE_AUTH_FAILED)

    def _count_connack(self, answer: bytes) -> None:
        statistics = self._gateway.statistics
        statistics.connacks += 1
        statistics.connack_bytes += len(answer)

    def _enter(self, info: ConnectInfo, level: DeviceLevel) -> Session | None:
        opening = self._opening
        assert opening is not None
        if not opening.may_speak_early and self._transport.take_early():
            self._transport.close(CLOSE_PROTOCOL_ERROR)
            return None
        entered = opening.enter(self._wire)
        if isinstance(entered, ReasonCode):
            self._refuse(entered)
            return None
        self._count_connack(entered.welcome)
        session = Session(self._gateway, self._transport, entered.speech, info, level)
        session.enter(entered.welcome)
        return session

"""From a new connection to a session: the WebSocket handshake, then an answered `connect`.

HANDSHAKE ─► CONNECT ─► VERDICT ─► a session, or the client is sent away
"""

import re
import time
from enum import Enum, auto
from logging import getLogger
from typing import NamedTuple

import trio

from ..errors import StoreError
from ..model import SPECIAL_CHARACTERS, SYSTEM_DEVICE_ID, ReasonCode
from ..protocol.answers import encode_connect_result, encode_error, encode_refusal
from ..protocol.codes import CLOSE_AUTH_FAILED, CLOSE_AUTH_TIMEOUT, CLOSE_UNSUPPORTED, ErrorCode
from ..protocol.requests import Connect, ConnectParams, Invalid, decode_first, fits
from ..services.addressing import MAX_ID_BYTES
from ..services.auth import ConnectInfo, Verdict
from . import profile
from .gateway import Gateway
from .session import Session
from .transport import DisconnectedError, Transport

log = getLogger(__name__)

MAX_TOKEN_BYTES = 4096
LATE_S = 0.25
"""A deadline that is noticed so late says nothing about the client: this process did not run."""
SECOND_CHANCE_S = 0.5
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


class Stage(Enum):
    """What is waited for."""

    HANDSHAKE = auto()
    CONNECT = auto()
    VERDICT = auto()


class _Wish(NamedTuple):
    """A `connect` that is well-formed."""

    connect: Connect
    binary: bool
    """It came in a binary frame."""
    info: ConnectInfo


class Greeting:
    """The opening of one connection."""

    __slots__ = ("_gateway", "_target", "_transport", "_wish", "stage")

    def __init__(self, gateway: Gateway, transport: Transport) -> None:
        self._gateway = gateway
        self._transport = transport
        self._target = ""
        self._wish: _Wish | None = None
        self.stage = Stage.HANDSHAKE

    async def session(self) -> Session | None:
        """Greets within the time limits; None if the client was sent away.

        Raises:
            DisconnectedError: the client is gone, or there is no handshake.
        """
        transport = self._transport
        deadline, chances = transport.last_inbound + self._gateway.config.limits.handshake_timeout_s, 2
        while chances:
            # One scope for both limits: its deadline moves on once, when the handshake is done.
            with transport.awaiting(deadline) as scope:
                if self.stage is Stage.HANDSHAKE:
                    await self._shake_hands()
                    scope.deadline = trio.current_time() + self._gateway.config.auth.auth_timeout_s
                while self._wish is None:
                    self._read_first(*await transport.receive())
                    if transport.closing is not None:
                        return None
                self.stage = Stage.VERDICT
                return await self._admit(self._wish)
            chances = chances - 1 if self._was_asleep(scope.deadline) else 0
            deadline = trio.current_time() + SECOND_CHANCE_S
        self._time_is_up()
        return None

    async def _shake_hands(self) -> None:
        try:
            self._target = await self._transport.open()
        except DisconnectedError as refused:
            raise DisconnectedError(f"closed, no WebSocket handshake: {refused}", violation=True) from None
        self._gateway.statistics.connections += 1
        self.stage = Stage.CONNECT

    def _was_asleep(self, deadline: float) -> bool:
        """Whether time is up only because this process did not run, though the client has done its part."""
        late = trio.current_time() - deadline > LATE_S
        return late and self._transport.closing is None and (self._wish is not None or self._transport.has_unread())

    def _time_is_up(self) -> None:
        if self._transport.closing is None:
            if self.stage is Stage.HANDSHAKE:
                raise DisconnectedError("closed, no WebSocket handshake: not in time", violation=True)
            self._transport.close(CLOSE_AUTH_TIMEOUT)

    def _read_first(self, message: bytes, binary: bool) -> None:
        """Finds out what a message wants while there is no session; all but a good `connect` ends the connection."""
        begin = message.lstrip()[:1]
        if not begin:
            return
        if begin not in (b"{", b"["):
            self._transport.close(CLOSE_UNSUPPORTED)
            return
        connect = decode_first(message)
        if isinstance(connect, Connect):
            wrong = _wrong_field(connect.params)
            if not wrong:
                self._wish = _Wish(connect, binary, _info(connect.params, self._transport.remote_address))
                return
            connect = Invalid(connect.id, ErrorCode.INVALID_PARAMETERS, wrong)
        self._refuse(encode_error(connect.id, connect.code, connect.message) if connect is not None else None)

    def _refuse(self, answer: bytes | None) -> None:
        if answer is not None:
            self._transport.offer(answer)
        self._transport.close(CLOSE_AUTH_FAILED)

    async def _admit(self, wish: _Wish) -> Session | None:
        gateway, info, id_ = self._gateway, wish.info, wish.connect.id
        expected = gateway.registry.expect(info.uid, info.device_flag)
        try:
            verdict = await gateway.authentication.check(info)
            while expected.kicked:
                # Sent away meanwhile: what was found out may not be true any more.
                expected.kicked = False
                verdict = await gateway.authentication.check(info)
        except StoreError as error:
            gateway.login_failed(error)
            self._refuse(encode_refusal(id_, ReasonCode.SYSTEM_ERROR))
            return None
        finally:
            gateway.registry.forget(expected)
        if verdict.reason is not ReasonCode.SUCCESS:
            log.info("%s: %r was refused: %s", info.remote_address, info.uid, verdict.reason.wire_name)
            self._refuse(encode_refusal(id_, verdict.reason))
            return None
        return self._enter(wish, verdict)

    def _enter(self, wish: _Wish, verdict: Verdict) -> Session:
        gateway, connect, info = self._gateway, wish.connect, wish.info
        dialect, objects = profile.choose(
            connect,
            binary=wish.binary,
            target=self._target,
            default=gateway.config.notification_profile,
            framed=self._transport.form,
        )
        session = Session(
            gateway,
            self._transport,
            dialect,
            objects=objects,
            uid=info.uid,
            device_flag=info.device_flag,
            device_id=info.device_id,
            level=verdict.level,
        )
        client_timestamp = connect.params.client_timestamp or 0
        welcome = encode_connect_result(
            connect.id,
            time_diff=int(time.time() * 1000) - client_timestamp if client_timestamp else 0,
            node_id=gateway.config.node_id,
            version=connect.params.version or 0,
            snake=dialect.snake,
        )
        session.enter(welcome)
        return session


def _wrong_field(params: ConnectParams) -> str:
    """The rules for the fields of `connect` that types cannot express."""
    uid = params.uid
    if not uid.strip() or not SPECIAL_CHARACTERS.isdisjoint(uid) or _CONTROL_CHARACTER.search(uid):
        return "uid is blank or holds @, #, & or control characters"
    if not fits(uid, MAX_ID_BYTES) or not fits(params.device_id or "", MAX_ID_BYTES):
        return f"uid or deviceId is longer than {MAX_ID_BYTES} bytes"
    if not fits(params.token, MAX_TOKEN_BYTES):
        return f"token is longer than {MAX_TOKEN_BYTES} bytes"
    if not 0 <= (params.device_flag or 0) <= 255:
        return "deviceFlag is a number from 0 to 255"
    return ""


def _info(params: ConnectParams, remote_address: str) -> ConnectInfo:
    device_id = params.device_id or ""
    return ConnectInfo(
        uid=params.uid,
        token=params.token,
        device_id="" if device_id == SYSTEM_DEVICE_ID else device_id,
        device_flag=params.device_flag or 0,
        remote_address=remote_address,
    )

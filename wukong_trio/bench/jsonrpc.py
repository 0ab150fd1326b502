"""The JSON-RPC of a load generator."""

from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from . import stamps
from .plan import Plan
from .speech import Delivery, Ear, ProtocolError
from .stamps import read_stamp

_ALIVE: Final = "alive"
_KEEP_ALIVE: Final = b'{"jsonrpc":"2.0","method":"ping","params":{},"id":"alive"}'


class _Header(Struct, frozen=True, gc=False):
    dup: bool = False


_PLAIN: Final = _Header()


class Push(Struct, gc=False, rename="camel"):
    """The parameters of a push. The defaults are for other notifications."""

    header: _Header = _PLAIN
    message_id: int | str = ""
    message_seq: int = 0
    payload: bytes = b""


class _Result(Struct, gc=False, rename="camel"):
    reason_code: int = 1
    server_version: int = 0


class _Error(Struct, gc=False):
    code: int
    message: str = ""


class Incoming(Struct, gc=False):
    """A message of the server, as far as a load generator looks at it."""

    id: int | str | None = None
    method: str = ""
    params: Push | None = None
    result: _Result | None = None
    error: _Error | None = None

    @property
    def problem(self) -> str:
        """Why it is no success, in words; empty if it is. Some servers report failures as results, too."""
        if self.error is not None:
            return f"{self.error.message} (code {self.error.code})"
        if self.result is None:
            return "neither result nor error"
        return "" if self.result.reason_code == 1 else f"reason {self.result.reason_code}"


decode: Final = msgspec.json.Decoder(Incoming).decode
"""Raises `msgspec.MsgspecError` for anything that is not JSON-RPC."""


def connect_request(uid: str, token: str, device_id: str, *, acknowledges: bool = True) -> bytes:
    """As the SDKs send it: with these parameters servers answer in the SDKs' dialect, and wait for `recvack`s.

    Args:
        acknowledges: False leaves out what makes a client an SDK, so that servers do not wait.
    """
    params = {"uid": uid, "token": token, "deviceId": device_id, "deviceFlag": 1}
    if acknowledges:
        params["clientTimestamp"] = 0
    return msgspec.json.encode({"jsonrpc": "2.0", "method": "connect", "params": params, "id": "0"})


def recvack(params: Push) -> bytes:
    """The receipt for a push."""
    id_ = params.message_id
    text = b'"%b"' % id_.encode() if isinstance(id_, str) else b"%d" % id_
    return b'{"jsonrpc":"2.0","method":"recvack","params":{"header":{},"messageId":%b,"messageSeq":%d}}' % (
        text,
        params.message_seq,
    )


def send_template(prefix: str, sender: int, channel_id: str, channel_type: int) -> bytes:
    """A `send` for `%`: number, digits and padding in base64, number."""
    number = f"{prefix}-{sender}-%d"
    payload = f"{b64encode(stamps.OPENING).decode()}%b%b"
    return (
        f'{{"jsonrpc":"2.0","method":"send","params":{{"clientMsgNo":"{number}","channelId":"{channel_id}",'
        f'"channelType":{channel_type:d},"header":{{"redDot":true}},"payload":"{payload}"}},"id":"%d"}}'
    ).encode()


class JsonRpc:
    """A `Speech`: JSON-RPC as the SDKs speak it."""

    __slots__ = ("_frame", "_member", "_padding", "_plan", "_template", "server_version")

    def __init__(self, plan: Plan, member: int, frame: Callable[[bytes], bytes], padding: bytes) -> None:
        """Args:
        frame: puts a receipt into a frame.
        padding: the end of every payload, in base64.
        """
        self._plan = plan
        self._member = member
        self._frame = frame
        self.server_version = 0
        self._template = send_template(plan.prefix, member, *plan.channel(member))
        self._padding = padding

    def connect(self) -> bytes:
        """Part of `Speech`."""
        plan = self._plan
        uid, device_id = plan.uid(self._member), f"d{self._member}"
        return connect_request(uid, plan.token, device_id, acknowledges=plan.recvack)

    def welcome(self, message: memoryview) -> None:
        """Part of `Speech`."""
        try:
            answer = decode(message)
        except msgspec.MsgspecError as error:
            raise ProtocolError(str(error)) from None
        if answer.problem:
            raise ProtocolError(f"the server refused {self._plan.uid(self._member)}: {bytes(message).decode()}")
        self.server_version = answer.result.server_version if answer.result else 0

    def send(self, number: int, due_us: int) -> bytes:
        """Part of `Speech`."""
        digits = b2a_base64(stamps.digits(self._member, number, due_us), newline=False)
        return self._template % (number, digits, self._padding, number)

    def ping(self, number: int) -> bytes:
        """Part of `Speech`."""
        return b'{"jsonrpc":"2.0","method":"ping","params":{},"id":"%d"}' % number

    def keep_alive(self) -> bytes:
        """Part of `Speech`."""
        return _KEEP_ALIVE

    def hear(self, messages: list[memoryview], ear: Ear, at_us: int) -> None:
        """Part of `Speech`."""
        for text in messages:
            try:
                message = decode(text)
            except msgspec.MsgspecError as error:
                raise ProtocolError(str(error)) from None
            push = message.params
            if message.id is not None:
                if message.id == _ALIVE:
                    ear.on_alive()
                else:
                    ear.on_answer(message.id, message.problem, at_us)
            elif push is not None and message.method in ("recv", "message"):
                receipt = self._frame(recvack(push)) if self._plan.recvack else b""
                try:
                    stamp = read_stamp(push.payload)
                except ValueError:
                    ear.on_foreign(receipt, "")
                else:
                    ear.on_delivery(Delivery(stamp, push.message_seq, push.header.dup, text, receipt), at_us)
            elif message.error is not None:
                ear.on_complaint(f"an error without id: {message.error.message}")

"""What a connection says and hears, whatever the protocol. Plain code over messages, no I/O.

A speech makes the messages that a scenario wants sent and tells an ear what those of the server mean. How messages lie
in the bytes of a connection is the business of `frames`. The speeches are `jsonrpc` and `wkproto`.
"""

from typing import NamedTuple, Protocol

from .frames import ProtocolError as ProtocolError
from .stamps import Stamp


class Delivery(NamedTuple):
    """One push that was read."""

    stamp: Stamp
    message_seq: int
    repeated: bool
    """The server marks it as sent before."""
    message: memoryview
    """What was read."""
    receipt: bytes
    """The frame that acknowledges it; empty if nothing is acknowledged."""


class Ear(Protocol):
    """Whoever wants to know what the server says."""

    def on_answer(self, number: object, problem: str, at_us: int) -> None:
        """The answer to a request. `number` is the request's, if all is well; `problem` says why it was refused."""

    def on_alive(self) -> None:
        """The answer to a keep-alive."""

    def on_delivery(self, delivery: Delivery, at_us: int) -> None:
        """A message of somebody."""

    def on_foreign(self, receipt: bytes, problem: str) -> None:
        """A message that no load generator has sent, or that does not hold what it should."""

    def on_complaint(self, problem: str) -> None:
        """An error that belongs to no request."""


class Speech(Protocol):
    """What one connection says and hears. All messages are still without frames, but for receipts."""

    server_version: int
    """Of the protocol, as the server names it in its answer to `connect`; 0 if it does not."""

    def connect(self) -> bytes:
        """The first message."""

    def welcome(self, message: memoryview) -> None:
        """Reads the answer to it.

        Raises:
            ProtocolError: the server refused.
        """

    def send(self, number: int, due_us: int) -> bytes:
        """A message to the connection's channel, whose answer carries the number."""

    def ping(self, number: int) -> bytes:
        """A ping, whose answer is heard as that of the number."""

    def keep_alive(self) -> bytes:
        """A ping, whose answer is a sign of life."""

    def hear(self, messages: list[memoryview], ear: Ear, at_us: int) -> None:
        """Tells what messages of the server mean.

        Raises:
            ProtocolError: one cannot be read.
        """

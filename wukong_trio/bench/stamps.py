"""What a load generator writes into the payload of a message, to know it again. Bytes only, no I/O."""

from typing import Final, NamedTuple


class Stamp(NamedTuple):
    """What tells a message from all others."""

    sender: int
    number: int
    """Counts from 1 for each sender."""
    due_us: int
    """When it should have been sent, on the monotonic clock, which all processes of a machine share."""


OPENING: Final = b'{"type":1,"content":"'
"""The beginning of every payload. Its length, like that of the digits, is a multiple of three, so that base64 of the
parts can be joined."""
DIGITS: Final = 33
"""The length of a written stamp."""
_END: Final = len(OPENING) + DIGITS
MIN_PAYLOAD_BYTES: Final = _END + 2


def digits(sender: int, number: int, due_us: int) -> bytes:
    """A stamp as it is written, behind `OPENING`."""
    return b"%08d%010d%015d" % (sender, number, due_us)


def read_digits(text: str | bytes) -> Stamp:
    """A stamp from its digits.

    Raises:
        ValueError: there are none.
    """
    return Stamp(int(text[:8]), int(text[8:18]), int(text[18:]))


def read_stamp(payload: bytes) -> Stamp:
    """What a received payload says.

    Raises:
        ValueError: it is none of ours.
    """
    if payload[: len(OPENING)] != OPENING:
        raise ValueError("a payload without a stamp")
    return read_digits(payload[len(OPENING) : _END])


def padding(payload_bytes: int) -> bytes:
    """What ends a payload of that size, behind the digits."""
    return b"x" * (payload_bytes - MIN_PAYLOAD_BYTES) + b'"}'

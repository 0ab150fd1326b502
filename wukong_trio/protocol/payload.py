"""The `payload` of a `send`: the forms in which clients write it, and the bytes it means.

A payload is a byte string to the server. Most clients write it in base64; iOS writes a JSON object, Android an object
or JSON text. The first character tells them apart, because `{`, `[` and `"` are not in the base64 alphabet.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64

import msgspec

from .nesting import too_deep

_decode_str = msgspec.json.Decoder(str).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_BLANKS = " \t\r\n"


class PayloadError(ValueError):
    """The payload is none of the accepted forms."""


def read_payload(text: bytes) -> bytes:
    """The bytes that a JSON value stands for.

    Args:
        text: the JSON text of the value, without surrounding white space, well-formed.

    Raises:
        PayloadError: it is a number, a boolean, `null`, or a string that is neither base64 nor JSON.
    """
    first = text[:1]
    if first == b'"':
        try:
            return a2b_base64(text[1:-1], strict_mode=True)
        except Base64Error:
            return _read_string(text)
    if first in (b"{", b"["):
        return text
    raise PayloadError("payload is neither a string nor an object")


def _read_string(quoted: bytes) -> bytes:
    try:
        text = _decode_str(quoted)
    except msgspec.DecodeError as error:  # what reads a message skips this string without looking at its escapes
        raise PayloadError("payload is not a valid JSON string") from error
    if text.lstrip(_BLANKS)[:1] not in ("{", "[", '"'):
        return read_base64(text)
    payload = text.encode()
    if not _is_json(payload):
        raise PayloadError("payload text is not valid JSON")
    return payload


def _is_json(text: bytes) -> bool:
    if too_deep(text):
        return False
    try:
        _decode_raw(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def read_base64(text: str) -> bytes:
    """The bytes of a base64 text with padding; line breaks in it are ignored.

    Raises:
        PayloadError: it is something else.
    """
    try:
        return a2b_base64(text.replace("\r", "").replace("\n", ""), strict_mode=True)
    except ValueError as error:
        raise PayloadError("payload is not base64") from error


def is_json_object(payload: bytes) -> bool:
    """Whether these bytes are one valid JSON object, nested no deeper than a message may be.

    Then they may be inlined for clients that want an object.
    """
    if payload.lstrip()[:1] != b"{" or not _is_json(payload):
        return False
    try:
        payload.isascii() or payload.decode()  # msgspec does not look into what it skips
    except UnicodeDecodeError:
        return False
    return True

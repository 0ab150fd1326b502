"""The `payload` of a `send`: the forms in which clients write it, and the bytes it means.

A payload is a byte string to the server. Most clients write it in base64; iOS writes a JSON object, Android an object
or JSON text. The first character tells them apart, because `{`, `[` and `"` are not in the base64 alphabet.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64

import msgspec

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
            return _read_text(_decode_str(text))
    if first in (b"{", b"["):
        return text
    raise PayloadError("payload is neither a string nor an object")


def _read_text(text: str) -> bytes:
    if text.lstrip(_BLANKS)[:1] in ("{", "[", '"'):
        try:
            _decode_raw(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise PayloadError("payload text is not valid JSON") from error
        return text.encode()
    return read_base64(text)


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
    """Whether these bytes are one valid JSON object (and may be inlined for clients that want one)."""
    if payload.lstrip()[:1] != b"{":
        return False
    try:
        _decode_raw(payload)
        payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True

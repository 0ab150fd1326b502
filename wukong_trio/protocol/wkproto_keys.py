"""The encryption of WKProto between one client and the server: key agreement, payloads, signatures.

X25519 gives both sides a secret; AES-128-CBC with one IV for all messages of a connection hides payloads; `msg_key` is
the MD5 of encrypted fields. That is weaker than TLS, and no substitute for it; clients insist on it.

`cryptography` is imported at the first use: a server without WKProto clients does without its memory.
"""

import sys
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from hashlib import md5
from secrets import choice
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ..errors import WukongError
from .wkproto import LATEST_VERSION, Recv, Send
from .wkproto_writer import recv_parts_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
    from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

_Mode = TypeVar("_Mode", "CBC", "ECB")

BLOCK_BYTES: Final = 16
_MODULE: Final = "cryptography.hazmat.primitives.asymmetric.x25519"
_SALT_ALPHABET: Final = ascii_letters + digits
_PADDINGS: Final = tuple(bytes((size,)) * size for size in range(BLOCK_BYTES + 1))


def is_prepared() -> bool:
    """Whether what `agree` needs has been imported."""
    return _MODULE in sys.modules


def prepare() -> None:
    """Imports it, which takes some ten milliseconds once: better in a thread than where others wait."""
    agree(ClientExchange().client_key).keys.sign(b"")


class KeyExchangeError(WukongError):
    """The peer's part of the key agreement is no use."""


class CiphertextError(WukongError):
    """A payload that does not decrypt."""


class SessionKeys:
    """What encrypts and signs the messages of one connection.

    Every message starts from the IV. A context of AES-CBC costs more than a short message, so one is kept for each
    direction. CBC mixes each block with the block of ciphertext before: so the IV itself goes ahead of what is to be
    decrypted, and ahead of what is to be encrypted a block of which the ciphertext is the IV. Either comes out as a
    block that is thrown away.
    """

    __slots__ = ("_decryptor", "_encryptor", "_iv_decrypted", "_lead", "aes_iv", "aes_key")

    def __init__(self, aes_key: bytes, aes_iv: bytes) -> None:
        """Args:
        aes_key: 16 bytes.
        aes_iv: 16 bytes.
        """
        self.aes_key = aes_key
        self.aes_iv = aes_iv
        self._encryptor: CipherContext | None = None
        self._decryptor: CipherContext | None = None
        self._iv_decrypted = 0
        self._lead = b""
        """The block to encrypt next: its ciphertext will be the IV."""

    def encrypt(self, plaintext: bytes) -> bytes:
        """The payload as it travels: base64 text."""
        encryptor = self._encryptor or self._begin_to_encrypt()
        raw = encryptor.update(self._lead + plaintext + _PADDINGS[BLOCK_BYTES - len(plaintext) % BLOCK_BYTES])
        self._lead = (int.from_bytes(raw[-BLOCK_BYTES:], "big") ^ self._iv_decrypted).to_bytes(BLOCK_BYTES, "big")
        return b2a_base64(raw[BLOCK_BYTES:], newline=False)

    def _begin_to_encrypt(self) -> "CipherContext":
        from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

        self._iv_decrypted = int.from_bytes(self._cipher(ECB()).decryptor().update(self.aes_iv), "big")
        encryptor = self._encryptor = self._cipher(CBC(self.aes_iv)).encryptor()
        first = self._iv_decrypted ^ int.from_bytes(self.aes_iv, "big")
        self._lead = first.to_bytes(BLOCK_BYTES, "big")
        return encryptor

    def decrypt(self, text: bytes) -> bytes:
        """The plaintext of a payload.

        Raises:
            CiphertextError: it is not base64, not whole blocks, or badly padded.
        """
        try:
            raw = _decode_base64(text)
        except ValueError:
            raise CiphertextError("the payload is not base64") from None
        if not raw or len(raw) % BLOCK_BYTES:
            raise CiphertextError("the payload is not whole blocks")
        decryptor = self._decryptor or self._begin_to_decrypt()
        padded = decryptor.update(self.aes_iv + raw)
        padding = padded[-1]
        if not 0 < padding <= BLOCK_BYTES or not padded.endswith(_PADDINGS[padding]):
            raise CiphertextError("the payload is badly padded")
        return padded[BLOCK_BYTES:-padding]

    def _begin_to_decrypt(self) -> "CipherContext":
        from cryptography.hazmat.primitives.ciphers.modes import CBC

        decryptor = self._decryptor = self._cipher(CBC(self.aes_iv)).decryptor()
        return decryptor

    def sign(self, text: bytes) -> bytes:
        """The `msg_key` of a text: 32 lower-case hexadecimal digits."""
        return md5(self.encrypt(text), usedforsecurity=False).hexdigest().encode()

    def _cipher(self, mode: "_Mode") -> "Cipher[_Mode]":
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES

        return Cipher(AES(self.aes_key), mode)


def send_sign_text(packet: Send) -> bytes:
    """What the `msg_key` of a SEND signs."""
    head = f"{packet.client_seq}{packet.client_msg_no}{packet.channel_id}{packet.channel_type}"
    return head.encode() + packet.payload


def recv_sign_text(packet: Recv) -> bytes:
    """What the `msg_key` of a RECV signs, the same in every version. A server with many receivers of one message puts
    it together from `RecvParts.signed`, once for all, and the payload of each."""
    return recv_parts_of(packet, LATEST_VERSION).signed + packet.payload


class Agreement(NamedTuple):
    """The server's side of an agreement: what CONNACK says, and the keys."""

    server_key: str
    salt: str
    keys: SessionKeys


def agree(client_key: str) -> Agreement:
    """Agrees on keys with a client, for one connection.

    Args:
        client_key: that of its CONNECT.

    Raises:
        KeyExchangeError: it is not base64 of 32 bytes, or one of the keys that make any secret zero.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private_key = X25519PrivateKey.generate()
    salt = "".join(choice(_SALT_ALPHABET) for _ in range(BLOCK_BYTES))
    return Agreement(public_key_of(private_key), salt, derive(private_key, client_key, salt))


class ClientExchange:
    """The client's side of an agreement, for one connection."""

    __slots__ = ("_private_key", "client_key")

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        self._private_key = X25519PrivateKey.generate()
        self.client_key = public_key_of(self._private_key)
        """What CONNECT says."""

    def finish(self, server_key: str, salt: str) -> SessionKeys:
        """The keys, from what CONNACK says.

        Raises:
            KeyExchangeError: `server_key` is not base64 of 32 bytes or makes any secret zero, or `salt` is too short.
        """
        return derive(self._private_key, server_key, salt)


def public_key_of(private_key: "X25519PrivateKey") -> str:
    """The public key as packets carry it."""
    return b64encode(private_key.public_key().public_bytes_raw()).decode()


def derive(private_key: "X25519PrivateKey", peer_key: str, salt: str) -> SessionKeys:
    """The keys that both sides get. Of a salt of more than 16 bytes the first 16 count, as in other clients.

    Raises:
        KeyExchangeError: as `agree` and `ClientExchange.finish`.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        raw = _decode_base64(peer_key.encode())
    except ValueError:
        raise KeyExchangeError("the public key is not base64") from None
    aes_iv = salt.encode()[:BLOCK_BYTES]
    if len(aes_iv) < BLOCK_BYTES:
        raise KeyExchangeError(f"the salt has less than {BLOCK_BYTES} characters")
    try:
        secret = private_key.exchange(X25519PublicKey.from_public_bytes(raw))
    except ValueError:
        raise KeyExchangeError("the public key has not 32 bytes, or makes any secret zero") from None
    digest = md5(b64encode(secret), usedforsecurity=False).hexdigest()
    return SessionKeys(digest[:BLOCK_BYTES].encode(), aes_iv)


def _decode_base64(text: bytes) -> bytes:
    """Reads standard base64 with padding. Line ends may be anywhere, as some encoders wrap; nothing else is ignored.

    Raises:
        ValueError: it is none.
    """
    try:
        raw = a2b_base64(text, strict_mode=True)
    except Base64Error:
        text = text.replace(b"\n", b"").replace(b"\r", b"")
        raw = a2b_base64(text, strict_mode=True)
    if len(text) != (len(raw) + 2) // 3 * 4:
        # Before Python 3.13 the strict mode does not mind.
        raise ValueError("too much padding")
    return raw

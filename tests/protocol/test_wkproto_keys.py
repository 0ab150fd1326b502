"""The encryption of the binary protocol. What the bytes are is in tests/vectors/test_wkproto_vectors.py."""

import subprocess
import sys
from base64 import b64decode, b64encode
from hashlib import md5

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from wukong_trio.protocol.wkproto import Send
from wukong_trio.protocol.wkproto_keys import (
    CiphertextError,
    ClientExchange,
    KeyExchangeError,
    SessionKeys,
    agree,
    send_sign_text,
)
from wukong_trio.protocol.wkproto_writer import recv_parts

KEY, IV = b"d3514bfacef9c97a", b"abcdEFGH12345678"
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
]
"""Public keys with which every secret is zero."""


def keys() -> SessionKeys:
    return SessionKeys(KEY, IV)


def encrypted_blocks(padded: bytes) -> bytes:
    """Base64 of what a fresh context makes of whole blocks."""
    encryptor = Cipher(AES(KEY), CBC(IV)).encryptor()
    return b64encode(encryptor.update(padded) + encryptor.finalize())


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), max_size=8))
def test_a_kept_context_is_like_a_fresh_one(steps: list[tuple[bool, bytes]]) -> None:
    used = keys()
    for encrypts, plaintext in steps:
        padding = 16 - len(plaintext) % 16
        expected = encrypted_blocks(plaintext + bytes((padding,)) * padding)
        if encrypts:
            assert used.encrypt(plaintext) == expected
            assert used.sign(plaintext).decode() == md5(expected).hexdigest()
        else:
            assert used.decrypt(expected) == plaintext


@pytest.mark.parametrize(("size", "characters"), [(0, 24), (15, 24), (16, 44), (31, 44), (32, 64)])
def test_w032_sizes(size: int, characters: int) -> None:
    assert len(keys().encrypt(b"x" * size)) == characters


def test_equal_payloads_are_equal_and_of_another_key_different() -> None:
    one, other = keys(), SessionKeys(KEY, b"abcdEFGH12345679")
    assert one.encrypt(b"hello") == one.encrypt(b"hello") == b"AaWBaCd7viNNSvoCeqj8JQ=="
    assert other.encrypt(b"hello") != one.encrypt(b"hello")
    assert other.sign(b"hello") != one.sign(b"hello")


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"A", b"AAAA", b"\xff" * 24, b"A" * 23 + b" ", b" " + b"A" * 22 + b"==", b"A" * 22 + b"==AAAA"),
        *(b"A" * 22 + b"=", b"A" * 22, b"A" * 22 + b"===", b"A" * 22 + b"======", b"=" * 24, b"-_" * 11 + b"=="),
        *(b"A" * 20 + b"=\n=AA", b"\n", b64encode(bytes(15)), b64encode(bytes(17)), b64encode(bytes(24))),
    ],
)
def test_w035_not_base64_or_not_whole_blocks(text: bytes) -> None:
    used = keys()
    with pytest.raises(CiphertextError):
        used.decrypt(text)
    assert used.decrypt(b"AaWBaCd7viNNSvoCeqj8JQ==") == b"hello"
    with pytest.raises(CiphertextError):
        used.decrypt(text)
    assert used.decrypt(b"AaWBaCd7viNNSvoCeqj8JQ==") == b"hello"


def test_w035_too_much_padding_of_base64() -> None:
    text = keys().encrypt(b"x" * 40)
    assert not text.endswith(b"=")
    assert keys().decrypt(text) == b"x" * 40
    for padding in (b"=", b"==", b"===="):
        with pytest.raises(CiphertextError):
            keys().decrypt(text + padding)


@pytest.mark.parametrize("before", [b"", b"0123456789abcdef"], ids=["one block", "two blocks"])
def test_w035_bad_padding(before: bytes) -> None:
    used = keys()
    for size in range(1, 17):
        block = b"x" * (16 - size) + bytes((size,)) * size
        assert used.decrypt(encrypted_blocks(before + block)) == before + b"x" * (16 - size)
        for wrong in range(16 - size, 15):
            damaged = bytearray(block)
            damaged[wrong] ^= 0x10
            with pytest.raises(CiphertextError):
                used.decrypt(encrypted_blocks(before + bytes(damaged)))
    for last in (0, 17, 18, 128, 255):
        with pytest.raises(CiphertextError):
            used.decrypt(encrypted_blocks(before + b"x" * 15 + bytes((last,))))
        with pytest.raises(CiphertextError):
            used.decrypt(encrypted_blocks(before + bytes((last,)) * 16))


def test_line_ends_in_base64_are_accepted() -> None:
    """Some encoders wrap their lines."""
    assert keys().decrypt(b"AaWBaCd7viNN\r\nSvoCeqj8JQ==\r\n") == b"hello"
    assert keys().decrypt(b"\nAaWBaCd7viNNSvoCeqj8JQ=\n=") == b"hello"


def test_w033_what_a_signature_covers() -> None:
    packet = Send(7, "u2", 1, b"AaWBaCd7viNNSvoCeqj8JQ==", "n1")
    signature = keys().sign(send_sign_text(packet))
    assert len(signature) == 32
    assert signature == signature.lower()
    for changed in (
        replace(packet, payload=b"AaWBaCd7viNNSvoCeqj8JR=="),
        replace(packet, client_seq=6),
        replace(packet, client_msg_no="n0"),
        replace(packet, channel_id="u3"),
        replace(packet, channel_type=2),
    ):
        assert keys().sign(send_sign_text(changed)) != signature
    other = replace(packet, flags=7, setting=0x88, topic="t", expire=9, stream_no="s")
    assert keys().sign(send_sign_text(other)) == signature


def test_w033_signed_numbers_of_a_recv() -> None:
    fields = {"from_uid": "u", "channel_id": "c", "channel_type": 1, "client_msg_no": "n"}
    parts = recv_parts(version=6, message_id=-(2**63), message_seq=2**64 - 1, timestamp=-(2**31), **fields)  # type: ignore[arg-type]
    assert parts.signed == b"-922337203685477580818446744073709551615n-2147483648uc1"


def test_w038_two_receivers() -> None:
    one, other = (agree(ClientExchange().client_key).keys for _ in range(2))
    assert one.encrypt(b"hello") != other.encrypt(b"hello")
    assert one.sign(b"hello") != other.sign(b"hello")
    assert one.decrypt(one.encrypt(b"hello")) == other.decrypt(other.encrypt(b"hello")) == b"hello"


def test_w039_any_bytes_pass() -> None:
    used = keys()
    for plaintext in (b"\xff\x00\xfe", bytes(range(256)), b"\x10" * 16, bytes(100_000)):
        assert used.decrypt(used.encrypt(plaintext)) == plaintext


def test_w040_an_agreement() -> None:
    agreements = []
    for _ in range(20):
        client = ClientExchange()
        agreement = agree(client.client_key)
        assert len(b64decode(agreement.server_key, validate=True)) == 32
        assert len(agreement.salt) == 16
        assert agreement.salt.isascii()
        assert agreement.salt.isalnum()
        client_keys = client.finish(agreement.server_key, agreement.salt)
        assert client_keys.decrypt(agreement.keys.encrypt(b"to the client")) == b"to the client"
        assert agreement.keys.decrypt(client_keys.encrypt(b"to the server")) == b"to the server"
        assert agreement.keys.sign(b"text") == client_keys.sign(b"text")
        agreements.append((client.client_key, agreement.server_key, agreement.salt, client_keys.aes_key))
    assert all(len(set(values)) == 20 for values in zip(*agreements, strict=True))


GOOD = b64encode(b"\x09" + bytes(31)).decode()
BAD_KEYS = [
    "",
    b64encode(bytes(31)).decode(),
    b64encode(b"\x09" + bytes(30)).decode(),
    b64encode(b"\x09" + bytes(32)).decode(),
    GOOD[:-1],
    GOOD + "=",
    GOOD + "AAAA",
    GOOD.replace("A", " ", 1),
    GOOD.replace("A", "\t", 1),
    GOOD.replace("A", "-", 1),
    GOOD.replace("A", "é", 1),
    GOOD.replace("A", "\ud800", 1),
    " " + GOOD,
    GOOD + " ",
    GOOD + "\x00",
    *(b64encode(bytes.fromhex(key)).decode() for key in LOW_ORDER),
]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_w041_keys_that_are_no_use(key: str) -> None:
    with pytest.raises(KeyExchangeError):
        agree(key)
    with pytest.raises(KeyExchangeError):
        ClientExchange().finish(key, "0123456789abcdef")


def test_w041_line_ends_in_a_key_are_accepted() -> None:
    for key in (GOOD, GOOD + "\n", GOOD[:10] + "\r\n" + GOOD[10:], "\r" + GOOD[:-1] + "\n="):
        agree(key)


@pytest.mark.parametrize("salt", ["", "0123456789abcde"])
def test_a_short_salt_is_no_use(salt: str) -> None:
    with pytest.raises(KeyExchangeError):
        ClientExchange().finish(GOOD, salt)


def test_of_a_long_salt_the_beginning_counts() -> None:
    assert ClientExchange().finish(GOOD, "0123456789abcdefgh").aes_iv == b"0123456789abcdef"


def test_servers_without_encryption_do_not_load_it() -> None:
    code = (
        "import sys; from wukong_trio.protocol.wkproto_keys import SessionKeys; SessionKeys(b'k' * 16, b'i' * 16);"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

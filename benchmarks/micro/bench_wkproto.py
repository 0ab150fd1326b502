"""How long the codec and the encryption of the binary protocol take for everyday packets.

python benchmarks/micro/bench_wkproto.py
"""

from typing import Any

from timing import show

from wukong_trio.protocol.wkproto import Send
from wukong_trio.protocol.wkproto_keys import ClientExchange, SessionKeys, agree, send_sign_text
from wukong_trio.protocol.wkproto_reader import PacketReader
from wukong_trio.protocol.wkproto_writer import encode, encode_recvack, encode_sendack, recv_parts, write_recv

VERSION = 5
MANY = 100
MESSAGE_ID = 1765432109876543210
CLIENT_MSG_NO = "8a1c0ff0b9a94f3e9f5f8f7a2c1d0e003"
PLAINTEXT = b'{"type":1,"content":"hello world 12"}'.ljust(100)
KEYS = SessionKeys(b"d3514bfacef9c97a", b"abcdEFGH12345678")
PAYLOAD = KEYS.encrypt(PLAINTEXT)
SIGNATURE = KEYS.sign(PAYLOAD)
SEND = Send(7, "u12", 1, PLAINTEXT, CLIENT_MSG_NO, flags=2)
SIGNED_SEND = Send(7, "u12", 1, PAYLOAD, CLIENT_MSG_NO, flags=2, msg_key=SIGNATURE.decode())
RECV: dict[str, Any] = {
    "version": VERSION,
    "message_id": MESSAGE_ID,
    "message_seq": 12,
    "from_uid": "u13",
    "channel_id": "u13",
    "channel_type": 1,
    "client_msg_no": CLIENT_MSG_NO,
    "timestamp": 1_795_533_535,
}
PARTS = recv_parts(**RECV)


def show_reading(name: str, packet: bytes, *, per_chunk: int) -> None:
    """Measures what a packet costs when so many come in one chunk."""
    chunk = packet * per_chunk
    receive = PacketReader(VERSION).receive
    assert len(receive(chunk)) == per_chunk
    show(name, lambda: receive(chunk), per=per_chunk)


def main() -> None:
    """Measures and prints."""
    send, signed_send = encode(SEND, VERSION), encode(SIGNED_SEND, VERSION)
    recvack = encode_recvack(MESSAGE_ID, 12, 2, VERSION)
    recv = write_recv(*PARTS[:3], SIGNATURE, PAYLOAD)
    show_reading("read SEND, alone", send, per_chunk=1)
    show_reading("read SEND, 100 in a chunk", send, per_chunk=MANY)
    show_reading("read encrypted SEND, 100 in a chunk", signed_send, per_chunk=MANY)
    show_reading("read RECV, 100 in a chunk", recv, per_chunk=MANY)
    show_reading("read RECVACK, alone", recvack, per_chunk=1)
    show_reading("read RECVACK, 100 in a chunk", recvack, per_chunk=MANY)
    show_reading("read PING, 100 in a chunk", b"\x70", per_chunk=MANY)
    show("write SENDACK", lambda: encode_sendack(MESSAGE_ID, 7, 12, 1, CLIENT_MSG_NO, VERSION))
    show("write SENDACK without client_msg_no", lambda: encode_sendack(MESSAGE_ID, 7, 12, 1, "", VERSION))
    show("write RECVACK", lambda: encode_recvack(MESSAGE_ID, 12, 2, VERSION))
    show("write SEND", lambda: encode(SEND, VERSION))
    show("lay out RECV, once per message", lambda: recv_parts(**RECV))
    show("join RECV, once per session", lambda: write_recv(*PARTS[:3], SIGNATURE, PAYLOAD))
    show("encrypt 100 bytes", lambda: KEYS.encrypt(PLAINTEXT))
    show("decrypt 100 bytes", lambda: KEYS.decrypt(PAYLOAD))
    text = send_sign_text(SIGNED_SEND)
    show("sign text", lambda: KEYS.sign(text))
    show("text that a SEND signs", lambda: send_sign_text(SIGNED_SEND))
    client_key = ClientExchange().client_key
    show("agree on keys", lambda: agree(client_key))


if __name__ == "__main__":
    main()

"""How long the JSON-RPC codec takes for everyday frames.

python benchmarks/micro/bench_codec.py
"""

from timing import show

from wukong_trio.model import Message
from wukong_trio.protocol.answers import FORM_SDK, encode_empty, encode_push, encode_send_result
from wukong_trio.protocol.requests import decode

SEND = (
    b'{"jsonrpc":"2.0","method":"send","params":{"clientMsgNo":"12-345","channelId":"u12","channelType":1,'
    b'"payload":"eyJ0eXBlIjoxLCJjb250ZW50IjoiaGVsbG8gd29ybGQgMTIifQ=="},"id":"345"}'
)
SNAKE = SEND.replace(b"clientMsgNo", b"client_msg_no")
RECVACK = b'{"jsonrpc":"2.0","method":"recvack","params":{"messageId":"891686826752512","messageSeq":12}}'
PING = b'{"jsonrpc":"2.0","method":"ping","id":"17"}'
MESSAGE = Message(
    message_id=891686826752512,
    message_seq=12,
    channel_id="u12@u13",
    channel_type=1,
    from_uid="u13",
    client_msg_no="12-345",
    timestamp=1_795_533_535,
    payload=b'{"type":1,"content":"hello world 12"}',
)


def main() -> None:
    """Measures and prints."""
    show("decode send", lambda: decode(SEND))
    show("decode send, snake_case", lambda: decode(SNAKE))
    show("decode recvack", lambda: decode(RECVACK))
    show("decode ping", lambda: decode(PING))
    show("encode push, sdk", lambda: encode_push(MESSAGE, FORM_SDK, "u13", red_dot=True))
    show("encode push, doc", lambda: encode_push(MESSAGE, 0, "u13", red_dot=True))
    show("encode result of send", lambda: encode_send_result("345", MESSAGE, sdk=True, snake=False))
    show("encode result of ping", lambda: encode_empty("17"))


if __name__ == "__main__":
    main()

"""The examples in docs/protocol.md are what the code reads and writes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from wukong_trio.gateway.commands import read_command
from wukong_trio.model import RED_DOT, SETTING_RECEIPT, Message, MessageEvent, ReasonCode
from wukong_trio.protocol.answers import (
    FORM_SDK,
    encode_batch,
    encode_connect_result,
    encode_disconnect,
    encode_empty,
    encode_error,
    encode_event,
    encode_push,
    encode_refusal,
    encode_send_result,
)
from wukong_trio.protocol.codes import ErrorCode
from wukong_trio.protocol.requests import (
    Connect,
    ConnectParams,
    Disconnect,
    Invalid,
    Ping,
    Recvack,
    RecvackParams,
    Send,
    SendParams,
    decode,
    decode_first,
)

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
EXAMPLES = [line for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


def message(**rest: Any) -> Message:
    return Message(
        message_id=831204,
        message_seq=7,
        channel_id="ann@bob",
        channel_type=1,
        from_uid="ann",
        client_msg_no="m-9",
        timestamp=1_700_000_000,
        payload=b'{"a":1}',
        flags=RED_DOT,
        **rest,
    )


WRITTEN = [
    encode_connect_result("1", time_diff=0, node_id=1001, version=0, snake=False),
    encode_send_result("2", message(), sdk=True, snake=False),
    encode_empty("3"),
    encode_empty("4"),
    encode_batch([encode_empty("a"), encode_error("b", ErrorCode.METHOD_NOT_FOUND)]),
    encode_push(message(), FORM_SDK, "ann", red_dot=True),
    encode_push(message(setting=SETTING_RECEIPT, expire=30, topic="t"), 0, "ann", red_dot=True),
    encode_event(
        MessageEvent(
            "e0",
            "stream.delta",
            1_700_000_000_123,
            b'{"client_msg_no":"a-1","channel_id":"ann","channel_type":1,"from_uid":"bot","message_id":831204,'
            b'"event_key":"main","msg_event_seq":0,"stream_status":"open","payload":{"kind":"text","delta":"You "}}',
        )
    ),
    encode_disconnect(ReasonCode.CONNECT_KICK, "login in other device"),
    encode_refusal("2", ReasonCode.IN_BLACKLIST),
    encode_error(None, ErrorCode.INVALID_FORMAT),
]


def test_what_the_server_writes() -> None:
    """Byte for byte, and each is there."""
    assert [text for text in EXAMPLES if '"result"' in text or '"error"' in text or is_push(text)] == [
        text.decode() for text in WRITTEN
    ]


def is_push(text: str) -> bool:
    frame = json.loads(text)
    return isinstance(frame, dict) and "id" not in frame and frame["method"] != "recvack"


def test_what_clients_write() -> None:
    read = [text for text in EXAMPLES if text.encode() not in WRITTEN]
    connect = decode_first(read[0].encode())
    assert isinstance(connect, Connect)
    requests = [decode(text.encode()) for text in read[1:]]
    assert [type(request) for request in requests] == [Send, Recvack, Ping, Disconnect, list]
    send, batch = requests[0], requests[-1]
    assert isinstance(send, Send)
    assert read_command(send.params, "ann", payload_limit_bytes=100)[0].payload == b'{"a":1}'
    assert isinstance(batch, list)
    assert [type(entry) for entry in batch] == [Ping, Recvack, Invalid]


@pytest.mark.parametrize("type_", [ConnectParams, SendParams, RecvackParams])
def test_every_parameter_is_described(type_: Any) -> None:
    assert [name for name in type_.__struct_encode_fields__ if f"`{name}`" not in TEXT] == []


def test_every_code_is_described() -> None:
    assert [int(code) for code in ErrorCode if f"| {int(code)} |" not in TEXT] == []

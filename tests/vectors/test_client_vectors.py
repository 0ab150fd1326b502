"""The client for back-ends against the recordings: whatever WuKongIM 2.2.5 has answered, it understands."""

import json
import re
from typing import Any

import httpx
import msgspec
import pytest
from test_http_vectors import ENTRIES
from test_recorded_forms import sample

from wukong_trio.api_client import (
    ApiAnswerError,
    ApiClient,
    ApiError,
    ApiRefusedError,
    ApiServerError,
    ApiUnauthorizedError,
    client,
)
from wukong_trio.api_client.calls import Call, MethodGroup

GROUPS = [value for value in vars(client).values() if isinstance(value, type) and issubclass(value, MethodGroup)]
CALLS: dict[tuple[str, str], Call[Any, Any]] = {
    (call.method, group.prefix + call.path): call
    for group in GROUPS
    for call in vars(group).values()
    if isinstance(call, Call)
}
USED = [
    entry
    for entry in ENTRIES
    if (entry["request"]["method"], entry["request"]["path"]) in CALLS
    and entry["request"].get("port") != "manager"
    and entry["response"]["status"] != 404
]
FAILURES = {400: ApiRefusedError, 401: ApiUnauthorizedError, 500: ApiServerError}


def placed(value: Any) -> Any:
    """A recorded body with something in place of its placeholders; ids are long ones."""
    if isinstance(value, dict):
        return {name: placed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [placed(member) for member in value]
    return 2**63 - 1 if isinstance(value, str) and re.fullmatch(r"<int id:.*>", value) else sample(value)


def content_of(recorded: dict[str, Any]) -> bytes:
    """What came, as bytes."""
    return json.dumps(placed(recorded["body"])).encode() if "body" in recorded else recorded["text"].encode()


async def understood(call: Call[Any, Any], status: int, content: bytes) -> Any:
    """What a method makes of an answer, whatever it has asked."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, content=content))
    async with ApiClient("http://h", connections=transport) as api:
        return call.read(await api._transport.request(call.method, "/", {}, None))


def differences(recorded: Any, read: Any) -> list[str]:
    """What was read differently; what is new in ours is not compared."""
    if isinstance(read, list):
        if len(read) != len(recorded or ()):
            return [f"{len(read)} entries of {len(recorded or ())}"]
        return [line for pair in zip(recorded or (), read, strict=True) for line in differences(*pair)]
    if isinstance(read, dict) and isinstance(recorded, dict):
        known = {**(recorded.get("data") or {}), **recorded}
        shared = [name for name in read if known.get(name) is not None]
        return [f"{name}: {line}" for name in shared for line in differences(known[name], read[name])]
    return [] if recorded == read else [f"{read!r} instead of {recorded!r}"]


@pytest.mark.parametrize("entry", USED, ids=lambda entry: entry["name"])
async def test_recorded_answers_are_understood(entry: dict[str, Any]) -> None:
    recorded = entry["response"]
    call, status = CALLS[entry["request"]["method"], entry["request"]["path"]], recorded["status"]
    if status in FAILURES:
        with pytest.raises(ApiError) as error:
            await understood(call, status, content_of(recorded))
        assert type(error.value) is FAILURES[status]
        assert status != 400 or error.value.message == recorded["body"]["msg"]
        return
    body = placed(recorded["body"])
    said = body.get("status", 200) if isinstance(body, dict) else 200
    if said not in (200, 404):
        with pytest.raises(ApiRefusedError) as refused:
            await understood(call, status, content_of(recorded))
        assert refused.value.reason_code == said
        return
    read = await understood(call, status, content_of(recorded))
    if said == 404 or read is None:
        assert (read, said == 404 or body == {"status": 200}) == (None, True)
    elif not (read == [] and body == {"status": 200}):
        assert differences(body, json.loads(msgspec.json.encode(read))) == []


def test_most_of_them_are_used() -> None:
    assert len(USED) > 400
    assert {entry["response"]["status"] for entry in USED} >= {200, *FAILURES}


async def test_other_answers_of_the_same_server_are_none_of_these() -> None:
    for entry in ENTRIES:
        if entry["response"].get("text") == "404 page not found":
            with pytest.raises(ApiAnswerError):
                await understood(CALLS["POST", "/message/send"], 404, b"404 page not found")

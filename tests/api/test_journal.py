"""What the API logs: changes, refused calls and failures, with the caller's address, and nothing secret."""

import logging
from typing import Any

import httpx
import pytest
import trio
from api_calls import Api, OpenServer, P
from exchanges import connect

from wukong_trio import StoreError
from wukong_trio.api import journal
from wukong_trio.api.journal import Trickle
from wukong_trio.model import Device
from wukong_trio.store.memory import MemoryStore


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, journal.__name__)


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    """What came with the lines of this text."""
    return [record.__dict__ for record in caplog.records if record.name == journal.__name__ and record.msg == message]


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/user/token", {"uid": "ann", "token": "s3cret", "device_flag": 1}, {"uid": "ann", "device_flag": 1}),
    ("/user/device_quit", {"uid": "ann", "device_flag": -1}, {"uid": "ann", "device_flag": -1}),
    ("/user/systemuids_add", {"uids": ["a", "b"]}, {"uids": 2}),
    ("/user/systemuids_remove", {"uids": ["a"]}, {"uids": 1}),
    ("/channel", {"channel_id": "g", "channel_type": 2, "ban": 1, "subscribers": ["a"]}, {"ban": 1, "subscribers": 1}),
    ("/channel/info", {"channel_id": "g", "channel_type": 2, "disband": 1}, {"channel_id": "g", "disband": 1}),
    ("/channel/delete", {"channel_id": "g", "channel_type": 2}, {"channel_id": "g", "channel_type": 2}),
    ("/channel/subscriber_add", {"channel_id": "g", "subscribers": ["a"], "reset": 1}, {"subscribers": 1, "reset": 1}),
    ("/channel/blacklist_add", {"channel_id": "g", "channel_type": 2, "uids": ["a"]}, {"channel_id": "g", "uids": 1}),
    ("/channel/whitelist_set", {"channel_id": "g", "channel_type": 2, "uids": ["a"]}, {"uids": 1}),
    ("/channel/whitelist_remove_all", {"channel_id": "g", "channel_type": 2}, {"channel_id": "g"}),
]


async def test_changes_are_logged_with_their_caller(api: Api, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    for path, body, expected in CHANGES:
        caplog.clear()
        await api.ok(path, **body)
        (line,) = lines(caplog, "changed over the API")
        assert {name: line.get(name) for name in expected} == expected, path
        assert line["path"] == path
        assert line["peer"].startswith("127.0.0.1"), path
        assert "s3cret" not in str(line)


async def test_what_changes_nothing_is_not_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    await api.ok("/channel/info", channel_id="ann", channel_type=1, ban=1)
    caplog.clear()
    assert await api.post("/user/token", {"uid": "ann", "token": "t"}) == {"status": 19}
    await api.e400("/user/token", uid="", token="t")
    await api.send("g", payload=P)
    await api.history("g")
    await api.post("/route/batch", ["a"])
    await api.post("/user/onlinestatus", ["a"])
    assert not caplog.records


async def test_refused_calls_are_logged_with_their_caller(
    open_server: OpenServer, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.fail_after(10):
        guarded = open_server(auth={"manager_token": "k"})
        async with guarded as server, httpx.AsyncClient(base_url=server.endpoints.http) as http:
            await http.post("/user/token", json={"uid": "eve"}, headers={"token": "s3cret"})
        async with open_server() as server, httpx.AsyncClient(base_url=server.endpoints.http) as http:
            await http.post("/channel", headers={"Origin": "http://evil\x1b[2J" + "x" * 1000})
    first, second = lines(caplog, "an HTTP request was refused")
    assert (first["http_status"], first["path"]) == (401, "/user/token")
    assert (second["http_status"], second["origin"][:11]) == (403, "http://evil")
    assert len(second["origin"]) == journal.SHOWN_CHARACTERS
    for line in (first, second):
        assert line["peer"].startswith("127.0.0.1")
        assert "s3cret" not in str(line)


async def test_bodies_that_cannot_be_read_are_logged_with_the_reason(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    wrong: list[tuple[str, bytes, str]] = [
        ("/message/send", b'{"channel_id":"g","channel_type":"2","payload":"eA=="}', "$.channel_type"),
        ("/message/send", b'{"channel_id":"g","channel_type":2,"payload":"x"}', "payload is no base64"),
        ("/message/send", b"hello", "malformed"),
        ("/channel", b'{"subscribers":[' + b'"a",' * 150_000 + b"5]}", "a list has something else among its texts"),
    ]
    for path, body, why in wrong:
        caplog.clear()
        await api.e400(path, "数据格式有误！", raw=body)
        (line,) = lines(caplog, "an HTTP request could not be read")
        assert why in line["why"]
        assert line["path"] == path
        assert line["peer"].startswith("127.0.0.1")


def test_lines_that_strangers_cause_are_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(journal, "monotonic", lambda: now)
    trickle = Trickle(logging.INFO, "x")
    for _ in range(journal.BURST + 5):
        trickle.log({})
    assert len(lines(caplog, "x")) == journal.BURST
    now += journal.INTERVAL_S
    trickle.log({"peer": "p"})
    last = lines(caplog, "x")[-1]
    assert (last["left_out"], last["peer"]) == (5, "p")
    now += 1000 * journal.INTERVAL_S
    for _ in range(journal.BURST):
        trickle.log({})
    assert len(lines(caplog, "x")) == 2 * journal.BURST + 1
    assert "left_out" not in lines(caplog, "x")[-1]


class FullDisk(MemoryStore):
    """Nothing can be written while `full` is set."""

    full = False

    async def put_device(self, device: Device) -> None:
        if self.full:
            raise StoreError("disk is full")
        await super().put_device(device)


async def test_a_full_disk_is_said_once_and_so_is_its_end(
    open_server: OpenServer, caplog: pytest.LogCaptureFixture
) -> None:
    store = FullDisk()
    body = {"uid": "ann", "token": "t"}
    with trio.fail_after(20):
        async with open_server(store=store) as server, Api(server) as api:
            for _ in range(2):
                caplog.clear()
                store.full = True
                for _ in range(30):
                    assert (await api.http.post("/user/token", json=body)).status_code == 500
                    # That others work does not change it.
                    await api.history("g")
                store.full = False
                for _ in range(3):
                    assert (await api.http.post("/user/token", json=body)).status_code == 200
                told = [record.getMessage() for record in caplog.records if "over the API" not in record.msg]
                assert told == ["/user/token fails: disk is full", "/user/token works again"]


async def test_tls_on_the_plain_port_is_answered_and_said(caplog: pytest.LogCaptureFixture) -> None:
    from wukong_trio.testing import open_test_server

    with trio.fail_after(5):
        async with open_test_server(engine="native") as server, await connect(server) as stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            received = b"".join([bytes(part) async for part in stream])
    assert received.startswith(b"HTTP/1.1 400")
    (record,) = caplog.records
    assert "TLS on the port of the plain HTTP API" in record.getMessage()
    assert record.__dict__["peer"].startswith("127.0.0.1:")

"""What the log says of sessions."""

import logging

import pytest
import trio

from wukong_trio.gateway.session_log import INTERVAL_S, LINES, SessionLog
from wukong_trio.testing import open_raw_client, open_test_server


@pytest.mark.parametrize("engine", ["native", "reference"])
async def test_a_session_has_a_line_when_it_begins_and_one_when_it_ends(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with trio.fail_after(10):
        async with open_test_server(engine=engine) as server, open_raw_client(server.endpoints.ws) as ann:
            await ann.connect("ann", token="secret", deviceId="phone", deviceFlag=1)
            assert server.kick("ann", reason="go") == 1
            assert (await ann.receive())["method"] == "disconnect"
            assert (await ann.wait_closed()).code == 4003
    opened, closed = [r.__dict__ for r in caplog.records if "session" in r.__dict__["msg"]]
    for line in (opened, closed):
        assert (line["uid"], line["device_id"], line["device_flag"], line["session_id"]) == ("ann", "phone", 1, 1)
        assert line["remote_address"].startswith("127.0.0.1:")
    assert (closed["close_code"], closed["reason"]) == (4003, "kicked")
    assert 0 <= closed["duration_s"] < 10
    assert closed["duration_s"] == round(closed["duration_s"], 3)
    assert "secret" not in caplog.text


def test_in_a_storm_there_is_a_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines = SessionLog()
    assert [lines.has_line_for_opened(0.0) for _ in range(LINES + 5)] == [True] * LINES + [False] * 5
    assert [lines.has_line_for_closed(INTERVAL_S - 0.1) for _ in range(LINES + 1)] == [True] * LINES + [False]
    assert not caplog.records
    assert lines.has_line_for_opened(INTERVAL_S)
    assert [r.getMessage() for r in caplog.records] == ["5 more sessions opened and 1 more closed"]
    lines.sum_up()
    assert len(caplog.records) == 1

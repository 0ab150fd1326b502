"""The receiver of docs/webhooks.md works."""

import re
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from common import until

from wukong_trio import SendCommand
from wukong_trio.testing import open_test_server

PAGE = Path(__file__).parent.parent.parent / "docs" / "webhooks.md"


def documented() -> dict[str, Any]:
    [code] = re.findall(r"<!-- the example.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "documented"}
    exec(code, names)
    return names


async def test_the_documented_receiver_accepts_ours_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    example = documented()
    with example["serve"](0) as receiver:
        thread = Thread(target=receiver.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{receiver.server_port}/hook"
            settings = {"http_addr": url, "secret": example["SECRET"], "push_interval_s": 0.05}
            async with open_test_server(webhook=settings) as server:
                for n in range(3):
                    payload = f"m{n}".encode()
                    await server.send(SendCommand(from_uid="ann", channel_id="bob", channel_type=1, payload=payload))
                await until(lambda: not server.statistics().webhook_waiting)
                assert server.statistics().webhook_failures == 0
            async with httpx.AsyncClient() as http:
                headers = {"webhook-id": "1", "webhook-timestamp": "1774000100", "webhook-signature": "v1,eHg="}
                for wrong in ({}, headers):
                    answer = await http.post(f"{url}?event=msg.notify", content=b"[]", headers=wrong)
                    assert answer.status_code == 401
        finally:
            receiver.shutdown()
            thread.join()
    printed = capsys.readouterr().out
    assert [f"ann -> bob b'm{n}'" in printed for n in range(3)] == [True] * 3
    assert len(example["seen"]) == 3

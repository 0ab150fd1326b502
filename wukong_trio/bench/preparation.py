"""What must be done over HTTP before a run: asking where clients connect, making groups."""

import http.client
import json
from typing import Any

from .crew import BenchError
from .plan import Plan, Target

_TIMEOUT_S = 30.0
_MEMBERS_PER_CALL = 20_000


def discover(api: Target) -> str:
    """The WebSocket address that a server's `/route` names.

    Raises:
        BenchError: it names none.
    """
    address = _call(api, "GET", "/route", None, "").get("ws_addr")
    if not isinstance(address, str) or not address:
        raise BenchError("/route names no ws_addr; give --url")
    return address


def read_health(api: Target, manager_token: str) -> tuple[str, dict[str, Any]]:
    """The `Server` header of an HTTP API and what its `/health` says; both are empty if it says nothing."""
    try:
        answer, data = _exchange(api, "GET", "/health", None, manager_token)
        health = json.loads(data)
    except (OSError, http.client.HTTPException, ValueError):
        return "", {}
    return answer.getheader("Server", ""), health if isinstance(health, dict) else {}


def make_groups(plan: Plan, api: Target) -> None:
    """Creates the channels of a plan's rooms.

    Raises:
        BenchError: the server refused.
    """
    crowd = plan.crowd
    for room in range(crowd.rooms):
        first = room * crowd.room_size
        channel_id, channel_type = plan.channel(first)
        members = [plan.uid(member) for member in range(first, first + max(crowd.room_size, plan.members))]
        for start in range(0, len(members), _MEMBERS_PER_CALL):
            body = {
                "channel_id": channel_id,
                "channel_type": int(channel_type),
                "subscribers": members[start : start + _MEMBERS_PER_CALL],
            }
            _call(api, "POST", "/channel/subscriber_add" if start else "/channel", body, plan.manager_token)


def _call(api: Target, method: str, path: str, body: dict[str, Any] | None, manager_token: str) -> dict[str, Any]:
    try:
        answer, data = _exchange(api, method, path, body, manager_token)
        if answer.status != 200:
            raise BenchError(f"{path} answered {answer.status}: {data[:200].decode(errors='replace')}")
        result = json.loads(data)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BenchError(f"{path} of {api.netloc}: {error}") from None
    return result if isinstance(result, dict) else {}


def _exchange(
    api: Target, method: str, path: str, body: dict[str, Any] | None, manager_token: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(api.host, api.port, timeout=_TIMEOUT_S)
    headers = {"Content-Type": "application/json", **({"token": manager_token} if manager_token else {})}
    try:
        connection.request(method, api.path + path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()

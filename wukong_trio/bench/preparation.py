"""What must be done over HTTP before a run: asking where clients connect, making groups."""

import http.client
import json
from typing import Any

from .crew import BenchError
from .plan import Plan, Protocol, Target

_TIMEOUT_S = 30.0
_MEMBERS_PER_CALL = 20_000


_ADDRESSES: dict[Protocol, tuple[str, ...]] = {
    "jsonrpc": ("ws_addr", "wss_addr"),
    "wkproto": ("tcp_addr", "ws_addr", "wss_addr"),
}
"""Where clients of each protocol connect, as `/route` calls it, best first."""


def discover(api: Target, protocol: Protocol) -> str:
    """The URL under which a server's `/route` wants clients of a protocol.

    Raises:
        BenchError: it names none.
    """
    route = _call(api, "GET", "/route", None, "")
    names = _ADDRESSES[protocol]
    for name in names:
        address = route.get(name)
        if isinstance(address, str) and address:
            return address if "://" in address else f"{name.removesuffix('_addr')}://{address}"
    raise BenchError(f"/route names no {' or '.join(names)}; give --url")


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

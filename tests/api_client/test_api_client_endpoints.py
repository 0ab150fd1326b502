"""The client against the table of endpoints: nothing is left out, nothing is there twice, and requests are the same."""

import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from wukong_trio import Server
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.api_client import ApiClient
from wukong_trio.api_client.calls import Call, MethodGroup
from wukong_trio.testing import open_test_server

NOT_FOR_BACK_ENDS = {"/metrics", "/health", "/healthz", "/readyz", "/openapi.json", "/openrpc.json", "/docs"}
"""Probes and documents."""


def groups(group: MethodGroup, name: str = "") -> Iterator[tuple[str, MethodGroup]]:
    """A group and those in it, each with its name."""
    yield name, group
    for part, value in vars(group).items():
        if isinstance(value, MethodGroup):
            yield from groups(value, f"{name}.{part}".strip("."))


def calls() -> dict[str, tuple[str, str, Call[Any, Any]]]:
    """Method and path of each call, by its name."""
    return {
        f"{name}.{part}".strip("."): (call.method, group.prefix + call.path, call)
        for name, group in groups(ApiClient("http://h"))
        for part, call in vars(type(group)).items()
        if isinstance(call, Call)
    }


def test_each_endpoint_has_one_method() -> None:
    of_client = Counter((method, path) for method, path, _ in calls().values())
    of_server = Counter((e.method, e.path) for e in ENDPOINTS if e.path not in NOT_FOR_BACK_ENDS)
    assert of_client == of_server, "a row in api/endpoints.py needs a line in api_client/client.py, see CONTRIBUTING.md"


def test_requests_are_those_of_the_server() -> None:
    """Where a method has parameters of its own, none has a name that the server does not know."""
    requests = {(e.method, e.path): e.query if e.method == "GET" else e.request for e in ENDPOINTS}
    queries = {(e.method, e.path): e.query.__struct_fields__ if e.query is not None else () for e in ENDPOINTS}
    for name, (method, path, call) in calls().items():
        request = requests[method, path]
        if isinstance(call.request, type):
            assert call.request is request, name
        elif request is not None and hasattr(request, "__struct_fields__"):
            known = {*request.__struct_fields__, *queries[method, path], "no_persist", "red_dot", "sync_once"}
            assert inspect.signature(call.request).parameters.keys() <= known, name


ONLY_IN_A_PROGRAM = {"channels.subscribers", "channels.denied.get", "connections.select", "connections.totals"}
"""What no endpoint gives."""
OTHER_NAMES = {"session_id": "conn_id", "flags": "large"}
"""What endpoints call otherwise; the first of five flags."""


GROUPS = [
    "users",
    "channels",
    "channels.denied",
    "channels.allowed",
    "history",
    "conversations",
    "events",
    "connections",
]


@pytest.mark.parametrize("name", GROUPS)
async def test_groups_are_called_as_those_of_a_server(name: str) -> None:
    async with open_test_server() as server:
        of_server: Any = server
        for part in name.split("."):
            of_server = getattr(of_server, part)
    methods = {f"{name}.{part}": m for part, m in inspect.getmembers(of_server, inspect.ismethod) if part[0] != "_"}
    assert methods.keys() - ONLY_IN_A_PROGRAM <= calls().keys()
    for method in methods.keys() - ONLY_IN_A_PROGRAM:
        parameters = inspect.signature(methods[method]).parameters.values()
        in_place = [OTHER_NAMES.get(p.name, p.name) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert [*inspect.signature(calls()[method][2].request).parameters][: len(in_place)] == in_place, method


def test_what_a_server_has_at_its_top_a_client_has_there() -> None:
    for name in ("send", "send_batch"):
        assert hasattr(Server, name)
        assert name in calls()

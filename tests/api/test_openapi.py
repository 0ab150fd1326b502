"""`/openapi.json`: it is valid, complete, and true of the running server."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import httpx
import msgspec
import pytest
import trio
import trio.lowlevel
from api_calls import Api, OpenServer
from documented import OPENAPI, operation, response, undocumented, validator
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from wukong_trio.api.addresses import Route
from wukong_trio.api.documents import ServerDocuments
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.api.guard import Guard
from wukong_trio.api.openapi import describe_api
from wukong_trio.api.schemas import Schemas
from wukong_trio.api.table import Endpoint, Query
from wukong_trio.config import Search

OPERATIONS = [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
POSTS = [endpoint for endpoint in ENDPOINTS if endpoint.method == "POST"]


@pytest.fixture
async def api(open_server: OpenServer) -> AsyncIterator[Api]:
    """The API of a server in which everything is on."""
    with trio.fail_after(20):
        async with open_server(search=Search(on=True)) as server, Api(server) as api:
            yield api


def test_it_is_openapi() -> None:
    validate(OPENAPI, cls=OpenAPIV31SpecValidator)


def test_what_is_no_openapi_is_seen() -> None:
    """The check above checks something."""
    assert list(OpenAPIV31SpecValidator({**OPENAPI, "info": {}}).iter_errors())


def test_every_endpoint_is_in_it_and_nothing_else() -> None:
    described = [(method.upper(), path) for path, methods in OPENAPI["paths"].items() for method in methods]
    assert sorted(described) == sorted(OPERATIONS)
    ids = [operation(*key)["operationId"] for key in OPERATIONS]
    assert len(set(ids)) == len(ids)


def test_a_new_row_is_described() -> None:
    """With nothing but what every row has."""

    class RenameRequest(msgspec.Struct):
        """Body of `/rename`."""

        uid: str = ""

    async def rename(_context: object, _request: RenameRequest, _query: Query) -> object:
        """Gives a user another name."""

    document = describe_api([Endpoint("POST", "/rename", RenameRequest, rename)], needs_token=False)
    row = document["paths"]["/rename"]["post"]
    assert row["summary"] == "Gives a user another name."
    assert document["components"]["schemas"]["RenameRequest"]["properties"].keys() == {"uid"}
    assert row["requestBody"]["content"]["application/json"]["example"] == {"uid": "ann"}
    assert row["responses"].keys() == {"200", "400", "401", "403", "413", "500", "503"}


def test_everything_has_a_meaning_and_a_type() -> None:
    """Operations, types and all their members. Where a name is missing, it belongs into `api/glossary.py`."""
    described = {f"{method} {path}": operation(method, path)["summary"] for method, path in OPERATIONS}
    typed = {}
    for name, schema in OPENAPI["components"]["schemas"].items():
        described[name] = schema["description"]
        members = schema.get("properties", {})
        described |= {f"{name}.{member}": part["description"] for member, part in members.items()}
        typed |= {f"{name}.{member}": part for member, part in members.items()}
    for method, path in OPERATIONS:
        parameters = operation(method, path).get("parameters", [])
        described |= {f"{method} {path}?{parameter['name']}": parameter["description"] for parameter in parameters}
    assert [name for name, text in described.items() if not text] == []
    kinds = {"type", "$ref", "anyOf", "enum"}
    assert [name for name, schema in typed.items() if not kinds & schema.keys()] == []
    messages = OPENAPI["components"]["schemas"]["SyncAnswer"]["properties"]["messages"]
    assert messages["items"] == {"$ref": "#/components/schemas/MessageRecord"}


def test_lists_that_are_encoded_already_are_lists() -> None:
    class Entry(msgspec.Struct):
        """One of several."""

        uid: str

    class Several(msgspec.Struct):
        """All of them."""

        data: Annotated[msgspec.Raw, list[Entry]]
        more: Annotated[msgspec.Raw, list[Entry]] | msgspec.UnsetType = msgspec.UNSET

    members = Schemas([Several]).components["Several"]["properties"]
    for name in ("data", "more"):
        assert (members[name]["type"], members[name]["items"]) == ("array", {"$ref": "#/components/schemas/Entry"})


def examples() -> Iterator[tuple[str, Any, Any]]:
    for method, path in OPERATIONS:
        described = operation(method, path)
        for parameter in described.get("parameters", []):
            yield f"{method} {path}, {parameter['name']}", parameter["schema"], parameter.get("example", 0)
        parts = [described.get("requestBody", {}), *(response(method, path, int(s)) for s in described["responses"])]
        for part in parts:
            for media in part.get("content", {}).values():
                if "example" in media:
                    yield f"{method} {path}", media["schema"], media["example"]


def test_examples_are_what_their_schemas_say() -> None:
    checked = [(name, list(validator(schema).iter_errors(example))) for name, schema, example in examples()]
    assert [(name, errors) for name, errors in checked if errors] == []
    assert len(checked) > 3 * len(POSTS)


def test_examples_make_sense() -> None:
    def answer(path: str) -> Any:
        return response("POST", path, 200)["content"]["application/json"]["example"]

    batch = answer("/message/sendbatch")
    assert len(batch["fail_uids"]) == len(batch["reason"]) == 1
    search, found = example_body("/plugins/wk.plugin.search/usersearch"), answer("/plugins/wk.plugin.search/usersearch")
    assert (found["total"], found["limit"], found["page"]) == (len(found["messages"]), search["limit"], 1)
    assert search["payload_types"] == [found["messages"][0]["payload"]["type"]]
    assert answer("/message/event")["status"] == 200
    assert [event["event_type"] for event in answer("/message/eventsync")["data"]["events"]] == ["stream.close"]


def test_who_needs_the_token() -> None:
    guarded = describe_api(ENDPOINTS, needs_token=True)
    assert guarded["security"] == [{"managerToken": []}]
    assert describe_api(ENDPOINTS, needs_token=False)["security"] == []
    for endpoint in ENDPOINTS:
        is_open = Guard.is_open(endpoint.method, endpoint.path)
        described = guarded["paths"][endpoint.path][endpoint.method.lower()]
        if endpoint.path == "/metrics":
            assert described["security"] == [{"managerToken": []}, {"managerTokenAsBearer": []}]
        else:
            assert ("security" in described) == is_open
        assert ("401" in described["responses"]) != is_open


ALTERNATIVES = {"/message/send": {"channel_id", "channel_type"}}
"""Members of an example in place of which there may be others."""


def example_body(path: str) -> Any:
    return operation("POST", path)["requestBody"]["content"]["application/json"]["example"]


async def test_examples_succeed(api: Api) -> None:
    """One after the other, as they stand in the table."""
    for method, path in OPERATIONS:
        if method == "POST":
            answer = await api.http.post(path, json=example_body(path))
        else:
            parameters = operation(method, path).get("parameters", [])
            answer = await api.http.get(path, params={p["name"]: p["example"] for p in parameters})
        assert answer.status_code == 200, (path, answer.text)
        assert undocumented(answer) == [], path


@pytest.mark.parametrize("endpoint", POSTS, ids=lambda endpoint: endpoint.path)
async def test_required_is_what_has_to_be_there(api: Api, endpoint: Endpoint[Any]) -> None:
    body = example_body(endpoint.path)
    if isinstance(body, list):
        assert not endpoint.needs
        return
    schema = operation("POST", endpoint.path)["requestBody"]["content"]["application/json"]["schema"]
    refused = []
    for name in body:
        answer = await api.http.post(endpoint.path, json={key: body[key] for key in body if key != name})
        assert undocumented(answer) == []
        if answer.status_code == 400:
            refused.append(name)
    replaceable = ALTERNATIVES.get(endpoint.path, set())
    assert sorted(set(refused) - replaceable) == sorted(schema.get("required", []))


class Noted(Query):
    """Notes which parameters are looked for."""

    def __init__(self) -> None:
        super().__init__(intranet="0", channel_id="g", channel_type="2", client_msg_no="c", show="conn")
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


async def nothing() -> None:
    """Nothing at all."""


class Anything:
    """Stands for all that a handler may use, and works like nothing."""

    def __getattr__(self, _name: str) -> Any:
        return self

    def __call__(self, *_args: object) -> Any:
        return self

    def __await__(self) -> Any:
        return nothing().__await__()


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
async def test_parameters_are_those_that_are_looked_for(endpoint: Endpoint[Any]) -> None:
    noted = Noted()
    body = json.dumps(example_body(endpoint.path)).encode() if endpoint.reader is not None else b""
    request = endpoint.reader.read(body) if endpoint.reader is not None else None
    try:
        outcome = endpoint.handler(Anything(), request, noted)  # type: ignore[arg-type]
        if endpoint.waits:
            await outcome
    except Exception:
        pass  # of what it makes of nothing
    assert noted.names == {p["name"] for p in operation(endpoint.method, endpoint.path).get("parameters", [])}


async def test_bad_requests_are_answered_as_documented(api: Api) -> None:
    for endpoint in POSTS:
        for raw in (b"", b"5", b'{"uid":5}', b'{"channel_type":300}', b"null"):
            answer = await api.http.post(endpoint.path, content=raw)
            assert undocumented(answer) == [], (endpoint.path, raw)
        answer = await api.http.post(endpoint.path, headers={"Origin": "https://elsewhere.example"})
        assert (answer.status_code, undocumented(answer)) == (403, []), endpoint.path


async def test_a_body_that_is_too_long_is_answered_as_documented(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(limits={"http_body_bytes": 100}) as server, Api(server) as api:
            answer = await api.http.post("/user/token", content=b" " * 101)
            assert (answer.status_code, undocumented(answer)) == (413, [])


@pytest.mark.parametrize("path", ["/openapi.json", "/openrpc.json", "/docs"])
async def test_they_need_the_manager_token(open_server: OpenServer, path: str) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server, httpx.AsyncClient() as http:
            refused = await http.get(server.endpoints.http + path)
            assert (refused.status_code, refused.content) == (401, b"")
            answer = await http.get(server.endpoints.http + path, headers={"token": "k"})
            assert answer.status_code == 200
            assert undocumented(answer) == []
            assert (await http.post(server.endpoints.http + path, headers={"token": "k"})).status_code == 404


async def test_it_is_served(api: Api) -> None:
    answer = await api.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == json.loads(json.dumps(OPENAPI))
    assert (await api.http.get("/openapi.json")).content == answer.content


async def test_the_served_document_says_whether_a_token_is_needed(open_server: OpenServer) -> None:
    with trio.fail_after(10):
        async with open_server(auth={"manager_token": "k"}) as server, Api(server, token="k") as api:
            assert (await api.get("/openapi.json"))["security"] == [{"managerToken": []}]


def test_documents_are_put_together_once() -> None:
    documents = ServerDocuments(ENDPOINTS, Route("", "", ""), needs_token=False)
    assert documents.openapi is documents.openapi
    assert documents.openrpc is documents.openrpc
    assert documents.page is documents.page


def test_schemas_are_schemas() -> None:
    for schema in OPENAPI["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)

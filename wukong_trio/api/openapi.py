"""The description of the HTTP API: OpenAPI 3.1, made of the table of endpoints."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import getdoc
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec import Struct

from ..contract.answers import Failure
from ..version import __version__
from .guard import METRICS, Guard
from .schemas import Schema, Schemas, described, example_of, example_of_member, is_struct
from .table import BAD_BODY, JSON, STORE_FAILS, Endpoint

_RESPONSE: Final = "#/components/responses/{}"
_TOKEN: Final = "managerToken"
_BEARER: Final = "managerTokenAsBearer"
_ABOUT: Final = """\
Requests are JSON in the body of a `POST`, whatever its `Content-Type`, or parameters of a `GET`. Flags are 0 and 1, and
only 1 means true. A missing or `null` member counts as 0, an empty text or an empty list; unknown members are ignored.
Ids have up to 512 bytes of UTF-8. Repeating a change changes nothing more.

Beside what each operation answers: `OPTIONS` on any path gives 204; an unknown path, or the wrong method for a known
one, 404; a body that is too long 413, wherever it is sent; and what is no proper HTTP/1.1 gets 400, 431 or 505 with no
body.
"""
_FAILURES: Final = {
    400: (
        "Wrong",
        "The request is wrong; `msg` says how. Which member has the wrong type is in the server's log.",
        BAD_BODY,
    ),
    403: ("Forbidden", "Without a manager token: pages of this origin may not call, or not by this host.", "…"),
    413: ("TooLong", "The body, or a list in it, is too long; the connection ends.", "the body is larger than … bytes"),
    500: (
        "Failed",
        "The store fails: nothing was changed; try again. Without a body: a fault.",
        STORE_FAILS,
    ),
    503: (
        "Busy",
        "Too much at the same time; try again later.",
        "too many large bodies at the same time; try again later",
    ),
}
"""Status -> name, meaning and text of the answers that all endpoints share."""


def describe_api(endpoints: Sequence[Endpoint[Any]], *, needs_token: bool) -> Schema:
    """The document, as JSON values.

    Args:
        needs_token: whether callers need a manager token, apart from what is open to everybody.
    """
    schemas = Schemas([Failure, *(type_ for endpoint in endpoints for type_ in _types_of(endpoint))])
    paths: dict[str, Schema] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas)
        if needs_token and endpoint.path == METRICS:
            operation["security"] = [{_TOKEN: []}, {_BEARER: []}]
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wukong_trio",
            "version": __version__,
            "summary": "The HTTP API of an instant-messaging server that speaks WuKongIM's protocols",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": list(_tags(endpoints)),
        "security": [{_TOKEN: []}] if needs_token else [],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {
                "NoToken": {"description": "The manager token is missing or wrong."},
                **{
                    name: _response(text, schemas[Failure], {"msg": message, "status": status})
                    for status, (name, text, message) in _FAILURES.items()
                },
            },
            "securitySchemes": {
                _TOKEN: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "token",
                    "description": "The setting `managerToken`. If there is none, nobody needs it.",
                },
                _BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"The same; only `{METRICS}` takes it in this form.",
                },
            },
        },
    }


def _types_of(endpoint: Endpoint[Any]) -> Iterator[Any]:
    if endpoint.reader is not None:
        yield endpoint.request
    if endpoint.query is not None:
        for field in msgspec.structs.fields(endpoint.query):
            yield field.type
    for answer in (endpoint.answer, *endpoint.also.values()):
        yield from answer if isinstance(answer, tuple) else (answer,)


def _tags(endpoints: Iterable[Endpoint[Any]]) -> Iterator[Schema]:
    """Families of endpoints are those whose handlers stand in one file."""
    for module in dict.fromkeys(endpoint.handler.__module__ for endpoint in endpoints):
        yield {"name": _tag(module), "description": (sys.modules[module].__doc__ or "").partition("\n\n")[0]}


def _tag(module: str) -> str:
    return module.rpartition(".")[2]


def _operation(endpoint: Endpoint[Any], schemas: Schemas) -> Schema:
    summary, _, description = (getdoc(endpoint.handler) or "").partition("\n\n")
    operation: Schema = {
        "operationId": f"{endpoint.method}{endpoint.path}".lower().replace("/", "_").replace(".", "_"),
        "tags": [_tag(endpoint.handler.__module__)],
        "summary": " ".join(summary.split()),
    }
    if description:
        operation["description"] = description
    if Guard.is_open(endpoint.method, endpoint.path):
        operation["security"] = []
    if endpoint.query is not None:
        operation["parameters"] = list(_parameters(endpoint, endpoint.query, schemas))
    if endpoint.reader is not None:
        operation["requestBody"] = _body(endpoint, schemas)
    operation["responses"] = dict(sorted(_responses(endpoint, schemas)))
    return operation


def _parameters(endpoint: Endpoint[Any], query: type[Struct], schemas: Schemas) -> Iterator[Schema]:
    for field in msgspec.structs.fields(query):
        parameter = {
            "name": field.encode_name,
            "in": "query",
            "required": field.name in endpoint.needs,
            "schema": schemas[field.type],
            **described(query, field.name),
        }
        if (example := example_of_member(query, field)) is not None:
            parameter["example"] = example
        yield parameter


def _body(endpoint: Endpoint[Any], schemas: Schemas) -> Schema:
    schema = schemas[endpoint.request]
    if endpoint.needs:
        schema["required"] = list(endpoint.needs)
    example = endpoint.example if endpoint.example is not None else example_of(endpoint.request)
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _responses(endpoint: Endpoint[Any], schemas: Schemas) -> Iterator[tuple[str, Schema]]:
    for status, answer in {200: endpoint.answer, **endpoint.also}.items():
        content_type = endpoint.content_type if status == 200 else JSON
        example = None if answer in (str, dict) else example_of(answer)
        yield str(status), _response(_meaning(answer), schemas[answer], example, content_type)
    for status in _shared_statuses(endpoint) - endpoint.also.keys():
        yield str(status), {"$ref": _RESPONSE.format("NoToken" if status == 401 else _FAILURES[status][0])}


def _shared_statuses(endpoint: Endpoint[Any]) -> set[int]:
    statuses = set() if Guard.is_open(endpoint.method, endpoint.path) else {401, 403, 500}
    if endpoint.reader is not None:
        statuses |= {400, 413, 503}
    if endpoint.needs:
        statuses |= {400}
    if endpoint.long_answers:
        statuses |= {503}
    return statuses


def _meaning(answer: Any) -> str:
    """What a type says of itself."""
    if isinstance(answer, tuple):
        return " Or: ".join(_meaning(alternative) for alternative in answer)
    if is_struct(answer):
        return " ".join((answer.__doc__ or "").split())
    if get_origin(answer) is list and is_struct(item := get_args(answer)[0]):
        return "For each entry: " + _meaning(item)
    return "The document." if answer in (str, dict) else "The list."


def _response(text: str, schema: Schema, example: Any, content_type: str = JSON) -> Schema:
    media: Schema = {"schema": schema}
    if example is not None:
        media["example"] = example
    return {"description": text, "content": {content_type.partition(";")[0]: media}}

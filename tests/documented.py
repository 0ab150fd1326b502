"""Holding answers against the description of the API."""

from typing import Any

import httpx
import msgspec
from jsonschema import Draft202012Validator

from wukong_trio.api.addresses import Route
from wukong_trio.api.endpoints import ENDPOINTS
from wukong_trio.api.openapi import describe_api
from wukong_trio.api.openrpc import describe_calls

OPENAPI = msgspec.to_builtins(describe_api(ENDPOINTS, needs_token=False))
OPENRPC = msgspec.to_builtins(describe_calls(Route("h:1", "ws://h:2", "")))


def validator(schema: Any, document: Any = OPENAPI) -> Draft202012Validator:
    """Checks values against a schema of a document, whatever that refers to."""
    return Draft202012Validator({**schema, "components": document["components"]})


def operation(method: str, path: str) -> Any:
    """What the document says about an operation."""
    return OPENAPI["paths"][path][method.lower()]


def response(method: str, path: str, status: int) -> Any:
    """What it says about an answer with this status; None if there is none."""
    described = operation(method, path)["responses"].get(str(status))
    if described and "$ref" in described:
        described = OPENAPI["components"]["responses"][described["$ref"].rpartition("/")[2]]
    return described


def undocumented(answer: httpx.Response) -> list[str]:
    """What about an answer is not as the document says; members that it does not know, too."""
    request = answer.request
    described = response(request.method, request.url.path, answer.status_code)
    if described is None:
        return [f"status {answer.status_code}"]
    content_type = answer.headers.get("content-type", "").partition(";")[0]
    if "content" not in described:
        return [] if not answer.content and not content_type else [f"{content_type}: {answer.text}"]
    if content_type not in described["content"]:
        return [f"content type {content_type}"]
    value = answer.json() if content_type == "application/json" else answer.text
    schema = described["content"][content_type]["schema"]
    if schema.get("type") != "object":
        schema = {**schema, "unevaluatedProperties": False}
    return [error.message for error in validator(schema).iter_errors(value)]

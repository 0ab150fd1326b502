"""`/docs`: the descriptions of both APIs as one page. It loads nothing, and can be read without JavaScript."""

import html
import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any, Final

import msgspec

from .schemas import Schema

_TEMPLATE: Final = Path(__file__).with_name("docs_page.html")
_INLINE: Final = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)
_CODE: Final = re.compile(r"`([^`]+)`")
_NAMES: Final = {"integer": "integer", "string": "text", "boolean": "true or false", "object": "object"}


def write_page(openapi: Schema, openrpc: Schema) -> tuple[bytes, str]:
    """The page, and the security policy that lets browsers run what is in it and nothing else.

    Args:
        openapi: the description of the HTTP API.
        openrpc: that of JSON-RPC.
    """
    sections = [*_http_sections(openapi), *_rpc_sections(openrpc), _types_section(openapi, openrpc)]
    page = Template(_TEMPLATE.read_text()).substitute(
        version=html.escape(openapi["info"]["version"]),
        about=_paragraphs(openapi["info"]["description"]),
        links="".join(section.links for section in sections),
        sections="".join(section.html for section in sections),
    )
    hashes = {kind: b64encode(sha256(text.encode()).digest()).decode() for kind, text in _INLINE.findall(page)}
    policy = (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page.encode(), policy


class _Section:
    """Articles under one heading, and the links to them."""

    def __init__(self, title: str, text: str) -> None:
        self._title = html.escape(title)
        self._text = _paragraphs(text)
        self._articles = ""
        self._links = ""

    def add(self, kind: str, name: str, content: str, *, mark: str = "") -> None:
        """One article; `kind` is also the name of its colour."""
        anchor = f"{kind}-{name}"
        heading = f'<b class="{kind.lower()}">{kind}</b>{html.escape(name)}'
        note = f'<span class="lock">{html.escape(mark)}</span>' if mark else ""
        self._articles += f'<article id="{html.escape(anchor)}">{note}<h3>{heading}</h3>{content}</article>\n'
        self._links += f'<a href="#{html.escape(anchor)}">{heading}</a>'

    @property
    def html(self) -> str:
        return f"<section><h2>{self._title}</h2>{self._text}{self._articles}</section>\n"

    @property
    def links(self) -> str:
        return f"<div><h2>{self._title}</h2>{self._links}</div>\n"


def _http_sections(openapi: Schema) -> Iterable[_Section]:
    sections = {tag["name"]: _Section(tag["name"], tag["description"]) for tag in openapi["tags"]}
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            mark = "for everybody" if operation.get("security") == [] else ""
            sections[operation["tags"][0]].add(method.upper(), path, _operation(operation, openapi), mark=mark)
    return sections.values()


def _operation(operation: Schema, openapi: Schema) -> str:
    content = _paragraphs(operation["summary"] + "\n\n" + operation.get("description", ""))
    if parameters := operation.get("parameters"):
        content += _parameters(parameters)
    if body := operation.get("requestBody"):
        media = body["content"]["application/json"]
        content += "<h4>Body</h4>" + _schema(media["schema"], openapi) + _json(media["example"])
    content += '<h4>Answers</h4><table class="answers">'
    for status, response in operation["responses"].items():
        content += f"<tr><td>{status}</td><td>{_response(response, openapi)}</td></tr>"
    return content + "</table>"


def _response(response: Schema, openapi: Schema) -> str:
    if "$ref" in response:
        return _text(openapi["components"]["responses"][_name(response)]["description"])
    text = _text(response["description"])
    for content_type, media in response.get("content", {}).items():
        text += f" <code>{html.escape(content_type)}</code> {_type(media['schema'])}"
        if "example" in media:
            text += _json(media["example"])
    return text


def _rpc_sections(openrpc: Schema) -> Iterable[_Section]:
    calls = _Section("JSON-RPC", openrpc["info"]["description"])
    for method in openrpc["methods"]:
        calls.add("CALL", method["name"], _method(method, openrpc))
    pushes = _Section("JSON-RPC, from the server", "Notifications: they have no `id` and no answer.")
    for method in openrpc["x-notifications"]:
        pushes.add("PUSH", method["name"], _method(method, openrpc))
    return calls, pushes


def _method(method: Schema, openrpc: Schema) -> str:
    content = _paragraphs(method["summary"])
    if method["params"]:
        content += _parameters(method["params"])
    for example in method.get("examples", []):
        params = {param["name"]: param["value"] for param in example["params"]}
        content += _json({"id": "1", "method": method["name"], **({"params": params} if params else {})})
    if "result" in method:
        content += "<h4>Result</h4>" + _schema(method["result"]["schema"], openrpc)
        content += "".join(_json(example["result"]["value"]) for example in method["examples"])
    if errors := method.get("errors"):
        known = [openrpc["components"]["errors"][_name(error)] for error in errors]
        content += '<h4>Errors</h4><table class="answers">'
        content += "".join(f"<tr><td>{error['code']}</td><td>{_text(error['message'])}</td></tr>" for error in known)
        content += "</table>"
    return content


def _types_section(openapi: Schema, openrpc: Schema) -> _Section:
    section = _Section("Types", "What the tables above refer to.")
    for document in (openapi, openrpc):
        for name, schema in sorted(document["components"]["schemas"].items()):
            section.add("TYPE", name, _paragraphs(schema["description"]) + _schema(schema, document))
    return section


def _schema(schema: Schema, document: Schema) -> str:
    """A table of the members of an object, or the name of what is none."""
    known = {**document["components"]["schemas"][_name(schema)], **schema} if "$ref" in schema else schema
    if "properties" not in known:
        return f"<p>{_type(schema)}</p>"
    required = set(known.get("required", ()))
    return _members((name, member, name in required) for name, member in known["properties"].items())


def _parameters(parameters: Iterable[Schema]) -> str:
    """Both descriptions say it alike."""
    return "<h4>Parameters</h4>" + _members(
        (parameter["name"], {**parameter["schema"], **parameter}, parameter["required"]) for parameter in parameters
    )


def _members(members: Iterable[tuple[str, Schema, bool]]) -> str:
    rows = [
        f"<tr><td><code>{html.escape(name)}</code>{'<span class=needed>required</span>' if required else ''}</td>"
        f"<td>{_type(schema)}</td><td>{_text(schema.get('description', ''))}</td></tr>"
        for name, schema, required in members
    ]
    return f"<table>{''.join(rows)}</table>" if rows else "<p>No members.</p>"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = html.escape(_name(schema))
        return f'<a href="#TYPE-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(alternative) for alternative in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{html.escape(_compact(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return "list of " + _type(schema["items"]) if "items" in schema else "list"
    return _NAMES.get(schema.get("type", ""), "anything") + _range(schema)


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    return f", {least} to {most}" if most is not None and most < 2**32 else ""


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _json(value: Any) -> str:
    return f"<pre>{html.escape(_compact(value), quote=False)}</pre>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(part)}</p>" for part in text.split("\n\n") if part.strip())


def _text(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", html.escape(text, quote=False))

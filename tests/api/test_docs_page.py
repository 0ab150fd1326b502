"""`/docs`: everything is on the page, which loads nothing and runs nothing but what is in it."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from api_calls import Api
from documented import OPENAPI, OPENRPC

from wukong_trio.api.docs_page import write_page

PAGE, POLICY = write_page(OPENAPI, OPENRPC)
VOID = {"meta", "link", "input"}


class Reader(HTMLParser):
    """What somebody without JavaScript and without a network sees."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.articles: dict[str, str] = {}
        self.references: list[str] = []
        self.inline: list[tuple[str, str]] = []
        self._anchor = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.references += [value or "" for name, value in attrs if name in ("href", "src", "action", "srcset")]
        assert not [name for name in given if name.startswith("on") or name == "style"], "the policy forbids it"
        if tag == "article":
            self._anchor = given["id"] or ""
            assert self._anchor not in self.articles
            self.articles[self._anchor] = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.inline.append((self.open[-1], data))
        elif "article" in self.open:
            self.articles[self._anchor] += data
        else:
            self.texts.append(data)


@pytest.fixture
def reader() -> Reader:
    """The page, read to its end."""
    reader = Reader()
    reader.feed(PAGE.decode())
    reader.close()
    assert reader.open == []
    return reader


def test_every_operation_is_there_with_all_its_parts(reader: Reader) -> None:
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            text = reader.articles[f"{method.upper()}-{path}"]
            assert path in text
            assert operation["summary"].replace("`", "") in text
            assert all(status in text for status in operation["responses"])
            for parameter in operation.get("parameters", []):
                assert parameter["name"] in text
            if "requestBody" in operation:
                [media] = operation["requestBody"]["content"].values()
                name = media["schema"].get("$ref", "").rpartition("/")[2]
                members = OPENAPI["components"]["schemas"].get(name, {"properties": {}})["properties"]
                assert all(member in text for member in members)
                assert text.count("required") >= len(media["schema"].get("required", ()))


def test_json_rpc_is_there(reader: Reader) -> None:
    for kind, methods in (("CALL", OPENRPC["methods"]), ("PUSH", OPENRPC["x-notifications"])):
        for method in methods:
            text = reader.articles[f"{kind}-{method['name']}"]
            assert all(param["name"] in text for param in method["params"])
            assert all(str(error) in text for error in ([-32007] if "errors" in method else []))


def test_it_loads_nothing(reader: Reader) -> None:
    allowed = re.compile(r"data:,|openapi\.json|openrpc\.json|#.+")
    assert [reference for reference in reader.references if not allowed.fullmatch(reference)] == []
    assert "@import" not in PAGE.decode()
    assert "url(" not in PAGE.decode()


def test_links_lead_somewhere(reader: Reader) -> None:
    anchors = {reference.removeprefix("#") for reference in reader.references if reference.startswith("#")}
    assert anchors == reader.articles.keys()


def test_the_policy_lets_in_what_is_on_the_page_and_nothing_else(reader: Reader) -> None:
    assert [kind for kind, _ in reader.inline] == ["style", "script"]
    for kind, text in reader.inline:
        assert f"{kind}-src 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}';" in POLICY
    assert POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in POLICY


def test_texts_are_no_markup() -> None:
    evil = {
        **OPENAPI,
        "info": {**OPENAPI["info"], "description": "<script>1</script> `<b>` & $version", "version": "<i>"},
    }
    page = write_page(evil, OPENRPC)[0].decode()
    assert "<script>1" not in page
    assert "&lt;script&gt;1&lt;/script&gt; <code>&lt;b&gt;</code> &amp; $version" in page
    assert "<i>" not in page


async def test_it_is_served_with_its_policy(api: Api) -> None:
    answer = await api.http.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.content) == len(answer.text.encode()) > 50_000
    for path in ("/route", "/openapi.json", "/healthz"):
        assert "content-security-policy" not in (await api.http.get(path)).headers

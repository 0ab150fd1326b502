"""What is found, on each store: conditions, filters, pages, and who may read."""

import json
from typing import Any

import pytest
import trio
from library import NOW, Library, open_library, person

from wukong_trio import Message
from wukong_trio.errors import InvalidArgumentError
from wukong_trio.model import SYNC_ONCE, ChannelKey
from wukong_trio.search import index
from wukong_trio.search.query import MAX_CONDITIONS, MAX_REACH, MAX_TEXT, MAX_TYPES
from wukong_trio.search.text import terms_of
from wukong_trio.store.base import MemberList
from wukong_trio.store.memory import MemoryStore


async def test_all_words_in_any_order_newest_first(library: Library) -> None:
    await library.say("hello world", "world, hello!", "hello moon", "今天下午三点开会", "Help the worldwide web")
    assert await library.texts("hello WORLD") == ["world, hello!", "hello world"]
    assert await library.texts("hel wor") == ["Help the worldwide web", "world, hello!", "hello world"]
    assert await library.texts("开会") == ["今天下午三点开会"]
    assert await library.texts("会") == ["今天下午三点开会"]
    assert await library.texts("午后") == []


@pytest.mark.parametrize(
    "operator",
    [
        *(
            '"',
            "*",
            "hel*",
            "hello -moon",
            "hello NOT moon",
            "hello OR moon",
            "NEAR(hello moon, 2)",
            "hello AND",
            "AND",
            "(",
        ),
        *(
            "content : hello",
            "^hello",
            "hello + there",
            "{",
            "a:b",
            '"hello',
            "#",
            "hello #",
            "';--",
            "\x00",
            "\\",
            "%",
            "?1",
        ),
    ],
)
async def test_operators_are_only_text(library: Library, operator: str) -> None:
    await library.say("hello there", f"here it is: {operator} moon near or and not content a b 1 2 hel hello there")
    assert len(await library.texts(f"it {operator}")) == 1


async def test_no_query_fails() -> None:
    """Whatever is stored and asked for."""
    async with open_library(MemoryStore()) as library:
        await library.join("ann")
        for text in (
            "\ud7ff",
            "a\x00b",
            "'",
            '"',
            "*" * 200,
            "\u202eabc",
            "𠀀𠀁",
            "ﷺ",
            "ab" * 100,
            "\u0301",
            "한" * 200,
        ):
            await library.say(text)
            await library.find(text)
            await library.find(text, channel_id=text[:99], from_uid=text[:99], topic=text[:99], uid=f"ann{text[:99]}")


async def test_conditions_on_other_members(library: Library) -> None:
    payloads: list[dict[str, Any]] = [
        {"type": 2, "name": "report.pdf", "size": 120},
        {"type": 2, "name": "other.pdf", "content": "report", "size": 1204},
        {"type": 3, "user": {"name": "Bob", "tags": ["red fox", "green"]}},
        {"type": "text", "content": "typed"},
        {"title": "no type"},
    ]
    await library.store_payloads(*[json.dumps(payload).encode() for payload in payloads])
    conditions: list[tuple[dict[str, Any], list[int]]] = [
        ({"name": "report"}, [0]),
        ({"content": "report"}, [1]),
        ({"name": "pdf", "size": 120}, [1, 0]),
        ({"name": "pdf", "type": 2}, [1, 0]),
        ({"type": 3}, [2]),
        ({"type": 4}, []),
        ({"type": "text"}, [3]),
        ({"user": {"name": "bob"}}, [2]),
        ({"user": {"tags": "green fox"}}, [2]),
        ({"user.name": "bob"}, [2]),
        ({"title": "type"}, [4]),
        ({"title": "", "content": " "}, [4, 3, 2, 1, 0]),
        ({"content": "***"}, []),
        ({}, [4, 3, 2, 1, 0]),
    ]
    for condition, wanted in conditions:
        found = [message.payload for message in (await library.find(payload=condition)).messages]
        assert found == [payloads[number] for number in wanted], condition
    assert [m.payload for m in (await library.find(payload_types=[3, 4])).messages] == [payloads[2]]
    assert (await library.find(payload={"type": 3}, payload_types=[2])).total == 0


async def test_filters(library: Library) -> None:
    await library.join("ann", key=ChannelKey("other", 2))
    await library.say("x one", from_uid="bob", topic="news", timestamp=NOW)
    await library.say("x two", key=ChannelKey("other", 2), timestamp=NOW + 10)
    await library.say("x three", key=person("ann", "bob"), timestamp=NOW + 20)
    await library.say("x four", key=person("ann", "eve"), from_uid="eve", timestamp=NOW + 30)
    filters: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["x four", "x three", "x two", "x one"]),
        ({"from_uid": "bob"}, ["x one"]),
        ({"from_uid": "nobody"}, []),
        ({"topic": "news"}, ["x one"]),
        ({"topic": "new"}, []),
        ({"channel_id": "team"}, ["x one"]),
        ({"channel_id": "team", "channel_type": 2}, ["x one"]),
        ({"channel_id": "team", "channel_type": 1}, []),
        ({"channel_id": "bob"}, ["x three"]),
        ({"channel_id": "bob", "channel_type": 1}, ["x three"]),
        ({"channel_type": 1}, ["x four", "x three"]),
        ({"start_time": NOW + 20}, ["x four", "x three"]),
        ({"start_time": NOW + 21}, ["x four"]),
        ({"end_time": NOW + 10}, ["x two", "x one"]),
        ({"end_time": NOW + 9}, ["x one"]),
        ({"start_time": NOW + 10, "end_time": NOW + 20}, ["x three", "x two"]),
    ]
    for given_filters, wanted in filters:
        assert await library.texts("x", **given_filters) == wanted, given_filters
        assert await library.texts(**given_filters) == wanted, given_filters


async def test_pages(library: Library) -> None:
    await library.say(*[f"hello {number}" for number in range(25)])
    everything = [f"hello {number}" for number in range(24, -1, -1)]
    pages = [await library.find("hello", page=page) for page in (0, 1, 2, 3, 4)]
    assert [(page.total, page.limit, page.page, len(page.messages)) for page in pages] == [
        (25, 10, 1, 10),
        (25, 10, 1, 10),
        (25, 10, 2, 10),
        (25, 10, 3, 5),
        (25, 10, 4, 0),
    ]
    assert [message.payload["content"] for page in pages[1:] for message in page.messages] == everything
    assert await library.texts("hello", limit=3, page=2) == everything[3:6]
    assert await library.texts("hello", limit=-5) == everything[:10]
    assert len((await library.find("hello", limit=10**9)).messages) == 25
    assert (await library.find("hello", limit=10**9)).limit == 100


async def test_false_hits_are_replaced_and_not_counted(library: Library) -> None:
    """The terms of `人工智能` are in a text that has only its pairs."""
    await library.say(*["我研究人工智能", "人工 工智 智能"] * 30)
    for page in (1, 2, 3):
        assert await library.texts("人工智能", page=page) == ["我研究人工智能"] * 10
    assert (await library.find("人工智能", page=3)).total == 30
    many = " ".join(f"w{number}" for number in range(30))
    await library.say(many, many.removesuffix("29"))
    assert await library.texts(many) == [many]


async def test_only_json_objects_that_people_have_sent(library: Library) -> None:
    await library.say("hello visible")
    await library.say("hello command", flags=SYNC_ONCE, key=ChannelKey("team____cmd", 2))
    await library.say("hello command", flags=SYNC_ONCE)
    await library.store_payloads(
        b"hello", b'["hello"]', b'"hello"', b'{"content":"hello"', b'{"content":"hello\xff"}', b"\x00\x01"
    )
    await library.store_payloads(b'{"content":' + b"[" * 100 + b'"hello"' + b"]" * 100 + b"}")
    await library.store_payloads(b' {"content":"hello blank"}', b'{"content":"hello","n":' + b"9" * 5000 + b"}")
    assert await library.texts("hello") == ["hello blank", "hello visible"]


async def test_a_message_that_the_code_cannot_cope_with_is_left_out(
    library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(text: str) -> set[str]:
        assert "bad" not in text
        return terms_of(text)

    monkeypatch.setattr(index, "terms_of", fails)
    await library.say("hello one", "hello bad", "hello two")
    assert await library.texts("hello") == ["hello two", "hello one"]
    assert "cannot be indexed" in caplog.text


async def test_membership_is_that_of_the_moment(library: Library) -> None:
    await library.say("hello")
    assert await library.texts("hello") == ["hello"]
    assert await library.texts("hello", uid="eve") == []
    await library.join("eve")
    assert await library.texts("hello", uid="eve") == ["hello"]
    await library.change(MemberList.DENIED, add=["eve"])
    assert await library.texts("hello", uid="eve") == []
    await library.change(MemberList.DENIED, remove=["eve"])
    assert await library.texts("hello", uid="eve") == ["hello"]
    await library.change(MemberList.SUBSCRIBERS, remove=["eve", "ann"])
    assert await library.texts("hello", uid="eve") == []
    assert await library.texts("hello", uid="ann", from_uid="ann", channel_id="team") == []


async def test_channels_that_are_ones_own_by_their_ids(library: Library) -> None:
    keys = [
        (person("ann", "bob"), {"ann", "bob"}),
        (person("ann", "ann"), {"ann"}),
        (ChannelKey("eve@robot", 11), {"eve", "robot"}),
        (ChannelKey("eve|shop", 3), {"eve"}),
        (ChannelKey("eve", 10), {"eve"}),
        (ChannelKey("ann@bob", 2), set()),
        (ChannelKey("ann", 2), set()),
    ]
    for key, _ in keys:
        await library.say(f"hello {key.channel_id}/{key.channel_type}", key=key)
    for uid in ("ann", "bob", "eve", "robot", "shop", "an", "nn"):
        readable = [f"hello {key.channel_id}/{key.channel_type}" for key, uids in keys if uid in uids]
        assert await library.texts("hello", uid=uid) == readable[::-1], uid


async def test_channels_with_any_characters_in_their_ids(library: Library) -> None:
    keys = [ChannelKey(name, 2) for name in ("a\0b", "a\1b", "a\1:b", "a", 'a"b', "🦊@x")]
    for key in keys:
        await library.join("ann", key=key)
        await library.say(f"in {key.channel_id}", key=key)
    assert len(await library.texts("in")) == len(keys)
    for key in keys:
        await library.say(f"in {key.channel_id} again", key=key)
        assert len(await library.texts("again in", channel_id=key.channel_id, channel_type=2)) == 1


async def test_the_record(library: Library) -> None:
    await library.say("other", key=person("ann", "bob"))
    [sent] = await library.say("hello", key=person("ann", "bob"), from_uid="____system", topic="t")
    for uid, peer in (("ann", "bob"), ("bob", "ann")):
        [found] = (await library.find("hello", uid=uid)).messages
        assert found.message_id == sent.message_id
        assert found.message_idstr == str(sent.message_id)
        assert (found.message_seq, found.client_msg_no, found.timestamp, found.topic) == (2, "c0", NOW, "t")
        assert (found.channel_id, found.channel_type, found.from_uid) == (peer, 1, "")
        assert found.payload == {"type": 1, "content": "hello"}


async def test_words_are_marked_where_it_was_asked_for(library: Library) -> None:
    payload = {"type": 1, "content": "Hello <b>world</b> 开会了", "title": "hello", "inner": {"text": ["hello", "x"]}}
    await library.store_payloads(json.dumps(payload).encode())
    condition = {"content": "hel 开会", "inner": {"text": "hello"}}

    async def found(*highlights: str) -> dict[str, Any]:
        return (await library.find(payload=condition, highlights=highlights)).messages[0].payload

    assert await found() == payload
    marked = "<mark>Hello</mark> <b>world</b> <mark>开会</mark>了"
    assert await found("payload.content") == {**payload, "content": marked}
    assert await found("payload.title", "payload.nothing", "payload.type") == payload
    assert await found("payload.inner.text") == {**payload, "inner": {"text": ["<mark>hello</mark>", "x"]}}


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("uid", {"uid": ""}),
        ("uid", {"uid": "u" * 513}),
        ("uid", {"uid": 7}),
        ("from_uid", {"from_uid": "群" * 171}),
        ("topic", {"topic": "a\ud800"}),
        ("start_time", {"start_time": 1.5}),
        ("limit", {"limit": None}),
        ("payload", {"payload": "hello"}),
        ("payload_types", {"payload_types": 1}),
        ("highlights", {"highlights": "payload.content"}),
        ("highlights", {"highlights": [7]}),
        ("channel_id", {"channel_id": "u" * 513}),
        ("topic", {"topic": "u" * 513}),
        ("payload", {"payload": {f"m{number}": "x" for number in range(MAX_CONDITIONS + 1)}}),
        ("payload.content", {"payload": {"content": "x" * (MAX_TEXT + 1)}}),
        ("payload.content", {"payload": {"content": ["x"]}}),
        ("payload.content", {"payload": {"content": None}}),
        ("payload.a.b", {"payload": {"a": {"b": 1.5}}}),
        ("payload.a", {"payload": {"a": True}}),
        ("payload.a", {"payload": {"a": 2**63}}),
        ("payload_types", {"payload_types": [1] * (MAX_TYPES + 1)}),
        ("payload_types", {"payload_types": [2**63]}),
        ("page", {"page": MAX_REACH // 10 + 1}),
        ("highlights", {"highlights": ["content"]}),
        ("highlights", {"highlights": ["payload.content"] * (MAX_CONDITIONS + 1)}),
    ],
)
async def test_impossible_queries_name_the_field(field: str, query: dict[str, Any]) -> None:
    async with open_library(MemoryStore()) as library:
        with pytest.raises(InvalidArgumentError) as refused:
            await library.find(**query)
    assert refused.value.field == field
    assert str(refused.value).startswith(field)


@pytest.mark.parametrize(
    "query",
    [
        {"uid": "u" * 512},
        {"payload": {f"m{number}": "x" for number in range(MAX_CONDITIONS)}},
        {"payload": {"content": "x " * (MAX_TEXT // 2)}},
        {"payload": {"type": 2**63 - 1}},
        {"payload_types": [1] * MAX_TYPES},
        {"payload_types": [-(2**63)]},
        {"page": MAX_REACH // 10},
        {"highlights": ["payload.content"] * MAX_CONDITIONS},
        {"start_time": -(2**63), "end_time": 2**63 - 1},
        {"start_time": 5, "end_time": 1},
    ],
)
async def test_queries_at_the_limits(query: dict[str, Any]) -> None:
    async with open_library(MemoryStore()) as library:
        await library.join("ann")
        await library.say("hello")
        assert (await library.find(**query)).total in (0, 1)


class ForgetfulStore(MemoryStore):
    """A store that has lost some messages."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[int] = set()

    async def messages_by_id(self, message_ids: Any) -> list[Message]:
        return [m for m in await super().messages_by_id(message_ids) if m.message_id not in self.lost]


async def test_what_the_store_does_not_have_any_more_is_not_found() -> None:
    store = ForgetfulStore()
    async with open_library(store) as library:
        await library.join("ann")
        sent = await library.say(*[f"hello {number}" for number in range(20)])
        await library.indexed()
        store.lost = {message.message_id for message in sent[5:]}
        result = await library.find("hello")
        assert [message.payload["content"] for message in result.messages] == [f"hello {n}" for n in range(4, -1, -1)]
        assert result.total == 5
        store.lost = set()
        # Soon the index knows, too.
        with trio.fail_after(5):
            for filters in ({}, {"from_uid": "ann"}):
                while (await library.find("hello", **filters)).total != 5:  # noqa: ASYNC110 - there is no event
                    await trio.sleep(0.01)


async def test_a_page_is_bounded_in_bytes(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wukong_trio.search.search.ANSWER_BYTES", 1000)
    await library.say("small", "large " + "x" * 2000, "large", "small")
    assert [text[:6] for text in await library.texts()] == ["small", "large"]
    assert [text[:6] for text in await library.texts("larg x")] == ["large "]

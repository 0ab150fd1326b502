"""Pages of history whose JSON is made once."""

import json

import pytest
from api_calls import Api
from msgspec.structs import replace

from wukong_trio.api import encoded_pages
from wukong_trio.api.encoded_pages import EncodedPages
from wukong_trio.model import SETTING_STREAM, ChannelKey, Message, MessageEvent
from wukong_trio.services.message_events import MessageEvents
from wukong_trio.store.base import Page
from wukong_trio.store.memory import MemoryStore


def page(low: int, high: int, channel_id: str = "g", size_bytes: int = 1) -> Page:
    return Page(
        [
            Message(
                message_id=n,
                message_seq=n,
                channel_id=channel_id,
                channel_type=2,
                from_uid="ann",
                client_msg_no=f"c{n}",
                timestamp=1,
                payload=b"x" * size_bytes,
            )
            for n in range(low, high + 1)
        ],
        False,
    )


def empty() -> EncodedPages:
    async def push(key: ChannelKey, event: MessageEvent) -> None:
        raise AssertionError

    return EncodedPages(MessageEvents(MemoryStore(), push, payload_limit_bytes=1))


async def asked_for(*pages: Page) -> EncodedPages:
    """A cache from which these were wanted before: only then they are kept."""
    encoded = empty()
    for each in pages:
        await encoded.records(each)
    return encoded


async def test_what_is_wanted_again_is_encoded_once_more_and_kept() -> None:
    pages = empty()
    first = await pages.records(page(1, 3))
    second = await pages.records(page(1, 3))
    assert second is not first
    assert bytes(second) == bytes(first)
    first = second
    assert [record["message_seq"] for record in json.loads(bytes(first))] == [1, 2, 3]
    assert await pages.records(page(1, 3)) is first
    for other in (page(1, 2), page(2, 3), page(1, 3, "h"), page(1, 4)):
        records = json.loads(bytes(await pages.records(other)))
        assert [(r["channel_id"], r["message_seq"]) for r in records] == [
            (m.channel_id, m.message_seq) for m in other.messages
        ]
    left = page(1, 3)
    del left.messages[1]
    for _ in range(2):
        records = json.loads(bytes(await pages.records(left)))
        assert [record["message_seq"] for record in records] == [1, 3], "one may have expired"
    assert bytes(await pages.records(Page([], False))) == b"[]"


async def test_pages_with_streams_are_not_kept() -> None:
    pages, plain = empty(), page(1, 3)
    stream = Page([*plain.messages[:2], replace(plain.messages[2], setting=SETTING_STREAM)], False)
    first = await pages.records(stream)
    assert [record["setting"] for record in json.loads(bytes(first))] == [0, 0, SETTING_STREAM]
    assert await pages.records(stream) is not first


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    size_bytes = len(bytes(await empty().records(page(1, 1))))
    monkeypatch.setattr(encoded_pages, "MAX_BYTES", 2 * size_bytes)
    pages = await asked_for(page(1, 1), page(2, 2), page(3, 3))
    one, two = await pages.records(page(1, 1)), await pages.records(page(2, 2))
    assert await pages.records(page(1, 1)) is one
    await pages.records(page(3, 3))
    assert await pages.records(page(1, 1)) is one
    assert await pages.records(page(2, 2)) is not two
    monkeypatch.undo()
    size_bytes = len(bytes(await pages.records(page(4, 4))))
    for limit_bytes, kept in ((size_bytes, True), (size_bytes - 1, False)):
        monkeypatch.setattr(encoded_pages, "PAGE_BYTES", limit_bytes)
        pages = await asked_for(page(4, 4))
        assert (await pages.records(page(4, 4)) is await pages.records(page(4, 4))) is kept


async def test_a_new_message_is_in_the_next_page(api: Api) -> None:
    for n in range(1, 6):
        await api.send("g", client_msg_no=f"c{n}")
        for _ in range(2):
            records = (await api.history("g", limit=3))["messages"]
            assert [record["message_seq"] for record in records] == list(range(max(n - 2, 1), n + 1))

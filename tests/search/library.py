"""A store with messages, and a search that follows it."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio
from common import until

from wukong_trio.config import Config, Search
from wukong_trio.delivery.ids import MessageIds
from wukong_trio.model import ChannelKey, Message, person_channel_id
from wukong_trio.search.query import SearchQuery
from wukong_trio.search.search import MessageSearch, SearchResult, open_search
from wukong_trio.store.base import ChannelChange, MemberChange, MemberList, Store

TEAM = ChannelKey("team", 2)
NOW = 1_700_000_000


def person(uid: str, peer: str) -> ChannelKey:
    return ChannelKey(person_channel_id(uid, peer), 1)


class Library:
    """Stores messages as the router does, and searches them."""

    def __init__(self, store: Store, search: MessageSearch) -> None:
        self.store = store
        self.search = search
        self.ids = MessageIds()
        self.ids.advance(NOW)

    async def say(self, *texts: str, key: ChannelKey = TEAM, from_uid: str = "ann", **more: object) -> list[Message]:
        """Stores texts of a sender."""
        return await self.store_payloads(
            *[json.dumps({"type": 1, "content": text}).encode() for text in texts], key=key, from_uid=from_uid, **more
        )

    async def store_payloads(
        self,
        *payloads: bytes,
        key: ChannelKey = TEAM,
        from_uid: str = "ann",
        timestamp: int = NOW,
        topic: str = "",
        flags: int = 0,
    ) -> list[Message]:
        """Stores messages of a sender."""
        drafts = [
            Message(
                message_id=self.ids.next(),
                message_seq=0,
                channel_id=key.channel_id,
                channel_type=key.channel_type,
                from_uid=from_uid,
                client_msg_no=f"c{number}",
                timestamp=timestamp,
                payload=payload,
                topic=topic,
                flags=flags,
            )
            for number, payload in enumerate(payloads)
        ]
        await self.store.append_messages(drafts)
        self.search.stored(drafts)
        return drafts

    async def change(
        self, members: MemberList, *, key: ChannelKey = TEAM, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        """Changes a list of a channel."""
        change = MemberChange(list=members, add=add, remove=remove)
        await self.store.change_channel(ChannelChange(key=key, create=True, members=[change]))

    async def join(self, *uids: str, key: ChannelKey = TEAM) -> None:
        """Makes users members of a channel."""
        await self.change(MemberList.SUBSCRIBERS, key=key, add=uids)

    async def indexed(self) -> None:
        """Waits until everything can be found."""
        await until(lambda: not self.search.lag_s)

    async def find(self, content: str = "", uid: str = "ann", **more: object) -> SearchResult:
        """What a user finds."""
        await self.indexed()
        payload = {"content": content} if content else {}
        return await self.search.find(SearchQuery(**{"uid": uid, "payload": payload, **more}))

    async def texts(self, content: str = "", uid: str = "ann", **more: object) -> list[str]:
        """The texts that a user finds."""
        return [message.payload.get("content", "") for message in (await self.find(content, uid, **more)).messages]


@asynccontextmanager
async def open_library(store: Store) -> AsyncIterator[Library]:
    """A library whose search runs."""
    search = open_search(Config(search=Search(on=True)), store, await store.last_message_id())
    assert search is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(search.run)
        yield Library(store, search)
        nursery.cancel_scope.cancel()

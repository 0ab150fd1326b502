"""Searching: from what somebody asks to what he may read of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio
from msgspec import Struct

from ..config import Config
from ..contract.search import FoundMessage
from ..model import SYSTEM_UID, ChannelKey, ChannelType, Message, parties, person_channel_id
from ..services.addressing import peer_of
from ..store.base import Store
from ..store.directory import SEARCH_INDEX
from .hits import NO_END, Filters, Hit
from .payload import marked, read_payload, texts_of
from .query import SearchQuery, Wish, read_query
from .text import Words

if TYPE_CHECKING:
    from .follow import Follower

ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Payloads of one page, unless its first message has more; what is beyond is left out."""
MOST_READ: Final = 2000
"""Messages, beyond those that were asked for, that are read to replace those that turn out not to be hits."""
READ_AT_ONCE: Final = 64
LARGE_BYTES: Final = 2 * 1024
"""Between payloads of this size others get their turn."""
_PERSON: Final = int(ChannelType.PERSON)


class SearchResult(Struct, frozen=True):
    """A page of what was found, newest first."""

    total: int
    """How many messages there are. Of those behind this page a few may turn out not to be hits."""
    limit: int
    page: int
    messages: list[FoundMessage]


class MessageSearch:
    """Searches the stored messages. Get one from `open_search`, and `run` it."""

    def __init__(self, store: Store, follower: "Follower") -> None:
        self._store = store
        self._follower = follower
        self.run = follower.run
        self.stored = follower.stored

    @property
    def lag_s(self) -> float:
        """For how long the oldest message that cannot be found yet has been stored; 0 if all can."""
        return self._follower.lag_s

    @property
    def indexed(self) -> int:
        """How many messages were put into the index."""
        return self._follower.indexed

    async def find(self, query: SearchQuery) -> SearchResult:
        """The messages that a user may read and that are as he asks.

        Raises:
            InvalidArgumentError: a field has an impossible value.
            SearchUnavailableError: the index could not be read, or not in time.
            StoreError: the store could not be read.
        """
        wish = read_query(query)
        channels = await self._channels(query) if wish.possible else []
        if not channels:
            return SearchResult(0, wish.limit, wish.page, [])
        filters = Filters(
            channels=channels,
            sender=query.from_uid,
            topic=query.topic,
            types=wish.types,
            start=query.start_time,
            end=query.end_time or NO_END,
        )
        return await self._read(query.uid, wish, filters)

    async def _channels(self, query: SearchQuery) -> list[ChannelKey]:
        """The channels that he may read, as of now."""
        uid = query.uid
        own: list[ChannelKey] = []
        others: list[ChannelKey] = []
        for key in await self._store.channels_of(uid):
            if _is_asked_for(query, key):
                (own if uid in parties(key) else others).append(key)
        return own + list(await self._store.subscribed(uid, others))

    async def _read(self, uid: str, wish: Wish, filters: Filters) -> SearchResult:
        """Reads hits, newest first, until the page is full."""
        page: list[FoundMessage] = []
        good = wrong = size = 0
        lowest, limit = NO_END, wish.reach
        while True:
            hits = await self._follower.find(filters, wish.words, limit)
            left = [hit for hit in hits.newest if hit[0] < lowest]
            while left and good < wish.reach:
                chunk, left = _split(left, min(wish.reach - good, READ_AT_ONCE))
                lowest = chunk[-1][0]
                messages = await self._proven(hits.index, chunk, wish)
                wrong += len(chunk) - len(messages)
                for message, members in messages:
                    good += 1
                    size += len(message.payload)
                    if good > wish.reach - wish.limit and (not page or size <= ANSWER_BYTES):
                        page.append(_found(message, members, uid, wish))
            if good == wish.reach or len(hits.newest) < limit or wrong > MOST_READ:
                return SearchResult(hits.total - wrong, wish.limit, wish.page, page)
            limit = 2 * limit + READ_AT_ONCE

    async def _proven(self, index: object, hits: Sequence[Hit], wish: Wish) -> list[tuple[Message, dict[str, Any]]]:
        """Those of some hits that exist and have the words, in the same order."""
        stored = await self._store.messages_by_id([message_id for _, message_id in hits])
        messages = {message.message_id: message for message in stored}
        self._follower.forget(index, [number for number, message_id in hits if message_id not in messages])
        proven = []
        for _, message_id in hits:
            message = messages.get(message_id)
            if message is None:
                continue
            if len(message.payload) > LARGE_BYTES:
                await trio.lowlevel.checkpoint()
            members = read_payload(message.payload)
            if members is not None and (wish.certain or _has_words(members, wish.words)):
                proven.append((message, members))
        return proven


def _is_asked_for(query: SearchQuery, key: ChannelKey) -> bool:
    if query.channel_type and key.channel_type != query.channel_type:
        return False
    if not query.channel_id:
        return True
    if key.channel_type == _PERSON:
        return key.channel_id == person_channel_id(query.uid, query.channel_id)
    return key.channel_id == query.channel_id


def _split(hits: list[Hit], size: int) -> tuple[list[Hit], list[Hit]]:
    return hits[:size], hits[size:]


def _has_words(members: Mapping[str, Any], wanted: Mapping[str, Words]) -> bool:
    texts: dict[str, list[str]] = {}
    for path, text in texts_of(members):
        if path in wanted:
            texts.setdefault(path, []).append(text)
    # Entries of a list are one text, but no word goes over from one to the next.
    return all(path in texts and words.are_in("\n".join(texts[path])) for path, words in wanted.items())


def _found(message: Message, members: dict[str, Any], uid: str, wish: Wish) -> FoundMessage:
    marks = {path: words.mark for path, words in wish.words.items() if path in wish.marked}
    person = message.channel_type == _PERSON
    return FoundMessage(
        message_id=message.message_id,
        message_idstr=str(message.message_id),
        message_seq=message.message_seq,
        client_msg_no=message.client_msg_no,
        from_uid="" if message.from_uid == SYSTEM_UID else message.from_uid,
        channel_id=peer_of(uid, message.channel_id) if person else message.channel_id,
        channel_type=message.channel_type,
        payload=marked(members, marks) if marks else members,
        topic=message.topic,
        timestamp=message.timestamp,
    )


def open_search(config: Config, store: Store, newest_id: int) -> MessageSearch | None:
    """The search that `config.search` asks for; None if it is off.

    Args:
        newest_id: of all stored messages.

    Raises:
        ConfigError: this Python cannot search.
    """
    if not config.search.on:
        return None
    # Nobody who does not search needs SQLite for it.
    from .follow import Follower
    from .index import check_fts5

    check_fts5()
    directory = store.directory
    path = directory / SEARCH_INDEX if directory is not None else None
    return MessageSearch(store, Follower(store, path, newest_id))

"""The decisions of the commit stage: which sends are accepted, and as which messages.

    look_up   awaits what is not in memory: cold channels, possible originals of repeated sends
    decide    gives every send its reason code, and accepted ones a message with an id: a draft
    confirm   after the commit: enters the sequence numbers that the store has given
    undo      if nothing could be stored

A store that others write to as well may know better: `outdate` and `answer` take in what it says, and `reopen` what is
to be decided once more.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from random import getrandbits
from time import time
from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr

from ..config import Config
from ..errors import InternalError
from ..model import DUP, NO_PERSIST, ChannelKey, Message, ReasonCode
from ..services.directory import Channel, ChannelDirectory
from ..store.base import Store
from .dedup import SentMarks, number_mark, send_mark
from .ids import MessageIds
from .ratelimit import RateLimiter
from .routes import CLIENT, Accounts, Route, Routes
from .submission import Submission

_SUCCESS: Final = ReasonCode.SUCCESS
_READ_AT_ONCE: Final = 64
"""Messages from before the start that are held while their payloads are looked at."""


class Drafts(Struct, gc=False):
    """What a batch wants stored, as `Store.append_messages` takes it. Nobody else sees the messages before they have
    their numbers."""

    messages: list[Message]
    versions: dict[ChannelKey, int]
    distinct: list[int]
    direct: dict[int, frozenset[str]]


class Decider:
    """Turns submissions into messages."""

    def __init__(
        self,
        store: Store,
        directory: ChannelDirectory,
        ids: MessageIds,
        marks: SentMarks,
        config: Config,
        *,
        system_accounts: Accounts,
    ) -> None:
        self._store = store
        self._directory = directory
        self._ids = ids
        self._marks = marks
        rate = config.limits.rate_limit_per_s
        self._limiter = RateLimiter(rate) if rate else None
        self._routes = Routes(directory, system_accounts, whitelist_off_of_person=config.whitelist_off_of_person)

    async def look_up(self, submissions: Sequence[Submission]) -> dict[int, Message]:
        """Brings the channels of these sends into memory, and fetches what repeated sends may repeat.

        Raises:
            StoreError: the store could not be read.
        """
        self._directory.begin_batch()
        if missing := self._find_routes(submissions):
            await self._directory.warm(missing)
            # What has changed meanwhile is effective for this batch already.
            missing = self._find_routes(submissions)
            assert not missing
        originals = await self._find_originals(submissions)
        if self._routes.outdated:
            # Nothing leaves memory during a batch.
            missing = self._find_routes(submissions)
            assert not missing
        return originals

    async def find_channels(self, keys: Iterable[ChannelKey]) -> dict[ChannelKey, Channel]:
        """The channels themselves, as what is pushed to them needs them. Not while a batch is being decided.

        Raises:
            StoreError: the store could not be read.
        """
        self._directory.begin_batch()
        wanted = set(keys)
        missing = [key for key in wanted if self._directory.get(key) is None]
        if missing:
            await self._directory.warm(missing)
        found = ((key, self._directory.get(key)) for key in wanted)
        return {key: self._directory.with_recipients(channel) for key, channel in found if channel is not None}

    def _find_routes(self, submissions: Iterable[Submission]) -> set[ChannelKey]:
        routes = self._routes.current()
        missing: set[ChannelKey] = set()
        for submission in submissions:
            if submission.reason is not _SUCCESS:
                continue
            command, rights = submission.command, submission.rights if submission.trusted else CLIENT
            route: Route | ReasonCode | None
            route = routes.get((command.from_uid, command.channel_id, command.channel_type, rights))
            if route is None:
                route = self._routes.find(command, rights, missing, submission.recipients)
                if isinstance(route, ReasonCode):
                    submission.refuse(route)
                    continue
            submission.route = route
        return missing

    async def _find_originals(self, submissions: Iterable[Submission]) -> dict[int, Message]:
        self._marks.forget_before(time())
        find, unread = self._marks.find, self._marks.unread
        candidates: list[int] = []
        unlearned: list[tuple[int, int]] = []
        for submission in submissions:
            route = submission.route
            if route is None or not submission.command.client_msg_no:
                continue
            number = number_mark(route.sender_mark, submission.command.client_msg_no)
            submission.mark = mark = send_mark(number, submission.command.payload)
            if submission.trusted:
                continue
            if unread and number in unread:
                unlearned.append((number, mark))
            elif message_id := find(mark):
                candidates.append(message_id)
        if unlearned:
            await self._learn({number for number, _ in unlearned})
            candidates += filter(None, [find(mark) for _, mark in unlearned])
        if not candidates:
            return {}
        return {message.message_id: message for message in await self._store.messages_by_id(candidates, expired=True)}

    async def _learn(self, numbers: Iterable[int]) -> None:
        """Looks at all messages that were sent with these numbers before the start."""
        unread = self._marks.unread
        number_of = {message_id: number for number in numbers for message_id in unread[number]}
        message_ids = list(number_of)
        for start in range(0, len(message_ids), _READ_AT_ONCE):
            chunk = message_ids[start : start + _READ_AT_ONCE]
            for message in await self._store.messages_by_id(chunk, expired=True):
                self._marks.learn(number_of[message.message_id], message)
        for number in set(number_of.values()):
            del unread[number]

    def decide(self, submissions: Iterable[Submission], originals: dict[int, Message], now_s: float) -> Drafts:
        """Accepts or refuses each send.

        Returns:
            What is to be stored, in order.
        """
        self._ids.advance(now_s)
        timestamp = int(now_s)
        messages: list[Message] = []
        versions: dict[ChannelKey, int] = {}
        distinct: list[int] = []
        direct: dict[int, frozenset[str]] = {}
        pending: dict[int, Message] = {}
        for submission in submissions:
            if submission.reason is not _SUCCESS:
                continue
            route = submission.route
            assert route is not None
            reason = route.reason if self._limiter is None else self._check(submission, route, self._limiter)
            if reason is not _SUCCESS:
                submission.refuse(reason)
                continue
            if submission.command.flags & NO_PERSIST:
                submission.message = self._message(submission, timestamp)
                continue
            if submission.mark and not submission.trusted:
                original = pending.get(submission.mark) or originals.get(self._marks.find(submission.mark))
                if original is not None and _repeats(submission, original):
                    submission.message = original
                    submission.repeated = True
                    continue
            submission.message = message = self._message(submission, timestamp)
            pending[submission.mark] = message
            messages.append(message)
            if submission.trusted:
                distinct.append(message.message_id)
                if submission.recipients is not None:
                    direct[message.message_id] = submission.recipients
            target = route.target
            if target.record_version:
                versions[target.key] = target.record_version
        return Drafts(messages, versions, distinct, direct)

    @staticmethod
    def _check(submission: Submission, route: Route, limiter: RateLimiter) -> ReasonCode:
        if not submission.trusted and not submission.admitted:
            if not limiter.allow(submission.command.from_uid):
                return ReasonCode.RATE_LIMIT
            submission.admitted = True
        return route.reason

    def _message(self, submission: Submission, timestamp: int) -> Message:
        command, route = submission.command, submission.route
        assert route is not None
        channel_id, channel_type = route.target.key
        return Message(
            message_id=self._ids.next(),
            message_seq=0,
            channel_id=channel_id,
            channel_type=channel_type,
            from_uid=command.from_uid,
            client_msg_no=command.client_msg_no or f"{getrandbits(128):032x}0",
            timestamp=timestamp,
            payload=command.payload,
            flags=command.flags & ~DUP,
            setting=command.setting,
            expire=command.expire,
            topic=command.topic,
            stream_no=command.stream_no,
        )

    def confirm(self, submissions: Iterable[Submission], messages: Sequence[Message], numbers: Sequence[int]) -> None:
        """The drafts are stored and get their numbers; repetitions of them will be recognised from now on.

        Raises:
            InternalError: there are more or fewer numbers; no draft has got one.
        """
        if len(numbers) != len(messages):
            raise InternalError(f"the store has given {len(numbers):,} numbers to {len(messages):,} messages")
        for message, message_seq in zip(messages, numbers, strict=True):
            # Nobody has seen it yet, and another one would have to be made from it.
            force_setattr(message, "message_seq", message_seq)
        for submission in submissions:
            accepted = submission.message
            if accepted is not None and accepted.message_seq and submission.mark and not submission.repeated:
                self._marks.add(submission.mark, accepted.message_id)

    def outdate(self, keys: Collection[ChannelKey]) -> None:
        """The store says that these channels have changed: the next look-up reads them."""
        for key in keys:
            self._directory.invalidate(key)

    def answer(self, submissions: Iterable[Submission], originals: Mapping[int, Message]) -> None:
        """The store says which drafts repeat stored messages: those are the answers to their sends."""
        for submission in submissions:
            draft = submission.message
            if draft is not None and (original := originals.get(draft.message_id)) is not None:
                submission.message = original
                submission.repeated = True
                self._marks.add(submission.mark, original.message_id)

    def reopen(self, submissions: Iterable[Submission]) -> list[Submission]:
        """Nothing of this batch was stored, and it shall be decided anew.

        Returns:
            What is undecided again. The rest keeps its answer: a stored message, or the refusal of a hook or of what
            can be no channel.
        """
        undecided: list[Submission] = []
        for submission in submissions:
            if submission.message is not None and submission.message.message_seq:
                continue
            if submission.route is not None:
                submission.reason = _SUCCESS
            if submission.reason is _SUCCESS:
                submission.message = submission.route = None
                submission.repeated = False
                undecided.append(submission)
        return undecided

    def undo(self, submissions: Iterable[Submission]) -> None:
        """Nothing of this batch was stored: refuses whoever waits for that."""
        for submission in submissions:
            if submission.waits:
                submission.refuse(ReasonCode.SYSTEM_ERROR)


def _repeats(submission: Submission, original: Message) -> bool:
    """Whether a send says again what a stored message has said; marks alone may be equal by chance."""
    command, route = submission.command, submission.route
    assert route is not None
    return (
        original.client_msg_no == command.client_msg_no
        and original.payload == command.payload
        and original.from_uid == command.from_uid
        and (original.channel_id, original.channel_type) == route.target.key
    )

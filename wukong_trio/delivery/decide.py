"""The decisions of the commit stage: which sends are accepted, and as which messages.

    look_up   awaits what is not in memory: cold channels, possible originals of repeated sends
    decide    gives every send its reason code, and accepted ones a message with id and sequence number
    confirm / undo   after the commit succeeded or failed

Between `look_up` and the end of the commit nobody else changes the sequence numbers: there is one commit stage.
"""

import uuid
from collections.abc import Iterable, Sequence
from time import time

from ..config import Config
from ..model import DUP, NO_PERSIST, ChannelKey, Message, ReasonCode
from ..services.directory import ChannelDirectory
from ..store.base import Store
from .dedup import SentMarks, number_mark, send_mark
from .ids import MessageIds
from .ratelimit import RateLimiter
from .routes import CLIENT, Accounts, Route, Routes
from .submission import Submission

_SUCCESS = ReasonCode.SUCCESS
_READ_AT_ONCE = 64
"""Messages from before the start that are held while their payloads are looked at."""


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
        return {message.message_id: message for message in await self._store.messages_by_id(candidates)}

    async def _learn(self, numbers: Iterable[int]) -> None:
        """Looks at all messages that were sent with these numbers before the start."""
        unread = self._marks.unread
        number_of = {message_id: number for number in numbers for message_id in unread[number]}
        message_ids = list(number_of)
        for start in range(0, len(message_ids), _READ_AT_ONCE):
            for message in await self._store.messages_by_id(message_ids[start : start + _READ_AT_ONCE]):
                self._marks.learn(number_of[message.message_id], message)
        for number in set(number_of.values()):
            del unread[number]

    def decide(self, submissions: Iterable[Submission], originals: dict[int, Message], now_s: float) -> list[Message]:
        """Accepts or refuses each send.

        Returns:
            The messages to store, in order.
        """
        self._ids.advance(now_s)
        timestamp = int(now_s)
        messages: list[Message] = []
        pending: dict[int, Message] = {}
        for submission in submissions:
            if submission.reason is not _SUCCESS:
                continue
            assert submission.route is not None
            reason = submission.route.reason if self._limiter is None else self._check(submission, self._limiter)
            if reason is not _SUCCESS:
                submission.refuse(reason)
                continue
            if submission.command.flags & NO_PERSIST:
                submission.message = self._message(submission, 0, timestamp)
                continue
            if submission.mark and not submission.trusted:
                original = pending.get(submission.mark) or originals.get(self._marks.find(submission.mark))
                if original is not None and _repeats(submission, original):
                    submission.message = original
                    submission.repeated = True
                    continue
            target = submission.route.target
            target.last_seq += 1
            submission.message = self._message(submission, target.last_seq, timestamp)
            pending[submission.mark] = submission.message
            messages.append(submission.message)
        return messages

    @staticmethod
    def _check(submission: Submission, limiter: RateLimiter) -> ReasonCode:
        if not submission.trusted and not limiter.allow(submission.command.from_uid):
            return ReasonCode.RATE_LIMIT
        assert submission.route is not None
        return submission.route.reason

    def _message(self, submission: Submission, message_seq: int, timestamp: int) -> Message:
        command, route = submission.command, submission.route
        assert route is not None
        channel_id, channel_type = route.target.key
        return Message(
            message_id=self._ids.next(),
            message_seq=message_seq,
            channel_id=channel_id,
            channel_type=channel_type,
            from_uid=command.from_uid,
            client_msg_no=command.client_msg_no or f"{uuid.uuid4().hex}0",
            timestamp=timestamp,
            payload=command.payload,
            flags=command.flags & ~DUP,
            setting=command.setting,
            expire=command.expire,
            topic=command.topic,
            stream_no=command.stream_no,
        )

    def confirm(self, submissions: Iterable[Submission]) -> None:
        """What was accepted is stored: repetitions of it will be recognised from now on."""
        for submission in submissions:
            message = submission.message
            if message is not None and message.message_seq and submission.mark and not submission.repeated:
                self._marks.add(submission.mark, message.message_id)

    def forget(self, submissions: Iterable[Submission]) -> None:
        """Nothing of this batch was stored: takes the sequence numbers back, so that it can be decided again."""
        for submission in submissions:
            if submission.route is not None:
                self._directory.invalidate(submission.route.target.key)
            submission.message = submission.route = None
            submission.repeated = False

    def undo(self, submissions: Iterable[Submission]) -> None:
        """Nothing of this batch was stored: takes the sequence numbers back and refuses whoever waits for one."""
        for submission in submissions:
            if submission.route is not None:
                self._directory.invalidate(submission.route.target.key)
            undecided = submission.message is None and submission.reason is _SUCCESS
            if undecided or (submission.message is not None and submission.message.message_seq):
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

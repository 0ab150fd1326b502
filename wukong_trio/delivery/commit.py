"""The decisions of the commit stage: which sends are accepted, and as which messages.

    look_up   awaits what is not in memory: cold channels, possible originals of repeated sends
    decide    gives every send its reason code, and accepted ones a message with id and sequence number
    confirm / undo   after the commit succeeded or failed

Between `look_up` and the end of the commit nobody else changes the sequence numbers: there is one commit stage.
"""

import uuid
from collections.abc import Container, Iterable, Sequence
from time import time

from ..config import Config
from ..model import DUP, NO_PERSIST, ChannelKey, ChannelType, Message, ReasonCode, SendCommand
from ..services.addressing import command_key, peer_of, stored_key
from ..services.directory import Channel, ChannelDirectory
from ..services.permission import CHANNEL_TYPES, check_send, check_state
from ..store.base import Store
from .dedup import SentMarks
from .ids import MessageIds
from .ratelimit import RateLimiter
from .submission import Submission

_PERSON = int(ChannelType.PERSON)


class Committer:
    """Turns submissions into messages."""

    def __init__(
        self,
        store: Store,
        directory: ChannelDirectory,
        ids: MessageIds,
        marks: SentMarks,
        config: Config,
        *,
        system_uids: Container[str],
    ) -> None:
        self._store = store
        self._directory = directory
        self._ids = ids
        self._marks = marks
        rate = config.limits.rate_limit_per_s
        self._limiter = RateLimiter(rate) if rate else None
        self._whitelist_off = config.whitelist_off_of_person
        self._system_uids = system_uids

    async def look_up(self, submissions: Sequence[Submission]) -> dict[int, Message]:
        """Brings the channels of these sends into memory, and fetches what repeated sends may repeat.

        Raises:
            StoreError: the store could not be read.
        """
        # Warming may push out, or another task invalidate, what an earlier send of the batch has found; so everything
        # is looked up again until one pass finds it all. Then each channel of the batch is one object.
        while missing := self._find_channels(submissions):
            await self._directory.warm(missing)
        return await self._find_originals(submissions)

    def _find_channels(self, submissions: Iterable[Submission]) -> set[ChannelKey]:
        get = self._directory.get
        missing: set[ChannelKey] = set()
        for submission in submissions:
            if submission.reason is not ReasonCode.SUCCESS:
                continue
            command = submission.command
            if command.channel_type not in CHANNEL_TYPES:
                submission.refuse(ReasonCode.NOT_SUPPORT_CHANNEL_TYPE)
                continue
            key = stored_key(command.from_uid, command.channel_id, command.channel_type)
            if key is None:
                submission.refuse(ReasonCode.CHANNEL_ID_ERROR)
                continue
            submission.channel = submission.target = get(key)
            if submission.channel is None:
                missing.add(key)
            if submission.is_command:
                target = command_key(key)
                submission.target = get(target)
                if submission.target is None:
                    missing.add(target)
            if not submission.trusted:
                self._find_users(submission, key, missing)
        return missing

    def _find_users(self, submission: Submission, key: ChannelKey, missing: set[ChannelKey]) -> None:
        """The records of the sender and, for persons, of the receiver."""
        uid = submission.command.from_uid
        get = self._directory.get
        # Plain tuples are equal to ChannelKeys, and made in a fraction of the time.
        submission.from_user = get((uid, _PERSON))
        if submission.from_user is None:
            missing.add(ChannelKey(uid, _PERSON))
        if key.channel_type == _PERSON:
            peer = peer_of(uid, key.channel_id)
            submission.to_user = get((peer, _PERSON))
            if submission.to_user is None:
                missing.add(ChannelKey(peer, _PERSON))

    async def _find_originals(self, submissions: Iterable[Submission]) -> dict[int, Message]:
        self._marks.forget_before(time())
        candidates = [
            message_id
            for s in submissions
            if s.target is not None
            and (message_id := self._marks.find(s.target.key, s.command.from_uid, s.command.client_msg_no))
        ]
        if not candidates:
            return {}
        return {message.message_id: message for message in await self._store.messages_by_id(candidates)}

    def decide(self, submissions: Iterable[Submission], originals: dict[int, Message], now_s: float) -> list[Message]:
        """Accepts or refuses each send.

        Returns:
            The messages to store, in order.
        """
        self._ids.advance(now_s)
        messages: list[Message] = []
        pending: dict[tuple[ChannelKey, str, str], Message] = {}
        for submission in submissions:
            if submission.reason is not ReasonCode.SUCCESS:
                continue
            reason = self._check(submission)
            if reason is not ReasonCode.SUCCESS:
                submission.refuse(reason)
                continue
            assert submission.target is not None
            command = submission.command
            if command.flags & NO_PERSIST:
                submission.message = self._message(command, submission.target, 0, now_s)
                continue
            mark = (submission.target.key, command.from_uid, command.client_msg_no)
            original = None if submission.trusted else pending.get(mark)
            if original is None and originals and not submission.trusted:
                original = self._original(mark, originals)
            if original is not None and original.payload == command.payload:
                submission.message = original
                submission.repeated = True
                continue
            submission.target.last_seq += 1
            submission.message = self._message(command, submission.target, submission.target.last_seq, now_s)
            pending[mark] = submission.message
            messages.append(submission.message)
        return messages

    def _check(self, submission: Submission) -> ReasonCode:
        channel, command = submission.channel, submission.command
        assert channel is not None
        if submission.trusted:
            if submission.is_command:
                return ReasonCode.SUCCESS
            return check_state(channel.key.channel_type, channel.flags)
        if self._limiter is not None and not self._limiter.allow(command.from_uid):
            return ReasonCode.RATE_LIMIT
        assert submission.from_user is not None
        return check_send(
            command.from_uid,
            channel,
            submission.from_user,
            submission.to_user,
            system_uids=self._system_uids,
            whitelist_off_of_person=self._whitelist_off,
        )

    def _original(self, mark: tuple[ChannelKey, str, str], originals: dict[int, Message]) -> Message | None:
        key, uid, client_msg_no = mark
        found = originals.get(self._marks.find(key, uid, client_msg_no))
        if found is None or (found.channel_id, found.channel_type) != key:
            return None
        return found if (found.from_uid, found.client_msg_no) == (uid, client_msg_no) else None

    def _message(self, command: SendCommand, target: Channel, message_seq: int, now_s: float) -> Message:
        return Message(
            message_id=self._ids.next(),
            message_seq=message_seq,
            channel_id=target.key.channel_id,
            channel_type=target.key.channel_type,
            from_uid=command.from_uid,
            client_msg_no=command.client_msg_no or f"{uuid.uuid4().hex}0",
            timestamp=int(now_s),
            payload=command.payload,
            flags=command.flags & ~DUP,
            setting=command.setting,
            expire=command.expire,
            topic=command.topic,
            stream_no=command.stream_no,
        )

    def confirm(self, messages: Iterable[Message]) -> None:
        """The messages are stored: their repetitions will be recognised from now on."""
        for message in messages:
            key = ChannelKey(message.channel_id, message.channel_type)
            self._marks.add(key, message.from_uid, message.client_msg_no, message.message_id)

    def undo(self, submissions: Iterable[Submission]) -> None:
        """Nothing of this batch was stored: takes the sequence numbers back and refuses whoever waits for one."""
        for submission in submissions:
            if submission.target is not None:
                self._directory.invalidate(submission.target.key)
            undecided = submission.message is None and submission.reason is ReasonCode.SUCCESS
            if undecided or (submission.message is not None and submission.message.message_seq):
                submission.refuse(ReasonCode.SYSTEM_ERROR)

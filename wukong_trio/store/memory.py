"""A store without durability: for tests and throw-away servers, and the plainest statement of what a store does."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence

import trio
from msgspec.structs import replace

from ..errors import StoreError
from ..model import ChannelFlags, ChannelKey, ChannelType, Device, Message
from .base import (
    SEARCHED_MESSAGES,
    ChannelChange,
    ChannelRecord,
    Login,
    MemberChange,
    MemberList,
    Page,
    SentMark,
    Store,
    Wanted,
    bytes_of,
    cut,
    page_of,
)
from .conversations import ConversationChange, Conversations, NewestWish, PendingCommands
from .memory_conversations import MemoryConversations
from .memory_events import MemoryEvents
from .removals import START, Position, Slice, has_expired


class MemoryStore(MemoryEvents, Store):
    """Keeps everything in dicts. Each call takes effect at once, then lets other tasks run."""

    def __init__(self) -> None:
        super().__init__()
        self._messages: dict[int, Message] = {}
        self._ids: list[int] = []
        """Of all messages, ascending."""
        self._newest_id = 0
        self._channels: dict[ChannelKey, list[Message | None]] = {}
        """By sequence number; None where one was removed."""
        self._first_seqs: dict[ChannelKey, int] = {}
        """Where channels begin that keep no more."""
        self._expiries: dict[ChannelKey, dict[int, int]] = {}
        """When messages with `expire` do so, by sequence number."""
        self._flags: dict[ChannelKey, ChannelFlags] = {}
        self._members: dict[tuple[ChannelKey, MemberList], set[str]] = {}
        self._devices: dict[tuple[str, int], Device] = {}
        self._registered: set[str] = set()
        self._system_uids: set[str] = set()
        self._webhook_cursor: int | None = None
        self._conversations = MemoryConversations(self._channels, self._gone_between)

    async def append_messages(
        self,
        drafts: Sequence[Message],
        *,
        versions: Mapping[ChannelKey, int] = {},
        distinct: Collection[int] = (),
        direct: Mapping[int, Collection[str]] = {},
    ) -> Sequence[int]:
        await trio.lowlevel.checkpoint_if_cancelled()
        newest_id = self._newest_id
        for draft in drafts:
            if draft.message_id <= newest_id:
                raise StoreError(f"message {draft.message_id} is not newer than message {newest_id}")
            newest_id = draft.message_id
        self._newest_id = newest_id
        numbers = [self._append(draft, direct.get(draft.message_id)) for draft in drafts]
        await trio.lowlevel.cancel_shielded_checkpoint()
        return numbers

    def _append(self, draft: Message, direct: Collection[str] | None) -> int:
        channel = self._channels.setdefault(ChannelKey(draft.channel_id, draft.channel_type), [])
        number = len(channel) + 1
        message = self._messages[draft.message_id] = replace(draft, message_seq=number)
        channel.append(message)
        if draft.expire:
            expiries = self._expiries.setdefault(ChannelKey(draft.channel_id, draft.channel_type), {})
            expiries[number] = draft.timestamp + draft.expire
        self._ids.append(draft.message_id)
        self._conversations.stored(message, direct, self._silent_types)
        return number

    async def last_message_id(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._newest_id

    async def recent_marks(self, since_message_id: int, limit: int) -> list[SentMark]:
        await trio.lowlevel.checkpoint()
        newest = sorted(id_ for id_ in self._messages if id_ >= since_message_id)[-limit:] if limit else []
        return [_mark(self._messages[id_]) for id_ in newest]

    async def messages_by_id(self, message_ids: Sequence[int], *, expired: bool = False) -> list[Message]:
        await trio.lowlevel.checkpoint()
        found = [self._messages[id_] for id_ in dict.fromkeys(message_ids) if id_ in self._messages]
        return found if expired else self._alive(found)

    def _alive(self, messages: Iterable[Message | None]) -> list[Message]:
        now_s = self.clock()
        return [message for message in messages if message is not None and not has_expired(message, now_s)]

    async def messages_after(self, message_id: int, limit: int, *, max_bytes: int) -> list[Message]:
        await trio.lowlevel.checkpoint()
        return cut(map(self._messages.__getitem__, self._ids_after(message_id, limit)), limit, max_bytes)[0]

    async def message_ids_after(self, message_id: int, limit: int) -> list[int]:
        await trio.lowlevel.checkpoint()
        return self._ids_after(message_id, limit)

    def _ids_after(self, message_id: int, limit: int) -> list[int]:
        start = bisect_right(self._ids, message_id)
        return self._ids[start : start + limit]

    async def messages_between(
        self, key: ChannelKey, low: int, high: int, limit: int, *, newest: bool, max_bytes: int
    ) -> Page:
        await trio.lowlevel.checkpoint()
        window = self._alive(self._channels.get(key, [])[max(low, 1) - 1 : max(high, 0)])
        return page_of(window[::-1] if newest else window, limit, max_bytes, newest=newest)

    async def find_messages(self, key: ChannelKey, wanted: Wanted, *, max_bytes: int) -> Page:
        await trio.lowlevel.checkpoint()
        channel = self._alive(self._channels.get(key, []))
        by_id = {message.message_id: message for message in channel}
        by_seq = {message.message_seq: message for message in channel}
        searched = channel[-SEARCHED_MESSAGES:]
        by_number = {message.client_msg_no: message for message in (searched[::-1] if wanted.earliest else searched)}
        named = [
            *(by_seq[seq] for seq in wanted.message_seqs if seq in by_seq),
            *(by_id[id_] for id_ in wanted.message_ids if id_ in by_id),
            *(by_number[number] for number in wanted.client_msg_nos if number in by_number),
        ]
        return Page(*cut(named, len(named), max_bytes))

    async def last_seq(self, key: ChannelKey) -> int:
        await trio.lowlevel.checkpoint()
        return len(self._channels.get(key, ()))

    async def load_channels(self, keys: Sequence[ChannelKey]) -> list[ChannelRecord]:
        await trio.lowlevel.checkpoint()
        return [self._record(key) for key in keys]

    def _record(self, key: ChannelKey) -> ChannelRecord:
        subscribers, denied, allowed = (frozenset(self._members.get((key, name), ())) for name in MemberList)
        return ChannelRecord(
            key=key,
            flags=self._flags.get(key),
            subscribers=subscribers,
            denied=denied,
            allowed=allowed,
            last_seq=len(self._channels.get(key, ())),
        )

    async def newest_messages(self, wishes: Sequence[NewestWish], *, max_bytes: int) -> list[list[Message]]:
        await trio.lowlevel.checkpoint()
        windows = [self._alive(self._channels.get(wish.key, [])[max(wish.low, 1) - 1 :]) for wish in wishes]
        found = [window[: -wish.count - 1 : -1] for window, wish in zip(windows, wishes, strict=True)]
        firsts = [own[0] for own in found if own]
        newest, too_many = cut(firsts, len(firsts), max_bytes)
        older: list[Message] = []
        if not too_many:
            others = [message for own in found for message in own[1:]]
            older, _ = cut(others, len(others), max_bytes - bytes_of(newest), at_least=0)
        room = {message.message_id for message in (*newest, *older)}
        return [[message for message in own if message.message_id in room] for own in found]

    async def conversations(self, uid: str, *, gone: bool = False) -> Conversations:
        await trio.lowlevel.checkpoint()
        return self._conversations.of(uid, gone=gone)

    async def change_conversations(self, changes: Sequence[ConversationChange]) -> list[bool]:
        done = [self._conversations.change(change) for change in changes]
        await trio.lowlevel.checkpoint()
        return done

    async def pending_commands(self, uid: str) -> list[PendingCommands]:
        await trio.lowlevel.checkpoint()
        return self._conversations.pending_commands(uid)

    async def change_channel(self, change: ChannelChange) -> None:
        if change.flags is not None:
            self._flags[change.key] = change.flags
        elif change.create:
            self._flags.setdefault(change.key, ChannelFlags())
        for members in change.members:
            self._change_members(change.key, members)
        await trio.lowlevel.checkpoint()

    def _change_members(self, key: ChannelKey, change: MemberChange) -> None:
        uids = self._members.setdefault((key, change.list), set())
        before = set(uids)
        if change.reset:
            uids.clear()
        uids.difference_update(change.remove)
        uids.update(change.add)
        if change.list is not MemberList.ALLOWED and key.channel_type != ChannelType.PERSON:
            members = self._members.get((key, MemberList.SUBSCRIBERS), set())
            denied = self._members.get((key, MemberList.DENIED), set())
            self._conversations.members_changed(key, before ^ uids, members - denied, self._silent_types)

    async def load_logins(self, keys: Sequence[tuple[str, int]]) -> list[Login]:
        await trio.lowlevel.checkpoint()
        return [self._login(uid, device_flag) for uid, device_flag in keys]

    def _login(self, uid: str, device_flag: int) -> Login:
        flags = self._flags.get(ChannelKey(uid, ChannelType.PERSON))
        return Login(self._devices.get((uid, device_flag)), flags, uid in self._registered)

    async def channels_of(self, uid: str) -> Collection[ChannelKey]:
        await trio.lowlevel.checkpoint()
        return self._conversations.channels_of(uid)

    async def subscribed(self, uid: str, keys: Sequence[ChannelKey]) -> set[ChannelKey]:
        await trio.lowlevel.checkpoint()
        return {
            key
            for key in keys
            if uid in self._members.get((key, MemberList.SUBSCRIBERS), ())
            and uid not in self._members.get((key, MemberList.DENIED), ())
        }

    async def put_device(self, device: Device) -> None:
        self._devices[device.uid, device.device_flag] = device
        self._registered.add(device.uid)
        await trio.lowlevel.checkpoint()

    async def clear_tokens(self, uid: str, device_flags: Sequence[int]) -> None:
        for flag in device_flags:
            device = self._devices.get((uid, flag))
            if device is not None:
                self._devices[uid, flag] = Device(uid=uid, device_flag=flag, token="", level=device.level)
        await trio.lowlevel.checkpoint()

    async def system_uids(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        return sorted(self._system_uids)

    async def change_system_uids(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        self._system_uids.difference_update(remove)
        self._system_uids.update(add)
        await trio.lowlevel.checkpoint()

    async def webhook_cursor(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return self._webhook_cursor

    async def move_webhook_cursor(self, message_id: int) -> None:
        self._webhook_cursor = message_id
        await trio.lowlevel.checkpoint()

    async def gone_between(self, key: ChannelKey, low: int, high: int) -> int:
        await trio.lowlevel.checkpoint()
        return self._gone_between(key, low, high)

    def _gone_between(self, key: ChannelKey, low: int, high: int) -> int:
        begin, expiries, now_s = self._first_seqs.get(key, 1), self._expiries.get(key, {}), self.clock()
        removed = max(min(begin, high + 1) - low, 0)
        return removed + sum(low + removed <= seq <= high and at <= now_s for seq, at in expiries.items())

    async def settle(self, position: Position) -> Slice:
        await trio.lowlevel.checkpoint()
        return Slice(0, None)

    async def remove_expired(self, position: Position, limit: int, *, before_id: int) -> Slice:
        now_s = self.clock()
        return await self._remove(
            [m for m in self._messages.values() if m.message_id < before_id and has_expired(m, now_s)], limit
        )

    async def remove_before(self, position: Position, limit: int, *, before_id: int) -> Slice:
        due = [message for message in self._messages.values() if message.message_id < before_id]
        self._move_begins(due[:limit])
        return await self._remove(due, limit)

    async def remove_surplus(self, position: Position, limit: int, *, kept: int, before_id: int) -> Slice:
        surplus = [m for channel in self._channels.values() for m in channel[: max(len(channel) - kept, 0)] if m]
        due = [message for message in surplus if message.message_id < before_id]
        self._move_begins(due[:limit])
        return await self._remove(due, limit)

    def _move_begins(self, removed: Iterable[Message]) -> None:
        for message in removed:
            key = ChannelKey(message.channel_id, message.channel_type)
            self._first_seqs[key] = max(self._first_seqs.get(key, 1), message.message_seq + 1)

    async def _remove(self, due: Sequence[Message], limit: int) -> Slice:
        for message in due[:limit]:
            del self._messages[message.message_id]
            self.forget_events(message)
            self._channels[ChannelKey(message.channel_id, message.channel_type)][message.message_seq - 1] = None
        self._ids = list(self._messages)
        await trio.lowlevel.checkpoint()
        return Slice(len(due[:limit]), START if len(due) > limit else None)

    @property
    def durability(self) -> str:
        return "none (all in memory)"

    @property
    def failure(self) -> str:
        return ""


def _mark(message: Message) -> SentMark:
    return SentMark(
        ChannelKey(message.channel_id, message.channel_type),
        message.from_uid,
        message.client_msg_no,
        message.message_id,
    )

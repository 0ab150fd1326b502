"""Events as programs append and read them."""

from collections.abc import Mapping

import msgspec

from ...contract.events import EventResult
from ...errors import InvalidArgumentError
from ...model import SYSTEM_UID, MessageEvent
from ..arguments import check_id
from .command import EventCommand
from .service import MessageEvents, SyncedEvents


class Events:
    """What happens to messages after they were sent, such as an answer that is streamed.

    `channel_id` is that of a send: for a person the receiver's uid, beside `from_uid`.
    """

    def __init__(self, events: MessageEvents) -> None:
        self._events = events

    async def append(
        self,
        channel_id: str,
        channel_type: int,
        client_msg_no: str,
        event_id: str,
        event_type: str,
        payload: object = None,
        *,
        event_key: str = "",
        from_uid: str = "",
        message_id: int = 0,
        visibility: str = "",
        occurred_at: int = 0,
        headers: Mapping[str, str] = {},
    ) -> EventResult:
        """Appends an event to a message. Everybody of the channel who is online gets it at once. If cancelled, it was
        either not appended, or appended and pushed.

        Args:
            client_msg_no: that of the message.
            event_id: the same as the last one of its key is the same event once more, which changes nothing.
            event_type: `stream.delta`, which is kept in memory only, or `stream.snapshot`, `stream.close`,
                `stream.error`, `stream.cancel`, `stream.finish` or a type of your own, which are stored before that.
            payload: anything that can be JSON: `{"kind": "text", "delta": "…"}` goes on with the text.
            event_key: empty = `main`.
            from_uid: empty = the sender of the message as long as that is known, then the system.
            message_id: 0 = that of the message, as long as it is known.
            visibility: `public`, `private` or `restricted`; empty = public.
            occurred_at: milliseconds since 1970; 0 = now.
            headers: stored with the event, up to 4096 bytes.

        Raises:
            InvalidArgumentError: an argument is wrong.
            EventRefusedError: it cannot be appended to this message, for example because the key has ended; says why.
            StoreError: it was not stored; nothing has changed.
        """
        try:
            text = b"" if payload is None else msgspec.json.encode(payload)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgumentError("payload", f"cannot be JSON: {error}") from None
        return await self._events.append(
            EventCommand(
                channel_id=channel_id,
                channel_type=channel_type,
                client_msg_no=client_msg_no,
                event_id=event_id,
                event_type=event_type,
                event_key=event_key,
                from_uid=from_uid,
                message_id=message_id,
                visibility=visibility,
                occurred_at=occurred_at,
                payload=text,
                headers=headers,
            )
        )

    async def read(
        self,
        channel_id: str,
        channel_type: int,
        client_msg_no: str,
        *,
        from_uid: str = "",
        event_key: str = "",
        from_msg_event_seq: int = 0,
        limit: int = 0,
        include_private: bool = False,
    ) -> SyncedEvents:
        """The stored events of a message: of each key the last one, with what the key had gathered by then.

        Args:
            from_uid: in a person channel the other one.
            event_key: only this one.
            from_msg_event_seq: only events after it.
            limit: at most so many, and never more than 2,000; 0 = 200.
            include_private: also those that are not public.

        Raises:
            InvalidArgumentError: an argument is wrong.
            StoreError: they could not be read.
        """
        return await self._events.read(
            channel_id,
            channel_type,
            client_msg_no,
            from_uid=from_uid,
            event_key=event_key,
            after_seq=from_msg_event_seq,
            limit=limit,
            include_private=include_private,
        )

    async def push(self, channel_id: str, channel_type: int, event: MessageEvent, *, from_uid: str = "") -> None:
        """Pushes an event that belongs to no message to everybody of a channel who is online. It is kept nowhere.

        Raises:
            InvalidArgumentError: there can be no such channel, or the event is too large.
        """
        check_id("from_uid", from_uid)
        await self._events.push(from_uid if from_uid.strip() else SYSTEM_UID, channel_id, channel_type, event)

"""What the record of a message shows of its events."""

from enum import StrEnum
from operator import itemgetter
from typing import Any

from msgspec import UNSET, Raw

from ...contract.messages import EventKeySummary, EventMeta, EventSyncHint
from ...model import StreamStatus
from ..records import RecordEvents
from .command import FINISH_KEY, MAIN_KEY
from .keys import EventKey, EventKeys


class SummaryMode(StrEnum):
    """FULL: with all that the keys have gathered. BASIC: only with the text of the main one."""

    FULL = "full"
    BASIC = "basic"


def summarise(
    client_msg_no: str, keys: EventKeys, mode: SummaryMode, left_bytes: int
) -> tuple[RecordEvents | None, int]:
    """What is shown of the events of a message, None if it has none; and how many bytes of what was gathered that is.

    Args:
        left_bytes: what would exceed this is left out.
    """
    if not keys.by_name:
        return None, 0
    main, text, size_bytes = keys.by_name.get(MAIN_KEY), b"", 0
    events: list[EventKeySummary] = []
    for name, key in sorted(keys.by_name.items(), key=itemgetter(0)):
        if name == FINISH_KEY:
            continue
        wanted = len(key.gathered) if mode is SummaryMode.FULL or key is main else 0
        shown = 0 < wanted <= left_bytes - size_bytes
        if shown:
            size_bytes += wanted
            text = (key.gathered.text or b"") if key is main else text
        events.append(
            EventKeySummary(
                event_key=name,
                status=key.status,
                last_msg_event_seq=key.msg_event_seq,
                snapshot=_encoded(key) if shown and mode is SummaryMode.FULL else UNSET,
                end_reason=key.stored.end_reason if key.stored is not None else 0,
                error=key.stored.error if key.stored is not None else "",
            )
        )
    last_seq = max([event.last_msg_event_seq for event in events], default=0)
    meta = EventMeta(
        has_events=True,
        completed=keys.completed,
        event_version=last_seq,
        last_msg_event_seq=last_seq,
        event_count=len(events),
        open_event_count=sum([event.status == StreamStatus.OPEN for event in events]),
        events=events,
    )
    ended = main.stored if main is not None and main.status is not StreamStatus.OPEN else None
    return RecordEvents(
        end=int(ended is not None),
        end_reason=ended.end_reason if ended is not None else 0,
        error=ended.error if ended is not None else "",
        stream_data=text,
        event_meta=meta,
        event_sync_hint=EventSyncHint(client_msg_no, 0),
    ), size_bytes


def _encoded(key: EventKey) -> Any:
    """What the key has gathered; to an encoder, JSON is the same as what it stands for."""
    return Raw(key.gathered.json)

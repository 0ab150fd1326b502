"""Messages that the receiver has still to be told of are not removed, also while webhooks are switched off."""

from time import time

import pytest

from wukong_trio import ChannelKey, Message
from wukong_trio.assembly import Hooks, assemble
from wukong_trio.config import Config, Retention, Webhook
from wukong_trio.model import first_id_at
from wukong_trio.store import MemoryStore

HOUR_S = 3600.0
RECEIVER = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("cursor", "http_addr", "max_age_h", "left"),
    [
        (None, "", 72, []),
        (3, "", 72, [4, 5]),
        (3, RECEIVER, 72, [4, 5]),
        (3, "", 25, [5]),
        (5, RECEIVER, 72, []),
    ],
)
async def test_what_the_cursor_has_not_passed_stays(
    cursor: int | None, http_addr: str, max_age_h: float, left: list[int]
) -> None:
    store, now_s = MemoryStore(), time()
    ids = [first_id_at(now_s - hours * HOUR_S) for hours in (50, 40, 30, 26, 20)]
    await store.append_messages(
        [
            Message(
                message_id=id_,
                message_seq=0,
                channel_id="g",
                channel_type=2,
                from_uid="ann",
                client_msg_no=f"m{id_}",
                timestamp=int(now_s),
                payload=b"",
            )
            for id_ in ids
        ]
    )
    if cursor is not None:
        await store.move_webhook_cursor(ids[cursor - 1])
    webhook = Webhook(http_addr=http_addr, max_age_s=max_age_h * HOUR_S)
    config = Config(retention=Retention(max_age_s=HOUR_S), webhook=webhook)
    parts = await assemble(config, store, Hooks(), None)
    await parts.cleaner.clean()
    page = await store.messages_between(ChannelKey("g", 2), 1, 99, 99, newest=True, max_bytes=99)
    assert [m.message_seq for m in page.messages] == left
    assert parts.cleaner.removed["outdated"] == 5 - len(left)

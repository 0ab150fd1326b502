"""How large the write-ahead log gets while history is read without a pause.

python benchmarks/micro/bench_wal.py
"""

import tempfile
from pathlib import Path

import trio

from wukong_trio import ChannelKey, Message, open_store
from wukong_trio.store.base import Store

SECONDS = 20
BATCH = 200
READERS = 8
PAGE = 1000
PAYLOAD = b"x" * 400


async def write(store: Store) -> None:
    """Appends to one channel, batch after batch."""
    seq = 0
    while True:
        batch = [
            Message(
                message_id=n,
                message_seq=0,
                channel_id="g",
                channel_type=2,
                from_uid="ann",
                client_msg_no=str(n),
                timestamp=1_795_533_535,
                payload=PAYLOAD,
            )
            for n in range(seq + 1, seq + BATCH + 1)
        ]
        await store.append_messages(batch)
        seq += BATCH
        await trio.sleep(BATCH / 10_000)


async def read(store: Store) -> None:
    """Reads the oldest page again and again."""
    while True:
        await store.messages_between(ChannelKey("g", 2), 1, PAGE, PAGE, newest=False, max_bytes=8 * 1024 * 1024)


async def main() -> None:
    """Prints the size once a second."""
    with tempfile.TemporaryDirectory() as directory:
        async with open_store(Path(directory)) as store, trio.open_nursery() as nursery:
            nursery.start_soon(write, store)
            for _ in range(READERS):
                nursery.start_soon(read, store)
            sizes_mb = []
            for _ in range(SECONDS):
                await trio.sleep(1)
                sizes_mb.append(round((Path(directory) / "wukong.db-wal").stat().st_size / 1e6))
            nursery.cancel_scope.cancel()
    print(f"MB of the log, once a second, {READERS} readers without a pause:", *sizes_mb)


if __name__ == "__main__":
    trio.run(main)

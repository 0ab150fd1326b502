"""How long a commit of the SQLite store takes, on this disk.

python benchmarks/micro/bench_store.py
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import trio

from wukong_trio import Message, open_store
from wukong_trio.store.base import Store

MESSAGES = 100_000
COMMITS = 1000


def messages_for(channels: int) -> Iterator[Message]:
    """Messages to so many channels in turn."""
    for n in range(1, MESSAGES + COMMITS):
        yield Message(
            message_id=n,
            message_seq=0,
            channel_id=f"g{n % channels}",
            channel_type=2,
            from_uid="ann",
            client_msg_no=str(n),
            timestamp=1_795_533_535,
            payload=b'{"type":1,"content":"hello"}',
        )


async def commit(store: Store, channels: int, batch: int) -> None:
    """Commits batch after batch."""
    source = messages_for(channels)
    walls_ms, cpu_s, stored = [], time.process_time(), 0
    for _ in range(min(COMMITS, MESSAGES // batch)):
        messages = [next(source) for _ in range(batch)]
        begin_s = time.perf_counter()
        await store.append_messages(messages)
        walls_ms.append((time.perf_counter() - begin_s) * 1000)
        stored += batch
    cpu_us = (time.process_time() - cpu_s) / stored * 1e6
    name = f"commit of {batch}, {channels:,} channels"
    each_us = median(walls_ms) / batch * 1000
    print(f"{name:<36}{median(walls_ms):>8.2f} ms, {each_us:>7.1f} µs and {cpu_us:.1f} µs CPU each")


async def main() -> None:
    """Measures and prints."""
    for channels in (100, 10_000):
        for batch in (1, 50, 512):
            with tempfile.TemporaryDirectory() as directory:
                async with open_store(Path(directory)) as store:
                    await commit(store, channels, batch)


if __name__ == "__main__":
    trio.run(main)

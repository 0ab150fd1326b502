"""All sessions of a server together: what they are, have and have carried."""

from collections import Counter
from typing import Final

import trio

from ..services.traffic import Traffic, read_tally
from .registry import Receiver, SessionRegistry

USERS_PER_TURN: Final = 256
"""Other tasks get a turn after so many users were asked."""


class Crowd:
    """Everybody whom `ask_everybody` has asked."""

    def __init__(self) -> None:
        self.sessions = Counter({"jsonrpc": 0, "wkproto": 0})
        """By speech."""
        self.unacknowledged = 0
        """Pushes that wait for their recvacks."""
        self.backlog_bytes = 0
        """What waits because sockets did not take it."""
        self.in_msgs = 0
        """Messages that clients have sent since the server's start, also those who have left. So are the next three."""
        self.in_msg_bytes = 0
        """Their payloads."""
        self.out_msgs = 0
        """Messages that were pushed to them, repetitions included."""
        self.out_msg_bytes = 0

    def carry(self, received: int, delivered: int, times: int = 1) -> None:
        """Counts two tallies; -1 times: not any more."""
        messages, size_bytes = read_tally(received)
        self.in_msgs += times * messages
        self.in_msg_bytes += times * size_bytes
        messages, size_bytes = read_tally(delivered)
        self.out_msgs += times * messages
        self.out_msg_bytes += times * size_bytes


async def ask_everybody(registry: SessionRegistry, past: Traffic) -> Crowd:
    """Asks every session, and lets others have their turns meanwhile. What has been carried never goes down from one
    call to the next, whoever comes and goes.

    Args:
        past: what sessions have carried that have ended.
    """
    crowd = Crowd()
    # Nothing is made for a session that stays: thousands of objects would call the garbage collector.
    asked, received, delivered = list[Receiver](), list[int](), list[int]()
    uids = registry.uids()
    for start in range(0, len(uids), USERS_PER_TURN):
        if start:
            await trio.lowlevel.checkpoint()
        for uid in uids[start : start + USERS_PER_TURN]:
            for session in registry.sessions_of(uid):
                load = session.load()
                crowd.sessions[load.speech] += 1
                crowd.unacknowledged += load.unacknowledged
                crowd.backlog_bytes += load.backlog_bytes
                crowd.carry(load.received, load.delivered)
                asked.append(session)
                received.append(load.received)
                delivered.append(load.delivered)
    # Nothing is awaited from here on: who has ended since he was asked is in the past, and must not count twice.
    for n in [n for n, session in enumerate(asked) if session.ended]:
        crowd.carry(received[n], delivered[n], -1)
    crowd.in_msgs += past.in_msgs
    crowd.in_msg_bytes += past.in_msg_bytes
    crowd.out_msgs += past.out_msgs
    crowd.out_msg_bytes += past.out_msg_bytes
    return crowd

"""Asking all sessions together, while they come and go."""

import random
from collections.abc import Callable
from typing import cast

from common import counted_turns

from wukong_trio.delivery.crowd import USERS_PER_TURN, Crowd, ask_everybody
from wukong_trio.delivery.registry import Load, Receiver, SessionRegistry
from wukong_trio.model import DeviceLevel
from wukong_trio.services.traffic import ONE_MESSAGE, Traffic, read_tally


class Everybody:
    """Sessions as a gateway has them, without connections."""

    def __init__(self) -> None:
        self.registry = SessionRegistry()
        self.past = Traffic()
        self.there: list[Asked] = []
        self._count = 0

    def come(self, speech: str = "jsonrpc") -> "Asked":
        self._count += 1
        session = Asked(self._count, speech)
        self.registry.enter(cast(Receiver, session))
        self.there.append(session)
        return session

    def leave(self, session: "Asked") -> None:
        self.there.remove(session)
        self.registry.leave(cast(Receiver, session))
        session.ended = True
        (in_msgs, in_bytes), (out_msgs, out_bytes) = read_tally(session.received), read_tally(session.delivered)
        self.past.add(Traffic(in_msgs=in_msgs, in_msg_bytes=in_bytes, out_msgs=out_msgs, out_msg_bytes=out_bytes))

    async def ask(self) -> Crowd:
        return await ask_everybody(self.registry, self.past)


class Asked:
    """A session that says when it is asked."""

    device_flag, device_id, level = 0, "", DeviceLevel.SLAVE

    def __init__(self, number: int, speech: str) -> None:
        self.session_id, self.uid, self.speech = number, f"u{number}", speech
        self.received = self.delivered = 0
        self.ended = False
        self.when_asked: Callable[[], None] = lambda: None

    def load(self) -> Load:
        load = Load(self.speech, 2, 3, self.received, self.delivered)
        self.when_asked()
        return load


def carried(crowd: Crowd) -> tuple[int, int, int, int]:
    return crowd.in_msgs, crowd.in_msg_bytes, crowd.out_msgs, crowd.out_msg_bytes


async def test_everybody_counts() -> None:
    everybody = Everybody()
    for speech in ("jsonrpc", "wkproto", "wkproto"):
        session = everybody.come(speech)
        session.received, session.delivered = 5 * ONE_MESSAGE + 70, 6 * ONE_MESSAGE + 80
    everybody.leave(everybody.there[0])
    crowd = await everybody.ask()
    assert crowd.sessions == {"jsonrpc": 0, "wkproto": 2}
    assert (crowd.unacknowledged, crowd.backlog_bytes) == (4, 6)
    assert carried(crowd) == (15, 210, 18, 240)


async def test_others_have_their_turns_meanwhile() -> None:
    """However many there are, no more than a slice of them is asked in one turn."""
    everybody, asked_in = Everybody(), list[int]()
    async with counted_turns() as turns:
        for _ in range(5 * USERS_PER_TURN):
            everybody.come().when_asked = lambda: asked_in.append(turns.count)
        crowd = await everybody.ask()
        # Whether the counting task or this one comes first in a turn is left to chance.
        assert max(asked_in.count(turn) for turn in set(asked_in)) <= 2 * USERS_PER_TURN
        assert crowd.sessions["jsonrpc"] == 5 * USERS_PER_TURN


async def test_who_leaves_after_he_was_asked_counts_once() -> None:
    everybody = Everybody()
    sessions = [everybody.come() for _ in range(2 * USERS_PER_TURN)]
    for session in sessions:
        session.received = ONE_MESSAGE + 10

    def first_leaves() -> None:
        sessions[0].received += ONE_MESSAGE + 10
        everybody.leave(sessions[0])

    sessions[-1].when_asked = first_leaves
    crowd = await everybody.ask()
    assert carried(crowd)[:2] == (len(sessions) + 1, 10 * len(sessions) + 10)


async def test_what_was_carried_never_goes_down() -> None:
    """Whoever comes, leaves or writes between two questions, and in the middle of one."""
    chance, everybody, before = random.Random(5), Everybody(), (0, 0, 0, 0)
    sent = 0

    def write(session: Asked, messages: int) -> None:
        nonlocal sent
        session.received += messages * (ONE_MESSAGE + 10)
        session.delivered += messages * (ONE_MESSAGE + 10)
        sent += messages

    def something_happens() -> None:
        what = chance.random()
        if what < 0.02:
            everybody.come().when_asked = something_happens
        elif what < 0.04 and everybody.there:
            everybody.leave(chance.choice(everybody.there))
        elif what < 0.5 and everybody.there:
            write(chance.choice(everybody.there), 1)

    for _ in range(3 * USERS_PER_TURN):
        session = everybody.come()
        session.when_asked = something_happens
        write(session, 1000)
    for _ in range(20):
        now = carried(await everybody.ask())
        assert all(then <= later for then, later in zip(before, now, strict=True))
        assert now[0] <= sent
        before = now
    for session in everybody.there:
        session.when_asked = lambda: None
    assert carried(await everybody.ask()) == (sent, 10 * sent, sent, 10 * sent)

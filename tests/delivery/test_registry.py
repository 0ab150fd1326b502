"""Who is online, which device drives which away, and what it costs."""

import time

import pytest

from wukong_trio import DeviceLevel, ReasonCode
from wukong_trio.delivery.push import Delivery
from wukong_trio.delivery.registry import SessionRegistry
from wukong_trio.protocol.codes import Close


class Session:
    def __init__(
        self, session_id: int, uid: str = "ann", flag: int = 0, device_id: str = "", *, master: bool = False
    ) -> None:
        self.session_id = session_id
        self.uid = uid
        self.device_flag = flag
        self.device_id = device_id
        self.level = DeviceLevel.MASTER if master else DeviceLevel.SLAVE
        self.closed: int = 0

    def deliver(self, delivery: Delivery) -> int:
        return 1

    def close(self, why: Close, notice: bytes | None = None) -> None:
        self.closed = why.code


def test_one_session_and_several_are_found_and_forgotten() -> None:
    registry = SessionRegistry()
    sessions = [Session(n, flag=n % 3, device_id="" if n % 2 else f"d{n}") for n in range(6)]
    for count, session in enumerate(sessions, start=1):
        assert registry.enter(session) == []
        assert (len(registry), registry.users) == (count, 1)
        assert set(registry.sessions_of("ann")) == set(sessions[:count])
    assert sorted(registry.device_flags_of("ann")) == [0, 1, 2]
    registry.leave(Session(0, device_id="d0"))
    assert len(registry) == 6, "another one with the same device is not this one"
    for count, session in enumerate(reversed(sessions), start=1):
        registry.leave(session)
        registry.leave(session)
        assert len(registry) == 6 - count
    assert (registry.users, list(registry), registry.sessions_of("ann")) == (0, [], ())


@pytest.mark.parametrize("others", [0, 1, 5])
def test_a_device_drives_its_older_session_away_and_a_master_all_of_its_flag(others: int) -> None:
    registry = SessionRegistry()
    bystanders = [Session(100 + n, flag=1, device_id=f"b{n}") for n in range(others)]
    for session in bystanders:
        registry.enter(session)
    first, again, other = (Session(n, device_id=d) for n, d in ((1, "d"), (2, "d"), (3, "e")))
    registry.enter(first)
    assert registry.enter(again) == [(first, False)]
    assert registry.enter(other) == []
    master = Session(4, device_id="e", master=True)
    assert sorted(registry.enter(master), key=lambda found: found[0].session_id) == [(again, True), (other, False)]
    nameless = [Session(5), Session(6)]
    assert [registry.enter(session) for session in nameless] == [[], []]
    assert set(registry.sessions_of("ann")) == {*bystanders, master, *nameless}
    assert dict(registry.enter(Session(7, master=True))) == {master: True, nameless[0]: True, nameless[1]: True}


def test_a_kick_hits_sessions_and_those_who_are_about_to_enter() -> None:
    registry = SessionRegistry()
    app, web = Session(1, flag=0), Session(2, flag=1)
    registry.enter(app)
    registry.enter(web)
    coming = [registry.expect("ann", 0), registry.expect("ann", 1), registry.expect("bob", 0)]
    assert registry.kick("ann", (0,), reason_code=ReasonCode.CONNECT_KICK, reason="") == 1
    assert (app.closed, web.closed) == (4003, 0)
    assert [expected.kicked for expected in coming] == [True, False, False]
    for expected in coming:
        registry.forget(expected)
    assert registry.kick("ann", None, reason_code=ReasonCode.CONNECT_KICK, reason="") == 1


def test_the_sessions_of_one_user_cost_the_same_however_many_there_are() -> None:
    def cost_s(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            registry, sessions = SessionRegistry(), [Session(n, device_id=f"d{n}") for n in range(count)]
            begin = time.process_time()
            for session in sessions:
                registry.enter(session)
            for session in sessions:
                registry.leave(session)
            best = min(best, time.process_time() - begin)
        return best

    assert cost_s(8000) <= 24 * max(cost_s(1000), 1e-4)

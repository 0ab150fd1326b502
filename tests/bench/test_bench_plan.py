"""What a plan may ask for, who talks to whom in it, and when requests are due."""

from typing import Any

import pytest

from wukong_trio.bench.plan import SCHEMES, Crowd, Plan, PlanError, Target, read_target
from wukong_trio.bench.scenario import BURST, Schedule

TARGET = Target("127.0.0.1", 5200, "/")


def plan(**changes: Any) -> Plan:
    options: dict[str, Any] = {"scenario": "send", "target": TARGET, "connections": 4, "prefix": "u-", "seconds": 1.0}
    crowd = Crowd(4, rooms=2, room_size=2, senders=2)
    return Plan(**{**options, "crowd": crowd, **changes})


def test_pairs_talk_to_each_other() -> None:
    plan().check()
    assert [plan().channel(member) for member in range(4)] == [("u-1", 1), ("u-0", 1), ("u-3", 1), ("u-2", 1)]
    assert plan().crowd.senders_in(1) == {2, 3}


def test_rooms_have_senders_slow_members_and_others_are_idle() -> None:
    crowd = Crowd(20, rooms=2, room_size=4, senders=1, slow=1)
    assert [member for member in range(20) if crowd.is_sender(member)] == [0, 4]
    assert [member for member in range(20) if crowd.is_slow(member)] == [3, 7]
    assert [crowd.room_of(member) for member in (0, 7, 8, 19)] == [0, 1, None, None]
    assert crowd.receivers_of_each == 2


def test_processes_share_everything() -> None:
    shares = [plan(worker=worker, processes=3, messages=100) for worker in range(3)]
    assert sorted(member for share in shares for member in share.own_members()) == [0, 1, 2, 3]
    assert sum(share.own_share(100) for share in shares) == 100


def test_many_connections_on_loopback_come_from_many_addresses() -> None:
    addresses = [plan().source_address(serial) for serial in range(30_000)]
    assert len(set(addresses)) == 3
    assert all(address is not None and address.startswith("127.0.1.") for address in addresses)
    assert plan(target=Target("::1", 1, "/")).source_address(0) is None


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("--seconds", {"seconds": 3601}),
        ("--seconds", {"seconds": 0}),
        ("--connections", {"connections": 60_001}),
        ("--processes", {"processes": 5}),
        ("--payload-bytes", {"payload_bytes": 10}),
        ("--in-flight", {"in_flight": 0}),
        ("--rate", {"rate_per_s": 0.0}),
        ("--messages", {"messages": 0}),
        ("--prefix", {"prefix": "a@b"}),
        ("--prefix", {"prefix": "%d"}),
        ("--no-encryption", {"encryption": False}),
        ("--no-recvack", {"protocol": "wkproto", "recvack": False}),
    ],
)
def test_limits(option: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PlanError, match=option):
        plan(**changes).check()


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 3600},
        {"seconds": 0.1},
        {"processes": 4},
        {"in_flight": 4096},
        {"protocol": "wkproto", "encryption": False},
        {"recvack": False},
    ],
)
def test_limits_themselves_are_allowed(changes: dict[str, Any]) -> None:
    plan(**changes).check()


@pytest.mark.parametrize("url", ["ws://127.0.0.1:5200", "ws://localhost:5200/", "ws://[::1]:5200/x?y"])
def test_loopback_is_allowed(url: str) -> None:
    assert read_target(url, "ws", "wss", allow_remote=False).port == 5200


@pytest.mark.parametrize("url", ["ws://192.0.2.1:5200", "ws://0.0.0.1"])
def test_other_machines_need_permission(url: str) -> None:
    with pytest.raises(PlanError, match="--allow-remote"):
        read_target(url, "ws", "wss", allow_remote=False)
    assert read_target(url, "ws", "wss", allow_remote=True).host in url


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:5200", "ws://", "ws://127.0.0.1:x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(PlanError, match=r"is no ws:// or wss:// URL$"):
        read_target(url, "ws", "wss", allow_remote=True)


@pytest.mark.parametrize(
    ("url", "port", "is_tls", "is_web_socket"),
    [
        ("ws://127.0.0.1", 80, False, True),
        ("wss://127.0.0.1", 443, True, True),
        ("tcp://127.0.0.1", 5100, False, False),
        ("tls://127.0.0.1/", 5110, True, False),
    ],
)
def test_a_scheme_says_what_lies_below(url: str, port: int, is_tls: bool, is_web_socket: bool) -> None:
    target = read_target(url, *SCHEMES["wkproto"], allow_remote=False)
    assert (target.port, target.is_tls, target.is_web_socket) == (port, is_tls, is_web_socket)


def test_json_rpc_is_not_spoken_without_web_socket() -> None:
    with pytest.raises(PlanError, match="is no ws:// or wss:// URL; --protocol wkproto takes it"):
        read_target("tcp://127.0.0.1:5100", *SCHEMES["jsonrpc"], allow_remote=False)


def test_without_web_socket_there_are_no_paths() -> None:
    with pytest.raises(PlanError, match="has a path"):
        read_target("tcp://127.0.0.1:5100/chat", *SCHEMES["wkproto"], allow_remote=False)


def test_open_loop_requests_are_due_at_even_distances_and_stay_due() -> None:
    schedule = Schedule(plan(rate_per_s=1000.0), 0, own_senders=4, all_senders=4)
    assert list(schedule.due(999)) == []
    assert list(schedule.due(3000)) == [1000, 2000, 3000]
    late = list(schedule.due(10_000_000))
    assert late == [4000 + 1000 * index for index in range(BURST)]
    assert not schedule.take()


def test_processes_share_the_rate() -> None:
    schedules = [
        Schedule(plan(rate_per_s=1000.0, processes=2, worker=worker), 0, own_senders=2, all_senders=4)
        for worker in range(2)
    ]
    assert sorted(due for schedule in schedules for due in schedule.due(4000)) == [1000, 2000, 3000, 4000]


def test_the_number_of_requests_is_bounded_in_both_loops() -> None:
    closed = Schedule(plan(messages=2), 0, own_senders=4, all_senders=4)
    assert [closed.take() for _ in range(3)] == [True, True, False]
    opened = Schedule(plan(messages=2, rate_per_s=1000.0), 0, own_senders=4, all_senders=4)
    assert list(opened.due(9000)) == [1000, 2000]

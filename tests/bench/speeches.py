"""A plan with two members who talk to each other, and an ear that writes down what it hears."""

from typing import Any

from wukong_trio.bench.plan import Crowd, Plan, Target
from wukong_trio.bench.speech import Delivery

PREFIX = "b-"


def a_plan(**changes: Any) -> Plan:
    options: dict[str, Any] = {"scenario": "send", "target": Target("127.0.0.1", 1, "/"), "seconds": 1.0}
    options |= {"connections": 2, "crowd": Crowd(2, rooms=1, room_size=2, senders=2), "prefix": PREFIX}
    return Plan(**options | changes)


class Heard:
    """An ear."""

    def __init__(self) -> None:
        self.answers: list[tuple[object, str]] = []
        self.alive = 0
        self.deliveries: list[Delivery] = []
        self.foreign: list[str] = []
        self.complaints: list[str] = []

    def on_answer(self, number: object, problem: str, at_us: int) -> None:
        self.answers.append((number, problem))

    def on_alive(self) -> None:
        self.alive += 1

    def on_delivery(self, delivery: Delivery, at_us: int) -> None:
        self.deliveries.append(delivery)

    def on_foreign(self, receipt: bytes, problem: str) -> None:
        self.foreign.append(problem)

    def on_complaint(self, problem: str) -> None:
        self.complaints.append(problem)

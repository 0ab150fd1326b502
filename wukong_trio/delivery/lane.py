"""The messages of a large channel on their way to its members.

waiting   accepted, in order
run       some of them, which everybody online gets together: one write to a socket instead of one for each message
uids      who has not got the run yet; a slice of them at a time
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from ..services.directory import Channel
from .push import Delivery, Push, PushRun
from .submission import Submission

RUN_MESSAGES: Final = 64
RUN_BYTES: Final = 256 * 1024
"""Payloads of a run of several messages."""


class Lane:
    """One channel's messages that not everybody has got yet. Never empty between two calls of the deliver stage."""

    __slots__ = ("_waiting", "delivery", "pushes", "run", "run_bytes", "senders", "uids")

    def __init__(self) -> None:
        self._waiting: deque[Submission] = deque()
        self.run_bytes = 0
        """Payloads of the run."""
        self.run: list[Submission] = []
        self.pushes: list[Push] = []
        """The run as those see it who sent nothing of it."""
        self.delivery: Delivery
        """The same, for writing."""
        self.senders: set[str] = set()
        self.uids: list[str] = []

    @property
    def has_waiting(self) -> bool:
        """There is more than the run."""
        return bool(self._waiting)

    def add(self, submission: Submission) -> None:
        """Takes a message, behind those that came before."""
        self._waiting.append(submission)

    def begin(self, online: Callable[[Channel], list[str]], now: float) -> None:
        """Makes a run of what waits, for everybody who is online now."""
        channel = self._channel_of(self._waiting[0])
        # A run is for one state of the channel: who came later must not get what was written before.
        while self._waiting and self._channel_of(self._waiting[0]) is channel and len(self.run) < RUN_MESSAGES:
            message = self._waiting[0].message
            assert message is not None
            if self.run and self.run_bytes + len(message.payload) > RUN_BYTES:
                break
            self.run_bytes += len(message.payload)
            self.run.append(self._waiting.popleft())
        self.uids = online(channel)
        self.senders = {submission.command.from_uid for submission in self.run}
        self.pushes = [_push(submission, now) for submission in self.run]
        self.delivery = self.pushes[0] if len(self.pushes) == 1 else PushRun(self.pushes)

    @staticmethod
    def _channel_of(submission: Submission) -> Channel:
        assert submission.route is not None
        return submission.route.channel

    def end(self) -> list[Submission]:
        """Everybody has got the run; returns it."""
        run, self.run, self.run_bytes = self.run, [], 0
        for push in self.pushes:
            push.frames.clear()
        return run


def _push(submission: Submission, now: float) -> Push:
    assert submission.message is not None
    assert submission.route is not None
    return Push(submission.message, submission.route.shown_to_others, now)

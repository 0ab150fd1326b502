"""The messages of a large channel on their way to its members.

waiting   accepted, in order
run       some of them, which everybody online gets together: one write to a socket instead of one for each message
uids      who has not got the run yet; a slice of them at a time

A message goes to those who were members when it joined the lane and still are when its run begins: who joins meanwhile,
or leaves, does not get it. Who is online is seen when the run begins.
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
        self._waiting: deque[tuple[Submission, int]] = deque()
        """With the version that the channel had."""
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
        channel = self._channel_of(submission)
        if channel.joined is None:
            channel.joined = {}
        self._waiting.append((submission, channel.version))

    def begin(self, online: Callable[[Channel], list[str]], now: float) -> None:
        """Makes a run of what waits, for everybody who is online now."""
        first, version = self._waiting[0]
        channel = self._channel_of(first)
        self._take(channel, version)
        self.uids = online(channel)
        assert channel.joined is not None
        if channel.version == version:
            channel.joined.clear()
        elif joined := channel.joined:
            self.uids = [uid for uid in self.uids if joined.get(uid, 0) <= version]
        if not self._waiting:
            channel.joined = None
        self.senders = {submission.command.from_uid for submission in self.run}
        self.pushes = [_push(submission, now) for submission in self.run]
        self.delivery = self.pushes[0] if len(self.pushes) == 1 else PushRun(self.pushes)

    def _take(self, channel: Channel, version: int) -> None:
        """Moves what waits into the run, as long as it is for one state of the channel and fits."""
        while self._waiting and len(self.run) < RUN_MESSAGES:
            submission, version_then = self._waiting[0]
            if self._channel_of(submission) is not channel or version_then != version:
                break
            assert submission.message is not None
            size_bytes = len(submission.message.payload)
            if self.run and self.run_bytes + size_bytes > RUN_BYTES:
                break
            self.run_bytes += size_bytes
            self.run.append(submission)
            self._waiting.popleft()

    @staticmethod
    def _channel_of(submission: Submission) -> Channel:
        assert submission.route is not None
        return submission.route.channel

    def end(self) -> list[Submission]:
        """Everybody has got the run; returns it."""
        run, self.run, self.run_bytes = self.run, [], 0
        for push in self.pushes:
            push.made.clear()
        return run


def _push(submission: Submission, now: float) -> Push:
    assert submission.message is not None
    assert submission.route is not None
    return Push(submission.message, submission.route.shown_to_others, now)

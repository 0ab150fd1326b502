"""What a connection speaks. A speech turns what arrives into calls of its session, and answers and pushes into bytes.

    Opening   until the client has authenticated
    Speech    from then on

Both are plain code: they never wait, and know neither sockets nor frames. There are `jsonrpc` and `wkproto`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple, Protocol

from ..delivery.event_push import EventForm
from ..delivery.push import Form
from ..delivery.registry import Notice, Receiver
from ..delivery.submission import Errand, Submission
from ..model import ReasonCode
from ..protocol.answers import LATEST_VERSION
from ..protocol.codes import Close
from ..services.auth import ConnectInfo
from .framing import Wire


class Conversation(Receiver, Protocol):
    """The session as its speech sees it."""

    forms: tuple[Form, ...]
    """How pushes are written for it, in this order."""
    payload_limit_bytes: int
    """How much the payload of a message may be."""
    unserved: bool
    """Set by a speech that has more to serve than it did: `receive` is called again soon, with nothing new. Reset when
    the session closes."""

    @property
    def draining(self) -> bool:
        """The server is stopping: sends are refused."""

    @property
    def is_open(self) -> bool:
        """Requests are served. Once it is not, nothing more that has arrived counts."""

    def submit(self, send: "ClientSend", errands: list[Errand]) -> None:
        """Sends a message; its answer follows when it is stored, or refused."""

    def reply(self, answer: bytes | None, errands: list[Errand]) -> None:
        """Answers at once, or behind the sends that are under way."""

    def settle(self, answer: bytes | None, of_send: bool) -> None:
        """One errand is done, and this is the answer to it; None: that comes with the answer to another."""

    def acknowledge(self, message_id: int, size_bytes: int, message_seq: int = 0) -> None:
        """The client has got a message, as so many bytes say; an unknown one does nothing."""

    def count_refused(self, reason: ReasonCode, answer: bytes) -> bytes:
        """A send was refused that never was submitted, and this is the answer; UNKNOWN if that gives no reason code."""

    def count_ping(self, ping_bytes: int, pong: bytes) -> bytes:
        """A ping is answered, with what is returned."""

    def count_error(self) -> None:
        """The client has made a mistake. Who makes too many is sent away."""

    def part(self, why: Close) -> None:
        """Closes once everything that was asked so far is answered."""


class ClientSend(Submission, eq=False, gc=False, kw_only=True):
    """A send of a client."""

    session: Conversation

    def answer(self) -> bytes | None:
        """What the client is told about its outcome; None if that comes later."""
        raise NotImplementedError  # a Struct cannot be an ABC

    def finish(self) -> None:
        self.session.settle(self.answer(), True)


class Speech(ABC):
    """How an authenticated client speaks."""

    __slots__ = ()

    name: ClassVar[str]
    acknowledges = True
    """Its clients acknowledge every push. Of others that is known once one has come."""

    version = LATEST_VERSION
    """Of the binary protocol, for those who look at sessions."""

    @property
    @abstractmethod
    def event_form(self) -> EventForm | None:
        """How events of messages are written; None: the client knows none."""

    @property
    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """How pushes are written at first."""

    @abstractmethod
    def receive(self, session: Conversation, message: bytes, errands: list[Errand]) -> int:
        """Serves what has arrived, or a good part of it.

        Args:
            errands: takes what has to go through the router.

        Returns:
            How many requests that were.
        """

    @abstractmethod
    def encode_notice(self, notice: Notice) -> bytes:
        """The last words before a client is sent away."""


class Refusal(NamedTuple):
    """A client that is not let in."""

    answer: bytes | None
    why: Close


class Opening(ABC):
    """A client that has not authenticated."""

    __slots__ = ("info",)

    text: bool
    """Whether messages are text, where that makes a difference."""
    may_speak_early: bool
    """Whether a client may send more before it is answered."""

    def __init__(self) -> None:
        self.info: ConnectInfo | None = None
        """What the client wants to be, once that is known."""

    @property
    def preparation(self) -> Callable[[], None] | None:
        """What has to be done in a thread before `enter`, None if nothing."""
        return None

    @abstractmethod
    def hear(self, message: bytes, *, binary: bool) -> Refusal | None:
        """Takes what has arrived; afterwards `info` may be there.

        Args:
            binary: it came in a binary frame.
        """

    @abstractmethod
    def encode_refusal(self, reason: ReasonCode) -> bytes | None:
        """The answer to who may not enter; None: such a client should just come again."""

    @abstractmethod
    def enter(self, wire: Wire) -> "Entered | ReasonCode":
        """The client may enter; what comes now cannot be taken back.

        Returns:
            How to go on, or the reason why it cannot be spoken with.
        """


class Entered(NamedTuple):
    """A client that is let in."""

    speech: Speech
    welcome: bytes
    """The answer to `connect`."""

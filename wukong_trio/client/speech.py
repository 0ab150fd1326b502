"""What a client and its server say to each other, whatever carries it. No I/O."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, TypeAlias

from ..errors import RequestError
from ..model import Message, MessageEvent, SendCommand, SendResult


class Login(NamedTuple):
    """Who wants to connect."""

    uid: str
    token: str
    device_flag: int
    device_id: str


class Request(NamedTuple):
    """Something that will be answered."""

    key: Hashable
    """Its answer has the same."""
    frame: bytes


class Answer(NamedTuple):
    """What became of a request."""

    key: Hashable
    result: Any
    """As the speech understands it."""
    error: RequestError | None


class Push(NamedTuple):
    """A message, and the frame that acknowledges it."""

    message: Message
    receipt: bytes


Incoming: TypeAlias = Answer | Push | MessageEvent


class Speech(ABC):
    """One connection's side of a protocol.

    Requests are to be written in the order in which they were made, unless they are not written at all.
    """

    text: bool
    """Whether a WebSocket carries the frames as text."""

    @abstractmethod
    def connect(self, login: Login) -> Request:
        """The first request."""

    @abstractmethod
    def send(self, command: SendCommand) -> Request:
        """A message.

        Raises:
            RequestError: there is no frame that could hold it.
        """

    @abstractmethod
    def sent(self, command: SendCommand, result: Any) -> SendResult:
        """What the answer to `send` says."""

    @abstractmethod
    def ping(self) -> Request:
        """A request that does nothing."""

    @abstractmethod
    def request(self, method: str, params: dict[str, object]) -> Request:
        """Any request.

        Raises:
            ConfigError: there are no others in this protocol.
        """

    @abstractmethod
    def read(self, data: bytes) -> Iterator[Incoming]:
        """What arrives, in order; what means nothing to this client is left out.

        Raises:
            ConnectionClosed: the server has said that this is the end, or nothing that a client could understand.
        """

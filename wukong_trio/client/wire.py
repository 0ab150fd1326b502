"""What carries a connection: whole frames out, and what arrives, as it comes."""

from abc import ABC, abstractmethod
from typing import Final

CLOSE_TIMEOUT_S: Final = 1.0
"""How long a goodbye may take."""


class Wire(ABC):
    """An open connection to a server. One task reads, one writes."""

    @abstractmethod
    async def read(self) -> bytes:
        """The next bytes: a message of a WebSocket, any piece of a stream.

        Raises:
            ConnectionClosed: there are none.
        """

    @abstractmethod
    async def write(self, frame: bytes) -> None:
        """Writes a frame. If cancelled, the connection is of no more use.

        Raises:
            ConnectionClosed: it could not be written.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Says goodbye, waits a moment for the answer, and closes; cancelled, it closes at once."""

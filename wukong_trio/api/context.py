"""What the handlers of the API work with."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ..config import Config
from ..search.search import MessageSearch
from ..services.channel_calls import Channels
from ..services.channel_history import ChannelHistory
from ..services.conversation_calls import UserConversations
from ..services.message_events import MessageEvents
from ..services.sending import Batches, Commands, Sender
from ..services.traffic import Snapshot, Traffic
from ..services.users import Users
from ..store.base import Store
from .addresses import RouteTable
from .encoded_pages import EncodedPages
from .guard import Guard
from .metrics import Metrics
from .vitals import Vitals


class Connections(Protocol):
    """The authenticated connections of clients; implemented by delivery."""

    @property
    def count(self) -> int:
        """How many there are."""

    @property
    def users(self) -> int:
        """How many uids are online."""

    def kick(self, uid: str, session_id: int) -> None:
        """Sends one away with a notice."""

    def remove(self, uid: str, session_id: int) -> None:
        """Sends one away without."""

    def select(self, rank: Callable[[Snapshot], float], *, end: int, uid_part: str) -> Awaitable[list[Snapshot]]:
        """Those that rank lowest, of users with this in their uids."""

    def totals(self) -> Awaitable[tuple[Traffic, int]]:
        """What has passed over all since the start, and how many pushes are unacknowledged."""


class Documents(Protocol):
    """What machines and people read about this server. Each is put together when it is asked for first."""

    @property
    def openapi(self) -> bytes: ...
    @property
    def openrpc(self) -> bytes: ...
    @property
    def page(self) -> tuple[bytes, str]:
        """HTML, and what browsers may load for it."""
        ...


@dataclass(frozen=True, kw_only=True)
class ApiContext:
    """The parts of a server that handlers may use."""

    config: Config
    guard: Guard
    store: Store
    users: Users
    channels: Channels
    history: ChannelHistory
    conversations: UserConversations
    message_events: MessageEvents
    search: MessageSearch | None
    """None: it is switched off."""
    encoded_pages: EncodedPages
    routes: RouteTable
    sender: Sender
    batches: Batches
    commands: Commands
    connections: Connections
    slow_clients: Callable[[], int]
    """How many clients were closed because they did not take what was sent to them."""
    vitals: Vitals
    api_url: str
    """Where this API is; empty if it is not known."""
    documents: Documents
    requests: Counter[tuple[str, int]]
    """Answers so far, by path and status."""
    metrics: Metrics
    ready: Callable[[], bool]
    """Whether the server takes connections."""

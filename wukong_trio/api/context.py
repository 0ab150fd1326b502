"""What the handlers of the API work with."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ..config import Config
from ..errors import WukongError
from ..model import SendCommand, SendResult
from ..search.search import MessageSearch
from ..services.channels import ChannelService
from ..services.history import History
from ..services.traffic import Snapshot, Traffic
from ..services.users import SystemAccounts, UserService
from ..store.base import Store
from .addresses import RouteTable
from .encoded_pages import EncodedPages
from .guard import Guard
from .vitals import Vitals


class Sender(Protocol):
    """Sends on behalf of a back-end; implemented by the router."""

    def send(
        self, command: SendCommand, *, command_channel: bool = False, direct_to: frozenset[str] | None = None
    ) -> Awaitable[SendResult]:
        """Sends a message."""

    def send_all(
        self, commands: Iterable[SendCommand], *, command_channel: bool = False
    ) -> Awaitable[list[SendResult | WukongError]]:
        """Sends several; each has its own result, or error."""


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
    users: UserService
    system_accounts: SystemAccounts
    channels: ChannelService
    history: History
    search: MessageSearch | None
    """None: it is switched off."""
    encoded_pages: EncodedPages
    routes: RouteTable
    sender: Sender
    device_flags_of: Callable[[str], list[int]]
    """The device flags with which a user is online."""
    connections: Connections
    slow_clients: Callable[[], int]
    """How many clients were closed because they did not take what was sent to them."""
    vitals: Vitals
    api_url: str
    """Where this API is; empty if it is not known."""
    documents: Documents
    ready: Callable[[], bool]
    """Whether the server takes connections."""

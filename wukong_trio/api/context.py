"""What the handlers of the API work with."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ..config import Config
from ..errors import WukongError
from ..model import SendCommand, SendResult
from ..services.channels import ChannelService
from ..services.history import History
from ..services.users import SystemAccounts, UserService
from ..store.base import Store
from .addresses import RouteTable
from .guard import Guard


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
    routes: RouteTable
    sender: Sender
    device_flags_of: Callable[[str], list[int]]
    """The device flags with which a user is online."""
    ready: Callable[[], bool]
    """Whether the server takes connections."""

"""What the handlers of the API work with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from ..config import Config
from ..model import SendCommand, SendResult
from ..services.channels import ChannelService
from ..services.history import History
from ..services.users import SystemAccounts, UserService
from ..store.base import Store
from .addresses import RouteTable
from .guard import Guard


class Send(Protocol):
    """Sends a message on behalf of a back-end; implemented by the router."""

    def __call__(self, command: SendCommand, *, command_channel: bool = False) -> Awaitable[SendResult]: ...


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
    routes: RouteTable
    send: Send
    device_flags_of: Callable[[str], list[int]]
    """The device flags with which a user is online."""
    documents: Documents
    ready: Callable[[], bool]
    """Whether the server takes connections."""

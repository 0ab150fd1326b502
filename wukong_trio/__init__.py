"""wukong_trio: an instant-messaging server on Trio that speaks WuKongIM's protocols.

    open_server, serve   run a server inside a Trio program
    open_client          talk to one
    api_client           call the HTTP API of one, on Trio or asyncio; is imported by itself
    open_store           the durable part alone

The data path, package by package: `gateway` turns sockets into sessions, `protocol` their bytes into requests,
`delivery` decides, stores and pushes messages by the rules of `services`, `store` keeps them, `api` is the HTTP side.
"""

from .client import Client as Client
from .client import open_client as open_client
from .config import Address as Address
from .config import Auth as Auth
from .config import Config as Config
from .config import Conversation as Conversation
from .config import Idempotency as Idempotency
from .config import Limits as Limits
from .config import Listeners as Listeners
from .config import MessageRetry as MessageRetry
from .config import Retention as Retention
from .config import RouteAddresses as RouteAddresses
from .config import Search as Search
from .config import Webhook as Webhook
from .contract.events import EventResult as EventResult
from .contract.search import FoundMessage as FoundMessage
from .delivery.events import Event as Event
from .delivery.events import MessageAccepted as MessageAccepted
from .delivery.events import SessionClosed as SessionClosed
from .delivery.events import SessionOpened as SessionOpened
from .errors import ConfigError as ConfigError
from .errors import ConnectionClosed as ConnectionClosed
from .errors import EventRefusedError as EventRefusedError
from .errors import InternalError as InternalError
from .errors import InvalidArgumentError as InvalidArgumentError
from .errors import InvalidCommandError as InvalidCommandError
from .errors import MessagesMissed as MessagesMissed
from .errors import RefusedError as RefusedError
from .errors import RequestError as RequestError
from .errors import SearchUnavailableError as SearchUnavailableError
from .errors import SendRefusedError as SendRefusedError
from .errors import StoreError as StoreError
from .errors import StoreOpenError as StoreOpenError
from .errors import WukongError as WukongError
from .listening import Endpoints as Endpoints
from .model import ChannelFlags as ChannelFlags
from .model import ChannelKey as ChannelKey
from .model import ChannelType as ChannelType
from .model import DeviceLevel as DeviceLevel
from .model import Message as Message
from .model import MessageEvent as MessageEvent
from .model import ReasonCode as ReasonCode
from .model import SendCommand as SendCommand
from .model import SendResult as SendResult
from .model import StreamStatus as StreamStatus
from .search.query import SearchQuery as SearchQuery
from .search.search import SearchResult as SearchResult
from .server import Server as Server
from .server import ServerStatistics as ServerStatistics
from .server import open_server as open_server
from .server import serve as serve
from .services.auth import ConnectInfo as ConnectInfo
from .services.conversations import ClientState as ClientState
from .services.conversations import ConversationChanges as ConversationChanges
from .services.conversations import ConversationView as ConversationView
from .services.history import PullMode as PullMode
from .services.message_events import SyncedEvents as SyncedEvents
from .services.traffic import Snapshot as Snapshot
from .services.traffic import Traffic as Traffic
from .store import open_store as open_store
from .store.base import Page as Page
from .store.event_store import StoredEvent as StoredEvent
from .version import __version__ as __version__

"""What all connections of a server share, and the moments at which a session begins and ends."""

from collections.abc import Callable
from itertools import count

import trio
from msgspec import Struct

from ..config import Config
from ..delivery.events import Events, SessionClosed, SessionOpened
from ..delivery.flush import FlushList
from ..delivery.registry import SessionRegistry, close_removed
from ..delivery.router import Router
from ..protocol.codes import CLOSE_SHUTDOWN, Close
from ..services.auth import Authentication
from .deadlines import DeadlineTable
from .session import Session, SessionState
from .transport import Transport

_CLIENT_GONE = Close(1006, "")


class GatewayStatistics(Struct):
    """Counters since the start."""

    connections: int = 0
    """WebSocket handshakes that were completed."""
    authenticated: int = 0


class Gateway:
    """The shared parts of a server, as its connections use them."""

    def __init__(
        self,
        config: Config,
        router: Router,
        registry: SessionRegistry,
        authentication: Authentication,
        flushes: FlushList,
        events: Events | None,
    ) -> None:
        self.config = config
        self.router = router
        self.authentication = authentication
        self.flushes = flushes
        self.deadlines = DeadlineTable()
        self.draining = False
        """The server is stopping: sends are refused."""
        self.statistics = GatewayStatistics()
        self.start_soon: Callable[..., None]
        """Starts a task among those of the connections; set by the acceptor."""
        self.greeting: set[Transport] = set()
        """Connections that have not authenticated yet."""
        self._session_ids = count(1)
        self._registry = registry
        self._events = events

    def enter(self, session: Session, transport: Transport, welcome: bytes) -> None:
        """Begins a session. The answer to `connect` goes first: nothing awaits here, so no push can overtake it."""
        transport.offer(welcome)
        close_removed(self._registry.enter(session))
        self.deadlines.watch(session, transport.last_inbound + transport.limits.conn_idle_time_s)
        self.statistics.authenticated += 1
        session.session_id, session.opened_at = next(self._session_ids), trio.current_time()
        if self._events is not None:
            self._events.emit(
                SessionOpened(
                    session_id=session.session_id,
                    uid=session.uid,
                    device_flag=session.device_flag,
                    device_id=session.device_id,
                    remote_address=transport.remote_address,
                )
            )
        if self.draining:
            session.close(CLOSE_SHUTDOWN)
        self.flushes.flush()

    def leave(self, session: Session, transport: Transport) -> None:
        """Ends a session whose connection is over."""
        session.state = SessionState.CLOSED
        self._registry.leave(session)
        self.deadlines.forget(session)
        if self._events is not None:
            close = transport.closing or _CLIENT_GONE
            self._events.emit(
                SessionClosed(
                    session_id=session.session_id,
                    uid=session.uid,
                    device_flag=session.device_flag,
                    device_id=session.device_id,
                    remote_address=transport.remote_address,
                    close_code=close.code,
                    reason=close.reason,
                    duration_s=trio.current_time() - session.opened_at,
                )
            )

    async def drain(self) -> None:
        """Answers the sends under way, then sends everybody home. The caller bounds it."""
        self.draining = True
        await self.router.drain()
        self.flushes.flush()
        for closable in (*self.greeting, *self._registry):
            closable.close(CLOSE_SHUTDOWN)

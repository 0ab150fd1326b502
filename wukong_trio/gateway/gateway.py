"""What all connections of a server share, and the moments at which a session begins and ends."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from logging import getLogger
from typing import Final

from ..config import ANY, Config
from ..delivery.events import Events, SessionClosed, SessionOpened
from ..delivery.flush import FlushList
from ..delivery.registry import Receiver, SessionRegistry, close_removed
from ..delivery.router import Router
from ..errors import StoreError
from ..model import Message, ReasonCode
from ..protocol.codes import CLOSE_SHUTDOWN, CLOSES
from ..services.auth import Authentication
from ..services.traffic import Traffic
from .deadlines import DeadlineTable
from .newcomers import Newcomers
from .piles import Piles
from .session_log import SessionLog

log = getLogger(__name__)

TOO_MUCH: Final = "too_much"
"""More waited for a slow client than may wait for one."""
STALLED: Final = "stalled"
"""It took nothing for too long."""
PILES: Final = "piles"
"""All together let too much wait that is each client's own, and it was furthest behind."""
SLOW: Final = (TOO_MUCH, STALLED, PILES)


@dataclass(slots=True)
class GatewayStatistics:
    """Counters since the start. Not a Struct, whose fields take three times as long to set."""

    connections: int = 0
    """That were opened, on WebSockets with their handshake."""
    connects: int = 0
    """Good `connect` requests, whatever became of them."""
    connect_bytes: int = 0
    """Of these, and so on below: bytes of packets and JSON texts, without what frames and TLS put around them."""
    connacks: int = 0
    """Answers to these."""
    connack_bytes: int = 0
    authenticated: int = 0
    turned_away: Counter[ReasonCode] = field(default_factory=Counter)
    """Who may not enter, by the reason."""
    closes: Counter[int] = field(default_factory=lambda: Counter({close.code: 0 for close in CLOSES}))
    """Connections that the server has ended, by the close code."""
    refusals: Counter[ReasonCode] = field(default_factory=Counter)
    """Sends that were refused before they got to the router; UNKNOWN where the answer gives no reason code."""
    cut_off: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SLOW, 0))
    """Clients that were closed because they did not take what was sent to them, by how that was seen."""
    sendack_bytes: int = 0
    recvacks: int = 0
    recvack_bytes: int = 0
    repetitions: int = 0
    """Pushes that were written again because no recvack came."""
    pings: int = 0
    """Those of the protocols that were answered, not those of WebSockets."""
    ping_bytes: int = 0
    pong_bytes: int = 0

    @property
    def slow_clients(self) -> int:
        """All that were cut off."""
        return sum(self.cut_off.values())


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
        command_received: Callable[[str, Message], None],
        on_status: Callable[[Receiver, bool], None] | None = None,
    ) -> None:
        """
        Args:
            command_received: called when a master device of a user has acknowledged a message with SYNC_ONCE. It must
                neither wait nor raise.
            on_status: called when a session has begun (True) or ended, after the registry has been changed. It must
                neither wait nor raise.
        """
        self.config = config
        self.router = router
        self.registry = registry
        self.authentication = authentication
        self.flushes = flushes
        self.command_received = command_received
        self.deadlines = DeadlineTable()
        self.newcomers = Newcomers(config.limits)
        self.piles = Piles()
        origins = config.auth.allowed_origins
        self.allowed_origins: frozenset[str] = frozenset() if ANY in origins else frozenset(origins)
        """Whose pages may connect; empty: all."""
        self.resume_at = config.limits.sends_in_flight // 2
        """How few sends of a client must be under way before it is read again."""
        self.draining = False
        """The server is stopping: sends are refused."""
        self.statistics = GatewayStatistics()
        self.past_traffic = Traffic()
        """Of sessions that have ended."""
        self.session_ids = count(1)
        self._events = events
        self._on_status = on_status
        self._logins_fail = False
        self._log = SessionLog()

    def login_failed(self, error: StoreError) -> None:
        """Nobody can authenticate at the moment; said once."""
        if not self._logins_fail:
            self._logins_fail = True
            log.error("nobody can connect until the store can be read again: %s", error)

    def entered(self, session: Receiver, describe: Callable[[], SessionOpened], now: float) -> None:
        """A session has begun: makes it visible, and sends those away whom it drives out."""
        if self._logins_fail:
            self._logins_fail = False
            log.warning("clients can connect again")
        close_removed(self.registry.enter(session))
        self.statistics.authenticated += 1
        if self._on_status is not None:
            self._on_status(session, True)
        self._tell(describe, self._log.has_line_for_opened(now))
        if self.draining:
            session.close(CLOSE_SHUTDOWN)

    def left(self, session: Receiver, traffic: Traffic, describe: Callable[[], SessionClosed], now: float) -> None:
        """A session has ended."""
        self.registry.leave(session)
        self.past_traffic.add(traffic)
        if self._on_status is not None:
            self._on_status(session, False)
        self._tell(describe, self._log.has_line_for_closed(now))

    def _tell(self, describe: Callable[[], SessionOpened | SessionClosed], has_line: bool) -> None:
        if has_line or self._events is not None:
            event = describe()
            if has_line:
                self._log.write(event)
            if self._events is not None:
                self._events.emit(event)

    async def drain(self) -> None:
        """Answers the sends under way and takes no more. The caller bounds it, and then sends everybody home."""
        self.draining = True
        for newcomer in self.newcomers:
            newcomer.close(CLOSE_SHUTDOWN)
        await self.router.drain()

    def send_home(self) -> None:
        """Closes all connections, answered or not."""
        self.draining = True
        self.flushes.flush()
        for closable in (*self.newcomers, *self.registry):
            closable.close(CLOSE_SHUTDOWN)
        self._log.sum_up()

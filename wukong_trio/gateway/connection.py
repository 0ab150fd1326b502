"""The life of one connection, the same for every engine.

greeting: handshake and authentication, each in time ─► carry: the engine feeds the session ─► finish: flush and close
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from logging import DEBUG, INFO, getLogger

import trio

from ..protocol.codes import CLOSE_BYE, CLOSE_SHUTDOWN
from .gateway import Gateway
from .greeting import Greeting
from .newcomers import TOO_MANY
from .session import Session
from .transport import DisconnectedError, Transport

log = getLogger(__name__)

_PEACEFUL = frozenset({CLOSE_BYE.code, CLOSE_SHUTDOWN.code})


async def run_connection(gateway: Gateway, transport: Transport) -> None:
    """Serves one client until it is gone or sent away. Whatever goes wrong ends here, in one log line."""
    # One frame for the whole life: this stays in memory for as long as the connection does.
    session, end = None, ""
    try:
        if gateway.newcomers.admit(transport):
            if gateway.draining:
                # Accepted in the last moment: those who were there before have been sent away already.
                transport.close(CLOSE_SHUTDOWN)
            session = await Greeting(gateway, transport).session()
            gateway.newcomers.discard(transport)
            if session is not None:
                await transport.carry(session)
        else:
            log.warning("%s: %s", transport.remote_address, TOO_MANY)
    except DisconnectedError as gone:
        end = str(gone)
        if session is None:
            log.log(INFO if gone.violation else DEBUG, "%s: %s", transport.remote_address, gone)
    except Exception:
        end = "internal error"
        log.exception("%s: connection dropped", transport.remote_address)
    finally:
        if session is None:
            gateway.newcomers.discard(transport)
        _say_goodbye(transport, session, end)
        # Not shielded: connections are cancelled only when the server's own time to stop is over.
        with trio.move_on_after(gateway.config.limits.close_timeout_s):
            try:
                await transport.finish()
            except Exception:
                log.exception("%s: connection dropped", transport.remote_address)


def _say_goodbye(transport: Transport, session: Session | None, end: str) -> None:
    """Ends the session, or says why there was none."""
    closing = transport.closing
    if session is not None:
        if closing is not None:
            session.end(closing.reason, code=closing.code)
        session.end(end)
        transport.forget_session()
    elif closing is not None and closing.code not in _PEACEFUL:
        log.info("%s: closed, %s (%d)", transport.remote_address, closing.reason, closing.code)


@contextmanager
def errors_end_here(remote_address: str) -> Iterator[None]:
    """Around what belongs to one connection only: an error in it must not reach the others."""
    try:
        yield
    except* (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as group:
        log.info("%s: connection dropped: %r", remote_address, group.exceptions[0])
    except* Exception:
        log.exception("%s: connection dropped", remote_address)

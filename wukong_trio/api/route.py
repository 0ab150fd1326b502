"""`/route`: where clients connect. And what watches the server: the probes, `/metrics`."""

from ..contract.connections import Group, Route
from ..model import ChannelKey, ChannelType
from ..version import __version__
from .answers import Health, NotReady, Ready, Unhealthy
from .bodies import as_list, encode_list
from .context import ApiContext
from .guard import Head
from .metrics import TEXT
from .table import STORE_FAILS, Document, Query, Reply


def _route(context: ApiContext, query: Query) -> Route:
    return context.routes.intranet if query.integer("intranet") == 1 else context.routes.external


def get_route(context: ApiContext, _head: Head, query: Query) -> object:
    """The addresses to which a client connects."""
    return _route(context, query)


async def batch_route(context: ApiContext, uids: list[str], query: Query) -> object:
    """The addresses for many uids.

    They are in groups of the same addresses; a single server has one.
    """
    route = _route(context, query)
    return [Group(route.tcp_addr, route.ws_addr, route.wss_addr, as_list(await encode_list(uids)))]


def get_health(context: ApiContext, head: Head, _query: Query) -> object:
    """Whether the server can do its work; and to the owner of the manager token, what it is."""
    identity = _identity(context) if context.guard.has_token(head) else {}
    if context.store.failure:
        # The reason is in the log, not here: probes need no token, and it may name paths.
        return Reply(500, Unhealthy(status="error", message=STORE_FAILS, **identity))
    return Health(status="ok", **identity)


def _identity(context: ApiContext) -> dict[str, str]:
    return {"version": __version__, "engine": context.config.engine, "durability": context.store.durability}


def get_healthz(_context: ApiContext, _head: Head, _query: Query) -> object:
    """Whether the process answers."""
    return Health(status="ok")


async def get_readyz(context: ApiContext, _head: Head, _query: Query) -> object:
    """Whether clients should be sent here: not while stopping, nor without storage."""
    if not context.ready():
        return Reply(503, NotReady(False, "stopping"))
    if context.store.failure:
        return Reply(503, NotReady(False, STORE_FAILS))
    await context.store.load_channels([ChannelKey("readyz", ChannelType.GROUP)])
    return Ready(True)


async def get_metrics(context: ApiContext, _head: Head, _query: Query) -> object:
    """Figures about the server, in the text format of Prometheus."""
    return Document(await context.metrics.scrape(), TEXT)

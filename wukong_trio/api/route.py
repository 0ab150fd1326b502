"""`/route`: where clients connect. And the probes."""

from ..model import ChannelKey, ChannelType
from .addresses import Route
from .bodies import encode_list
from .context import ApiContext
from .table import STORE_FAILS, Query, Reply


def _route(context: ApiContext, query: Query) -> Route:
    return context.routes.intranet if query.integer("intranet") == 1 else context.routes.external


def get_route(context: ApiContext, _request: None, query: Query) -> object:
    """The addresses for one client; `intranet=1` gives the internal ones."""
    return _route(context, query)


async def batch_route(context: ApiContext, uids: list[str], query: Query) -> object:
    """The addresses for many uids, which on a single server are one group."""
    route = _route(context, query)
    listed = await encode_list(uids)
    return [{"tcp_addr": route.tcp_addr, "ws_addr": route.ws_addr, "wss_addr": route.wss_addr, "uids": listed}]


def get_health(context: ApiContext, _request: None, _query: Query) -> object:
    """Whether the server can do its work."""
    # The reason is in the log, not here: probes need no token, and it may name paths.
    return Reply(500, {"status": "error", "message": STORE_FAILS}) if context.store.failure else {"status": "ok"}


def get_healthz(_context: ApiContext, _request: None, _query: Query) -> object:
    """Whether the process answers."""
    return {"status": "ok"}


async def get_readyz(context: ApiContext, _request: None, _query: Query) -> object:
    """Whether clients should be sent here: not while stopping, nor without storage."""
    if not context.ready():
        return Reply(503, {"ready": False, "message": "stopping"})
    if context.store.failure:
        return Reply(503, {"ready": False, "message": STORE_FAILS})
    await context.store.load_channels([ChannelKey("readyz", ChannelType.GROUP)])
    return {"ready": True}

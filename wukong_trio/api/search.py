"""`/plugins/wk.plugin.search/usersearch`: searching the messages that a user may read. A plugin of the original, built
in here."""

from typing import Final

from ..contract.answers import Failure
from ..contract.search import SearchAnswer, SearchRequest
from ..errors import SearchUnavailableError
from ..search.query import SearchQuery
from ..services.arguments import EMPTY
from .bodies import as_list, encode_list
from .context import ApiContext
from .table import ApiError, Query, Reply, Texts

PATH: Final = "/plugins/wk.plugin.search/usersearch"
MISSING: Final = Reply(400, Failure("plugin not found", 404))
"""What every plugin says that is not there."""
SEARCH_TEXTS: Final[Texts] = {("uid", EMPTY): "uid不能为空！"}


async def search_messages(context: ApiContext, request: SearchRequest, _query: Query) -> object:
    """Searches the messages that a user may read: those of his person channels, and of channels he is a member of now.

    Each word of a condition finds words that begin with it; Chinese, Japanese and Korean words are found inside
    sentences. All conditions have to hold. Only payloads that are JSON objects can be found, and no commands.
    """
    if context.search is None:
        return MISSING
    query = SearchQuery(
        uid=request.uid,
        payload=request.payload,
        payload_types=request.payload_types,
        from_uid=request.from_uid,
        channel_id=request.channel_id,
        channel_type=request.channel_type,
        topic=request.topic,
        start_time=request.start_time,
        end_time=request.end_time,
        limit=request.limit,
        page=request.page,
        highlights=request.highlights,
    )
    try:
        result = await context.search.find(query)
    except SearchUnavailableError as error:
        raise ApiError(str(error), http_status=503) from error
    return SearchAnswer(result.total, result.limit, result.page, as_list(await encode_list(result.messages)))

"""`/plugins/wk.plugin.search/usersearch`: searching the messages that a user may read. A plugin of the original, built
in here."""

from typing import Annotated, Any, Final

from msgspec import Raw, Struct

from ..errors import InvalidSearchError, SearchUnavailableError
from ..search.query import SearchQuery
from ..search.search import FoundMessage
from .answers import Failure
from .bodies import encode_list
from .checks import required
from .context import ApiContext
from .table import ApiError, Query, Reply
from .users import Byte, Int64

PATH: Final = "/plugins/wk.plugin.search/usersearch"
MISSING: Final = Reply(400, Failure("plugin not found", 404))
"""What every plugin says that is not there."""


class SearchRequest(Struct):
    """Body of `/plugins/wk.plugin.search/usersearch`."""

    uid: str = ""
    payload: dict[str, Any] = {}
    payload_types: list[Int64] = []
    from_uid: str = ""
    channel_id: str = ""
    channel_type: Byte = 0
    topic: str = ""
    start_time: Int64 = 0
    end_time: Int64 = 0
    limit: Int64 = 0
    page: Int64 = 0
    highlights: list[str] = []


class SearchAnswer(Struct, frozen=True):
    """What was found, newest first."""

    total: int
    limit: int
    page: int
    messages: Annotated[Raw, list[FoundMessage]]


async def search_messages(context: ApiContext, request: SearchRequest, _query: Query) -> object:
    """Searches the messages that a user may read: those of his person channels, and of channels he is a member of now.

    Each word of a condition finds words that begin with it; Chinese, Japanese and Korean words are found inside
    sentences. All conditions have to hold. Only payloads that are JSON objects can be found, and no commands.
    """
    if context.search is None:
        return MISSING
    required(request.uid, "uid不能为空！")
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
    except InvalidSearchError as error:
        raise ApiError(str(error)) from error
    except SearchUnavailableError as error:
        raise ApiError(str(error), http_status=503) from error
    return SearchAnswer(result.total, result.limit, result.page, await encode_list(result.messages))

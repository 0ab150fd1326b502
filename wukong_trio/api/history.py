"""`/channel/messagesync` and `/channel/messagesyncbatch`: pages of channels' histories."""

from typing import Final

from ..contract.history import PageRequest, SyncAnswer, SyncBatchRequest, SyncItem, SyncItems, SyncRequest
from ..errors import InvalidArgumentError
from ..services.arguments import viewed_key
from ..services.history import PAGE_BYTES, SHORT_BYTES, SHORT_MESSAGES, PullMode, is_whole
from ..services.message_events import SummaryMode
from ..store.base import Page, bytes_of
from .bodies import as_list, encode_list
from .checks import required
from .context import ApiContext
from .table import ApiError, Query

MAX_PAGES: Final = 200
"""In one call."""
ANSWER_FULL: Final = "the answer is full; ask for this channel in another call"


async def sync_messages(context: ApiContext, request: SyncRequest, _query: Query) -> object:
    """A page of a channel's history.

    Ascending. Without `start_message_seq` and `end_message_seq` it is the newest page.
    """
    _check(request)
    return await _answer(context, request, await _page(context, request.login_uid, request, PAGE_BYTES))


async def sync_few_messages(context: ApiContext, request: SyncRequest, _query: Query) -> SyncAnswer | None:
    """The same if the page is short."""
    _check(request)
    if request.limit > SHORT_MESSAGES:
        # What is wrong with the ids is told without waiting for the work on long answers.
        viewed_key(request.login_uid, request.channel_id, request.channel_type)
        return None
    page = await _page(context, request.login_uid, request, SHORT_BYTES)
    return await _answer(context, request, page) if is_whole(page, request.limit) else None


def _check(request: SyncRequest) -> None:
    required(request.channel_id, "channel_id不能为空！")
    required(request.login_uid, "login_uid不能为空！")


async def _answer(context: ApiContext, request: SyncRequest, page: Page) -> SyncAnswer:
    return SyncAnswer(
        request.start_message_seq,
        request.end_message_seq,
        request.pull_mode,
        int(page.more),
        as_list(await context.encoded_pages.records(page, summary_mode(request.event_summary_mode))),
    )


def summary_mode(name: str) -> SummaryMode:
    """How much records show of events; an unknown name counts as none."""
    return SummaryMode.BASIC if name == SummaryMode.BASIC else SummaryMode.FULL


async def _page(context: ApiContext, login_uid: str, wanted: PageRequest, max_bytes: int) -> Page:
    return await context.history.page(
        wanted.channel_id,
        wanted.channel_type,
        login_uid=login_uid,
        start_message_seq=wanted.start_message_seq,
        end_message_seq=wanted.end_message_seq,
        limit=wanted.limit,
        pull_mode=PullMode.UP if wanted.pull_mode == 1 else PullMode.DOWN,
        max_bytes=max_bytes,
    )


async def sync_many(context: ApiContext, request: SyncBatchRequest, _query: Query) -> object:
    """Pages of several channels, which together have as many bytes as one page may have."""
    required(request.login_uid, "login_uid不能为空！")
    if not 1 <= len(request.items) <= MAX_PAGES:
        raise ApiError(f"items must have 1 to {MAX_PAGES} entries")
    left_bytes = PAGE_BYTES
    items: list[SyncItem] = []
    for wanted in request.items:
        page, error = Page([], False), ""
        try:
            required(wanted.channel_id, "channel_id不能为空！")
            if left_bytes <= 0:
                raise ApiError(ANSWER_FULL)
            page = await _page(context, request.login_uid, wanted, left_bytes)
        except (ApiError, InvalidArgumentError) as wrong:
            error = str(wrong)
        left_bytes -= bytes_of(page.messages)
        items.append(await _item(context, request.login_uid, wanted, page, error))
    return SyncItems(items)


async def _item(context: ApiContext, login_uid: str, wanted: PageRequest, page: Page, error: str) -> SyncItem:
    return SyncItem(
        wanted.channel_id,
        wanted.channel_type,
        wanted.start_message_seq,
        wanted.end_message_seq,
        int(page.more),
        as_list(
            await encode_list(
                await context.message_events.records(page.messages, login_uid, summary_mode(wanted.event_summary_mode))
            )
        ),
        error,
    )

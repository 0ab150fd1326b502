"""`/channel/messagesync` and `/channel/messagesyncbatch`: pages of channels' histories."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from ..services.history import PAGE_BYTES, PullMode
from ..services.message_events import SummaryMode
from ..services.records import Records
from ..store.base import Page
from .bodies import encode_list
from .checks import required, viewed_key
from .context import ApiContext
from .table import ApiError, Query
from .users import Byte, Int64

MAX_PAGES: Final = 200
"""In one call."""
ANSWER_FULL: Final = "the answer is full; ask for this channel in another call"
Seq = Annotated[int, Meta(ge=0, le=2**62)]


class PageRequest(Struct):
    """Which part of which channel."""

    channel_id: str = ""
    channel_type: Byte = 0
    start_message_seq: Seq = 0
    end_message_seq: Seq = 0
    limit: Int64 = 0
    pull_mode: Int64 = 0
    event_summary_mode: str = ""


class SyncRequest(PageRequest):
    """Body of `/channel/messagesync`."""

    login_uid: str = ""


class SyncBatchRequest(Struct):
    """Body of `/channel/messagesyncbatch`."""

    login_uid: str = ""
    items: list[PageRequest] = []


class SyncAnswer(Struct, frozen=True):
    """A page of history."""

    start_message_seq: int
    end_message_seq: int
    pull_mode: int
    more: int
    messages: Records


class SyncItem(Struct, frozen=True, omit_defaults=True):
    """The same as one of several."""

    channel_id: str
    channel_type: int
    start_message_seq: int
    end_message_seq: int
    more: int
    messages: Records
    error: str = ""
    """Why there are no messages, if something went wrong with this item."""


class SyncItems(Struct, frozen=True):
    """A page of each channel, in the order of the request."""

    items: list[SyncItem]


async def sync_messages(context: ApiContext, request: SyncRequest, _query: Query) -> object:
    """A page of a channel's history.

    Ascending. Without `start_message_seq` and `end_message_seq` it is the newest page.
    """
    required(request.channel_id, "channel_id不能为空！")
    required(request.login_uid, "login_uid不能为空！")
    page = await _page(context, request.login_uid, request, PAGE_BYTES)
    return SyncAnswer(
        request.start_message_seq,
        request.end_message_seq,
        request.pull_mode,
        int(page.more),
        await context.encoded_pages.records(page, summary_mode(request.event_summary_mode)),
    )


def summary_mode(name: str) -> SummaryMode:
    """How much records show of events; an unknown name counts as none."""
    return SummaryMode.BASIC if name == SummaryMode.BASIC else SummaryMode.FULL


async def _page(context: ApiContext, login_uid: str, wanted: PageRequest, max_bytes: int) -> Page:
    return await context.history.page(
        viewed_key(login_uid, wanted.channel_id, wanted.channel_type),
        start=wanted.start_message_seq,
        end=wanted.end_message_seq,
        limit=wanted.limit,
        mode=PullMode.UP if wanted.pull_mode == 1 else PullMode.DOWN,
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
        except ApiError as wrong:
            error = wrong.message
        left_bytes -= sum([len(message.payload) for message in page.messages])
        items.append(await _item(context, request.login_uid, wanted, page, error))
    return SyncItems(items)


async def _item(context: ApiContext, login_uid: str, wanted: PageRequest, page: Page, error: str) -> SyncItem:
    return SyncItem(
        wanted.channel_id,
        wanted.channel_type,
        wanted.start_message_seq,
        wanted.end_message_seq,
        int(page.more),
        await encode_list(
            await context.message_events.records(page.messages, login_uid, summary_mode(wanted.event_summary_mode))
        ),
        error,
    )

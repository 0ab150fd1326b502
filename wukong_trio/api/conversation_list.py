"""`/conversation/list`: conversations page by page, and later only what has changed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import msgspec
from msgspec import Struct

from ..contract.conversations import ConversationListRequest, ConversationPage, LastMessage, ListItem, Removed
from ..model import Message, moment_of
from ..services.conversation_calls import MAX_LISTED
from ..services.conversations import ConversationView
from .context import ApiContext
from .table import ApiError, Query

DEFAULT_LIMIT: Final = 50
CURSOR_BYTES: Final = 4096


class _Cursor(Struct, frozen=True, array_like=True):
    """Where a walk over the pages stands."""

    since: int
    coverage: int
    before: tuple[int, str, int]


async def list_conversations(context: ApiContext, request: ConversationListRequest, _query: Query) -> object:
    """Conversations of a user with their newest messages, the most recently active first.

    Ask again with `next_cursor` until `done`, then keep `coverage`: given as `completed_coverage` it leaves only what
    has changed since, and names in `deletes` what is gone. With `reset_required` begin again with nothing.
    """
    cursor = _read_cursor(request.cursor) if request.cursor else None
    since = cursor.since if cursor is not None else max(request.completed_coverage, 0)
    changes = await context.conversations.list_changes(
        request.uid,
        since=since,
        limit=min(request.limit, MAX_LISTED) if request.limit > 0 else DEFAULT_LIMIT,
        before=cursor.before if cursor is not None else None,
        coverage=cursor.coverage if cursor is not None else 0,
    )
    before = changes.next_before
    return ConversationPage(
        conversations=[_item(view) for view in changes.views],
        deletes=[Removed(*name) for name in changes.deleted],
        unresolved=[],
        next_cursor=_write_cursor(_Cursor(since, changes.coverage, before)) if before is not None else "",
        done=before is None,
        coverage=changes.coverage,
        tombstones_retained_since=0,
        reset_required=changes.reset_required,
    )


def _item(view: ConversationView) -> ListItem:
    return ListItem(
        view.channel_id,
        view.key.channel_type,
        view.active_at,
        view.read_to,
        view.deleted_to,
        view.unread,
        _last_message(view.last) if view.last is not None else None,
    )


def _last_message(message: Message) -> LastMessage:
    return LastMessage(
        message.message_id,
        str(message.message_id),
        message.message_seq,
        message.from_uid,
        message.client_msg_no,
        moment_of(message.message_id) // 1_000_000,
        message.payload,
    )


def _write_cursor(cursor: _Cursor) -> str:
    return urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def _read_cursor(text: str) -> _Cursor:
    try:
        if len(text) > CURSOR_BYTES:
            raise ValueError
        return msgspec.json.decode(urlsafe_b64decode(text), type=_Cursor)
    except ValueError:
        raise ApiError("cursor格式错误！") from None

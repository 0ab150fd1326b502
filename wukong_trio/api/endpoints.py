"""The table of all endpoints."""

from typing import Any, Final

from ..contract.answers import Done, Failure, NotFound, Refused
from ..contract.channels import (
    AllowedQuery,
    ChannelRef,
    ChannelRequest,
    InfoRequest,
    Listed,
    ListRequest,
    RecipientsRequest,
    SubscribersRequest,
)
from ..contract.connections import ConnectionList, ConnectionRef, ConnectionsQuery, Group, Route, RouteQuery
from ..contract.conversations import (
    AckRequest,
    ByChannelsRequest,
    ChannelMessages,
    ChannelName,
    CommandsRequest,
    ConversationListRequest,
    ConversationPage,
    ConversationRecord,
    ConversationRef,
    ConversationsRequest,
    ListedConversation,
    MessagesRequest,
    UnreadRequest,
    UserRequest,
)
from ..contract.events import (
    EventAnswer,
    EventRequest,
    EventSyncAnswer,
    EventSyncRequest,
    ForceQuery,
    PlainEventRequest,
)
from ..contract.history import (
    ChannelQuery,
    FindOneRequest,
    FindRequest,
    FoundMessages,
    LastSeq,
    NumberQuery,
    SyncAnswer,
    SyncBatchRequest,
    SyncItems,
    SyncRequest,
)
from ..contract.messages import BatchAnswer, BatchRequest, MessageRecord, SendAnswer, SendRequest
from ..contract.monitor import Features, Vars, VarsQuery
from ..contract.search import SearchAnswer, SearchRequest
from ..contract.users import Online, QuitRequest, TokenRequest, UidsRequest
from .answers import Health, NotReady, Ready, Unhealthy
from .channels import (
    LIST_TEXTS,
    MEMBER_TEXTS,
    RECORD_TEXTS,
    ListName,
    add_subscribers,
    changes,
    clears,
    delete_channel,
    get_allowed,
    put_channel,
    put_info,
    remove_all_subscribers,
    remove_subscribers,
    set_recipients,
    sets,
)
from .commands import ACK_TEXTS, FETCH_TEXTS, acknowledge_commands, sync_commands
from .connections import kick, list_connections, remove
from .conversation_list import list_conversations
from .conversations import (
    ACTIVATE_TEXTS,
    CLEAR_TEXTS,
    DELETE_TEXTS,
    READ_TEXTS,
    SET_TEXTS,
    SOME_TEXTS,
    activate_conversation,
    clear_unread,
    delete_conversation,
    list_channels,
    list_latest,
    set_unread,
    sync_by_channels,
    sync_channel_messages,
    sync_conversations,
)
from .documents import HTML, get_openapi, get_openrpc, get_page
from .guard import METRICS, Head
from .history import sync_few_messages, sync_many, sync_messages
from .lookups import FIND_TEXTS, find_by_number, find_message, find_messages, get_last, get_max_seq
from .message_events import EVENT_TEXTS, append_event, push_plain_event, sync_events
from .messages import SEND_TEXTS, send_batch, send_message
from .metrics import TEXT
from .monitor import get_features, get_vars
from .route import batch_route, get_health, get_healthz, get_metrics, get_readyz, get_route
from .search import PATH, SEARCH_TEXTS, search_messages
from .table import Endpoint
from .users import (
    TEXTS,
    add_system_uids,
    get_system_uids,
    online_status,
    quit_device,
    remove_system_uids,
    set_token,
)

_CHANNEL: Final = ("channel_id", "channel_type")
_MEMBERS: Final = ("channel_id", "subscribers")
_LISTED: Final = (*_CHANNEL, "uids")
_CONVERSATION: Final = ("uid", *_CHANNEL)
_VIEW: Final = ("login_uid", "channel_id")
_FOUND: Final = (MessageRecord, NotFound)
_MESSAGE: Final = {
    "header": {"no_persist": 0, "red_dot": 1, "sync_once": 0},
    "from_uid": "ann",
    "channel_id": "team",
    "channel_type": 2,
    "payload": "eyJ0eXBlIjoxfQ==",
    "client_msg_no": "c-1",
}


def _list_endpoints(name: ListName) -> list[Endpoint[Any]]:
    path, texts = f"/channel/{name}", LIST_TEXTS
    add, remove = changes(name, "add"), changes(name, "remove")
    return [
        Endpoint("POST", f"{path}_add", ListRequest, add, changes=True, lists=True, needs=_LISTED, texts=texts),
        Endpoint(
            "POST",
            f"{path}_set",
            ListRequest,
            sets(name),
            changes=True,
            lists=True,
            needs=("channel_id",),
            texts=RECORD_TEXTS,
        ),
        Endpoint("POST", f"{path}_remove", ListRequest, remove, changes=True, lists=True, needs=_LISTED, texts=texts),
        Endpoint("POST", f"{path}_remove_all", ChannelRef, clears(name), changes=True, needs=_CHANNEL, texts=texts),
    ]


ENDPOINTS: Final[tuple[Endpoint[Any], ...]] = (
    Endpoint("GET", "/route", Head, get_route, query=RouteQuery, answer=Route),
    Endpoint(
        "POST",
        "/route/batch",
        list[str],
        batch_route,
        lists=True,
        long_answers=True,
        query=RouteQuery,
        answer=list[Group],
    ),
    Endpoint(
        "POST",
        "/user/token",
        TokenRequest,
        set_token,
        changes=True,
        needs=("uid", "token"),
        answer=(Done, Refused),
        texts=TEXTS,
    ),
    Endpoint("POST", "/user/device_quit", QuitRequest, quit_device, changes=True, needs=("uid",), texts=TEXTS),
    Endpoint(
        "POST",
        "/user/onlinestatus",
        list[str],
        online_status,
        lists=True,
        long_answers=True,
        answer=(list[Online], Done),
    ),
    Endpoint("GET", "/user/systemuids", Head, get_system_uids, answer=list[str]),
    Endpoint("POST", "/user/systemuids_add", UidsRequest, add_system_uids, changes=True, lists=True),
    Endpoint("POST", "/user/systemuids_remove", UidsRequest, remove_system_uids, changes=True, lists=True),
    Endpoint(
        "POST", "/channel", ChannelRequest, put_channel, changes=True, lists=True, needs=_CHANNEL, texts=RECORD_TEXTS
    ),
    Endpoint("POST", "/channel/info", InfoRequest, put_info, changes=True, needs=_CHANNEL, texts=RECORD_TEXTS),
    Endpoint("POST", "/channel/delete", ChannelRef, delete_channel, changes=True, texts=MEMBER_TEXTS),
    Endpoint(
        "POST",
        "/channel/subscriber_add",
        SubscribersRequest,
        add_subscribers,
        changes=True,
        lists=True,
        needs=_MEMBERS,
        texts=MEMBER_TEXTS,
    ),
    Endpoint(
        "POST",
        "/channel/subscriber_remove",
        SubscribersRequest,
        remove_subscribers,
        changes=True,
        lists=True,
        needs=_MEMBERS,
        texts=MEMBER_TEXTS,
    ),
    Endpoint(
        "POST",
        "/channel/subscriber_remove_all",
        ChannelRef,
        remove_all_subscribers,
        changes=True,
        needs=_CHANNEL,
        texts=LIST_TEXTS,
    ),
    Endpoint(
        "POST",
        "/tmpchannel/subscriber_set",
        RecipientsRequest,
        set_recipients,
        changes=True,
        lists=True,
        needs=("channel_id", "uids"),
        texts=LIST_TEXTS,
    ),
    *_list_endpoints("blacklist"),
    *_list_endpoints("whitelist"),
    Endpoint(
        "GET", "/channel/whitelist", Head, get_allowed, long_answers=True, query=AllowedQuery, answer=list[Listed]
    ),
    Endpoint(
        "POST",
        "/message/send",
        SendRequest,
        send_message,
        # A command to `subscribers` has no channel.
        needs=("payload",),
        example=_MESSAGE,
        answer=SendAnswer,
        texts=SEND_TEXTS,
    ),
    Endpoint(
        "POST",
        "/message/sendbatch",
        BatchRequest,
        send_batch,
        lists=True,
        lasting=True,
        needs=("from_uid", "subscribers", "payload"),
        answer=BatchAnswer,
    ),
    Endpoint(
        "POST",
        "/channel/messagesync",
        SyncRequest,
        sync_messages,
        long_answers=True,
        short=sync_few_messages,
        needs=_VIEW,
        answer=SyncAnswer,
    ),
    Endpoint(
        "POST",
        "/channel/messagesyncbatch",
        SyncBatchRequest,
        sync_many,
        long_answers=True,
        needs=("login_uid", "items"),
        answer=SyncItems,
    ),
    Endpoint(
        "POST",
        "/messages",
        FindRequest,
        find_messages,
        long_answers=True,
        needs=("channel_id",),
        answer=FoundMessages,
        texts=FIND_TEXTS,
    ),
    Endpoint("POST", "/message", FindOneRequest, find_message, needs=_CHANNEL, answer=_FOUND),
    Endpoint(
        "GET",
        "/message/byclientmsgno",
        Head,
        find_by_number,
        query=NumberQuery,
        needs=(*_CHANNEL, "client_msg_no"),
        answer=_FOUND,
    ),
    Endpoint(
        "GET", "/channel/max_message_seq", Head, get_max_seq, query=ChannelQuery, needs=("channel_id",), answer=LastSeq
    ),
    Endpoint("GET", "/channel/last_message", Head, get_last, query=ChannelQuery, needs=("channel_id",), answer=_FOUND),
    Endpoint(
        "POST",
        "/message/sync",
        CommandsRequest,
        sync_commands,
        long_answers=True,
        needs=("uid",),
        texts=FETCH_TEXTS,
        answer=list[MessageRecord],
    ),
    Endpoint(
        "POST",
        "/message/syncack",
        AckRequest,
        acknowledge_commands,
        needs=("uid", "last_message_seq"),
        texts=ACK_TEXTS,
    ),
    Endpoint(
        "POST",
        "/conversation/sync",
        ConversationsRequest,
        sync_conversations,
        long_answers=True,
        needs=("uid",),
        texts=READ_TEXTS,
        answer=list[ConversationRecord],
    ),
    Endpoint(
        "POST",
        "/conversation/syncByChannels",
        ByChannelsRequest,
        sync_by_channels,
        long_answers=True,
        needs=("uid", "channels"),
        texts=SOME_TEXTS,
        answer=list[ConversationRecord],
    ),
    Endpoint(
        "POST",
        "/conversation/syncMessages",
        MessagesRequest,
        sync_channel_messages,
        long_answers=True,
        answer=list[ChannelMessages],
    ),
    Endpoint(
        "POST",
        "/conversation/channels",
        UserRequest,
        list_channels,
        long_answers=True,
        needs=("uid",),
        texts=READ_TEXTS,
        answer=list[ChannelName],
    ),
    Endpoint(
        "POST",
        "/conversation/list",
        ConversationListRequest,
        list_conversations,
        long_answers=True,
        needs=("uid",),
        texts=READ_TEXTS,
        answer=ConversationPage,
    ),
    Endpoint(
        "GET",
        "/conversations",
        Head,
        list_latest,
        long_answers=True,
        query=UserRequest,
        needs=("uid",),
        texts=READ_TEXTS,
        answer=list[ListedConversation],
    ),
    Endpoint(
        "POST", "/conversations/clearUnread", ConversationRef, clear_unread, needs=_CONVERSATION, texts=CLEAR_TEXTS
    ),
    Endpoint("POST", "/conversations/setUnread", UnreadRequest, set_unread, needs=_CONVERSATION, texts=SET_TEXTS),
    Endpoint(
        "POST", "/conversations/delete", ConversationRef, delete_conversation, needs=_CONVERSATION, texts=DELETE_TEXTS
    ),
    Endpoint(
        "POST",
        "/conversations/activate",
        ConversationRef,
        activate_conversation,
        needs=_CONVERSATION,
        texts=ACTIVATE_TEXTS,
    ),
    Endpoint(
        "POST",
        "/message/event",
        EventRequest,
        append_event,
        needs=(*_CHANNEL, "client_msg_no", "event_id", "event_type"),
        answer=EventAnswer,
        texts=EVENT_TEXTS,
    ),
    Endpoint(
        "POST",
        "/message/eventsync",
        EventSyncRequest,
        sync_events,
        long_answers=True,
        needs=(*_CHANNEL, "client_msg_no"),
        answer=EventSyncAnswer,
        texts=EVENT_TEXTS,
    ),
    Endpoint(
        "POST",
        "/event",
        PlainEventRequest,
        push_plain_event,
        query=ForceQuery,
        needs=(*_CHANNEL, "event"),
        texts=EVENT_TEXTS,
    ),
    Endpoint(
        "POST",
        PATH,
        SearchRequest,
        search_messages,
        long_answers=True,
        needs=("uid",),
        texts=SEARCH_TEXTS,
        answer=SearchAnswer,
    ),
    Endpoint("POST", "/conn/kick", ConnectionRef, kick, changes=True, needs=("conn_id",)),
    Endpoint("POST", "/conn/remove", ConnectionRef, remove, changes=True, needs=("conn_id",)),
    Endpoint(
        "GET",
        "/connz",
        Head,
        list_connections,
        long_answers=True,
        query=ConnectionsQuery,
        answer=ConnectionList,
        also={400: Failure},
    ),
    Endpoint("GET", "/varz", Head, get_vars, long_answers=True, query=VarsQuery, answer=Vars, also={400: Failure}),
    Endpoint("GET", "/varz/setting", Head, get_features, answer=Features),
    Endpoint("GET", "/health", Head, get_health, answer=Health, also={500: Unhealthy}),
    Endpoint("GET", "/healthz", Head, get_healthz, answer=Health),
    Endpoint("GET", "/readyz", Head, get_readyz, answer=Ready, also={500: Failure, 503: NotReady}),
    Endpoint("GET", METRICS, Head, get_metrics, answer=str, content_type=TEXT),
    Endpoint("GET", "/openapi.json", Head, get_openapi, answer=dict),
    Endpoint("GET", "/openrpc.json", Head, get_openrpc, answer=dict),
    Endpoint("GET", "/docs", Head, get_page, answer=str, content_type=HTML),
)

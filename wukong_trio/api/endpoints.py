"""The table of all endpoints."""

from typing import Any, Final

from ..services.records import MessageRecord
from ..store.base import MemberList
from .addresses import Route
from .answers import (
    Done,
    Failure,
    Group,
    Health,
    Listed,
    NotReady,
    Online,
    Ready,
    Refused,
    SendAnswer,
    Unhealthy,
)
from .channels import (
    AllowedQuery,
    ChannelRef,
    ChannelRequest,
    InfoRequest,
    ListRequest,
    RecipientsRequest,
    SubscribersRequest,
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
from .connections import ConnectionList, ConnectionRef, ConnectionsQuery, kick, list_connections, remove
from .documents import HTML, get_openapi, get_openrpc, get_page
from .guard import Head
from .history import SyncAnswer, SyncBatchRequest, SyncItems, SyncRequest, sync_many, sync_messages
from .lookups import (
    ChannelQuery,
    FindOneRequest,
    FindRequest,
    FoundMessages,
    LastSeq,
    NotFound,
    NumberQuery,
    find_by_number,
    find_message,
    find_messages,
    get_last,
    get_max_seq,
)
from .messages import BatchAnswer, BatchRequest, SendRequest, send_batch, send_message
from .monitor import Features, Vars, VarsQuery, get_features, get_vars
from .route import RouteQuery, batch_route, get_health, get_healthz, get_readyz, get_route
from .search import PATH, SearchAnswer, SearchRequest, search_messages
from .table import Endpoint
from .users import (
    QuitRequest,
    TokenRequest,
    UidsRequest,
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


def _list_endpoints(name: str, members: MemberList) -> list[Endpoint[Any]]:
    path, add, remove = f"/channel/{name}", changes(members, "add"), changes(members, "remove")
    return [
        Endpoint("POST", f"{path}_add", ListRequest, add, changes=True, lists=True, needs=_LISTED),
        Endpoint("POST", f"{path}_set", ListRequest, sets(members), changes=True, lists=True, needs=("channel_id",)),
        Endpoint("POST", f"{path}_remove", ListRequest, remove, changes=True, lists=True, needs=_LISTED),
        Endpoint("POST", f"{path}_remove_all", ChannelRef, clears(members), changes=True, needs=_CHANNEL),
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
        "POST", "/user/token", TokenRequest, set_token, changes=True, needs=("uid", "token"), answer=(Done, Refused)
    ),
    Endpoint("POST", "/user/device_quit", QuitRequest, quit_device, changes=True, needs=("uid",)),
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
    Endpoint("POST", "/channel", ChannelRequest, put_channel, changes=True, lists=True, needs=_CHANNEL),
    Endpoint("POST", "/channel/info", InfoRequest, put_info, changes=True, needs=_CHANNEL),
    Endpoint("POST", "/channel/delete", ChannelRef, delete_channel, changes=True),
    Endpoint(
        "POST", "/channel/subscriber_add", SubscribersRequest, add_subscribers, changes=True, lists=True, needs=_MEMBERS
    ),
    Endpoint(
        "POST",
        "/channel/subscriber_remove",
        SubscribersRequest,
        remove_subscribers,
        changes=True,
        lists=True,
        needs=_MEMBERS,
    ),
    Endpoint(
        "POST", "/channel/subscriber_remove_all", ChannelRef, remove_all_subscribers, changes=True, needs=_CHANNEL
    ),
    Endpoint(
        "POST",
        "/tmpchannel/subscriber_set",
        RecipientsRequest,
        set_recipients,
        changes=True,
        lists=True,
        needs=("channel_id", "uids"),
    ),
    *_list_endpoints("blacklist", MemberList.DENIED),
    *_list_endpoints("whitelist", MemberList.ALLOWED),
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
        "POST", "/channel/messagesync", SyncRequest, sync_messages, long_answers=True, needs=_VIEW, answer=SyncAnswer
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
        PATH,
        SearchRequest,
        search_messages,
        long_answers=True,
        needs=("uid",),
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
    Endpoint("GET", "/openapi.json", Head, get_openapi, answer=dict),
    Endpoint("GET", "/openrpc.json", Head, get_openrpc, answer=dict),
    Endpoint("GET", "/docs", Head, get_page, answer=str, content_type=HTML),
)

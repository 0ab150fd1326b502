"""The table of all endpoints."""

from typing import Any, Final

from ..store.base import MemberList
from .channels import (
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
from .connections import ConnectionRef, kick, list_connections, remove
from .guard import Head
from .history import SyncBatchRequest, SyncRequest, sync_many, sync_messages
from .lookups import (
    FindOneRequest,
    FindRequest,
    find_by_number,
    find_message,
    find_messages,
    get_last,
    get_max_seq,
)
from .messages import BatchRequest, SendRequest, send_batch, send_message
from .monitor import get_features, get_vars
from .route import batch_route, get_health, get_healthz, get_readyz, get_route
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


def _list_endpoints(name: str, members: MemberList) -> list[Endpoint[Any]]:
    return [
        Endpoint("POST", f"/channel/{name}_add", ListRequest, changes(members, "add"), changes=True, lists=True),
        Endpoint("POST", f"/channel/{name}_set", ListRequest, sets(members), changes=True, lists=True),
        Endpoint("POST", f"/channel/{name}_remove", ListRequest, changes(members, "remove"), changes=True, lists=True),
        Endpoint("POST", f"/channel/{name}_remove_all", ChannelRef, clears(members), changes=True),
    ]


ENDPOINTS: Final[tuple[Endpoint[Any], ...]] = (
    Endpoint("GET", "/route", Head, get_route),
    Endpoint("POST", "/route/batch", list[str], batch_route, lists=True, long_answers=True),
    Endpoint("POST", "/user/token", TokenRequest, set_token, changes=True),
    Endpoint("POST", "/user/device_quit", QuitRequest, quit_device, changes=True),
    Endpoint("POST", "/user/onlinestatus", list[str], online_status, lists=True, long_answers=True),
    Endpoint("GET", "/user/systemuids", Head, get_system_uids),
    Endpoint("POST", "/user/systemuids_add", UidsRequest, add_system_uids, changes=True, lists=True),
    Endpoint("POST", "/user/systemuids_remove", UidsRequest, remove_system_uids, changes=True, lists=True),
    Endpoint("POST", "/channel", ChannelRequest, put_channel, changes=True, lists=True),
    Endpoint("POST", "/channel/info", InfoRequest, put_info, changes=True),
    Endpoint("POST", "/channel/delete", ChannelRef, delete_channel, changes=True),
    Endpoint("POST", "/channel/subscriber_add", SubscribersRequest, add_subscribers, changes=True, lists=True),
    Endpoint("POST", "/channel/subscriber_remove", SubscribersRequest, remove_subscribers, changes=True, lists=True),
    Endpoint("POST", "/channel/subscriber_remove_all", ChannelRef, remove_all_subscribers, changes=True),
    Endpoint("POST", "/tmpchannel/subscriber_set", RecipientsRequest, set_recipients, changes=True, lists=True),
    *_list_endpoints("blacklist", MemberList.DENIED),
    *_list_endpoints("whitelist", MemberList.ALLOWED),
    Endpoint("GET", "/channel/whitelist", Head, get_allowed, long_answers=True),
    Endpoint("POST", "/message/send", SendRequest, send_message),
    Endpoint("POST", "/message/sendbatch", BatchRequest, send_batch, lists=True, lasting=True),
    Endpoint("POST", "/channel/messagesync", SyncRequest, sync_messages, long_answers=True),
    Endpoint("POST", "/channel/messagesyncbatch", SyncBatchRequest, sync_many, long_answers=True),
    Endpoint("POST", "/messages", FindRequest, find_messages, long_answers=True),
    Endpoint("POST", "/message", FindOneRequest, find_message),
    Endpoint("GET", "/message/byclientmsgno", Head, find_by_number),
    Endpoint("GET", "/channel/max_message_seq", Head, get_max_seq),
    Endpoint("GET", "/channel/last_message", Head, get_last),
    Endpoint("POST", "/conn/kick", ConnectionRef, kick, changes=True),
    Endpoint("POST", "/conn/remove", ConnectionRef, remove, changes=True),
    Endpoint("GET", "/connz", Head, list_connections, long_answers=True),
    Endpoint("GET", "/varz", Head, get_vars, long_answers=True),
    Endpoint("GET", "/varz/setting", Head, get_features),
    Endpoint("GET", "/health", Head, get_health),
    Endpoint("GET", "/healthz", Head, get_healthz),
    Endpoint("GET", "/readyz", Head, get_readyz),
)

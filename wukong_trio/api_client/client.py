"""The methods of the client, in groups that are called like those of `wukong_trio.Server`."""

import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Self

import httpx
from msgspec import Raw, json

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
from ..contract.connections import (
    ConnectionList,
    ConnectionRef,
    ConnectionsQuery,
    Group,
    Route,
    RouteQuery,
)
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
    PlainEvent,
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
from ..contract.messages import BatchAnswer, BatchRequest, MessageRecord, SendHeader, SendRequest
from ..contract.monitor import Features, Vars, VarsQuery
from ..contract.search import SearchAnswer, SearchRequest
from ..contract.users import Online, QuitRequest, TokenRequest, UidsRequest
from ..errors import InvalidArgumentError
from .answers import done, many, maybe, one, sent
from .calls import MethodGroup, WithQuery, get, nothing, post, uid_list
from .transport import Transport


class Users(MethodGroup):
    """Tokens and devices, who is online, system accounts."""

    set_token = post("/user/token", TokenRequest, done)
    quit_device = post("/user/device_quit", QuitRequest, done)
    online = post("/user/onlinestatus", uid_list, many(Online))
    system_uids = get("/user/systemuids", nothing, many(str))
    add_system_uids = post("/user/systemuids_add", UidsRequest, done)
    remove_system_uids = post("/user/systemuids_remove", UidsRequest, done)


class DeniedList(MethodGroup):
    """The deny lists of channels."""

    prefix = "/channel/blacklist"
    add = post("_add", ListRequest, done)
    remove = post("_remove", ListRequest, done)
    set = post("_set", ListRequest, done)
    clear = post("_remove_all", ChannelRef, done)


class AllowedList(MethodGroup):
    """The allow lists of channels."""

    prefix = "/channel/whitelist"
    add = post("_add", ListRequest, done)
    remove = post("_remove", ListRequest, done)
    set = post("_set", ListRequest, done)
    clear = post("_remove_all", ChannelRef, done)
    get = get("", AllowedQuery, many(Listed))


class Channels(MethodGroup):
    """Records, members, deny and allow lists."""

    put = post("/channel", ChannelRequest, done)
    set_flags = post("/channel/info", InfoRequest, done)
    disband = post("/channel/delete", ChannelRef, done)
    add_subscribers = post("/channel/subscriber_add", SubscribersRequest, done)
    remove_subscribers = post("/channel/subscriber_remove", SubscribersRequest, done)
    remove_all_subscribers = post("/channel/subscriber_remove_all", ChannelRef, done)
    set_recipients = post("/tmpchannel/subscriber_set", RecipientsRequest, done)

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self.denied = DeniedList(transport)
        self.allowed = AllowedList(transport)


class History(MethodGroup):
    """Stored messages."""

    page = post("/channel/messagesync", SyncRequest, one(SyncAnswer))
    pages = post("/channel/messagesyncbatch", SyncBatchRequest, one(SyncItems))
    find = post("/messages", FindRequest, one(FoundMessages))
    find_one = post("/message", FindOneRequest, maybe(MessageRecord))
    find_by_number = get("/message/byclientmsgno", NumberQuery, maybe(MessageRecord))
    last = get("/channel/last_message", ChannelQuery, maybe(MessageRecord))
    last_seq = get("/channel/max_message_seq", ChannelQuery, one(LastSeq))


class Connections(MethodGroup):
    """Single connections of clients."""

    kick = post("/conn/kick", ConnectionRef, done)
    remove = post("/conn/remove", ConnectionRef, done)
    list = get("/connz", ConnectionsQuery, one(ConnectionList))


def _route_batch(uids: Sequence[str], intranet: int = 0) -> WithQuery:
    return WithQuery([*uids], RouteQuery(intranet))


class Conversations(MethodGroup):
    """The channels of a user, and how far he is with each."""

    sync = post("/conversation/sync", ConversationsRequest, many(ConversationRecord))
    of_channels = post("/conversation/syncByChannels", ByChannelsRequest, many(ConversationRecord))
    messages_from = post("/conversation/syncMessages", MessagesRequest, many(ChannelMessages))
    channels = post("/conversation/channels", UserRequest, many(ChannelName))
    latest = get("/conversations", UserRequest, many(ListedConversation))
    list_changes = post("/conversation/list", ConversationListRequest, one(ConversationPage))
    clear_unread = post("/conversations/clearUnread", ConversationRef, done)
    set_unread = post("/conversations/setUnread", UnreadRequest, done)
    delete = post("/conversations/delete", ConversationRef, done)
    activate = post("/conversations/activate", ConversationRef, done)


def _acknowledge(uid: str) -> AckRequest:
    # The number has to be there, and does not matter.
    return AckRequest(uid, last_message_seq=1)


class Commands(MethodGroup):
    """Commands that users have missed."""

    missed = post("/message/sync", CommandsRequest, many(MessageRecord))
    acknowledge = post("/message/syncack", _acknowledge, done)


def _append(
    channel_id: str,
    channel_type: int,
    client_msg_no: str,
    event_id: str,
    event_type: str,
    payload: object = None,
    *,
    event_key: str = "",
    from_uid: str = "",
    message_id: int = 0,
    visibility: str = "",
    occurred_at: int = 0,
    headers: Mapping[str, str] = {},
) -> EventRequest:
    return EventRequest(
        channel_id=channel_id,
        channel_type=channel_type,
        client_msg_no=client_msg_no,
        event_id=event_id,
        event_type=event_type,
        event_key=event_key,
        from_uid=from_uid,
        message_id=message_id,
        visibility=visibility,
        occurred_at=occurred_at,
        payload=Raw(json.encode(payload)),
        headers={**headers},
    )


def _push(
    channel_id: str,
    channel_type: int,
    event: PlainEvent,
    *,
    from_uid: str = "",
    client_msg_no: str = "",
    force: int = 0,
) -> WithQuery:
    return WithQuery(PlainEventRequest(client_msg_no, channel_id, channel_type, from_uid, event), ForceQuery(force))


class Events(MethodGroup):
    """What happens to messages after they were sent, such as an answer that is streamed."""

    append = post("/message/event", _append, one(EventAnswer))
    read = post("/message/eventsync", EventSyncRequest, one(EventSyncAnswer))
    push = post("/event", _push, done)


def _search(
    uid: str,
    payload: Mapping[str, Any] = {},
    *,
    payload_types: Sequence[int] = (),
    from_uid: str = "",
    channel_id: str = "",
    channel_type: int = 0,
    topic: str = "",
    start_time: int = 0,
    end_time: int = 0,
    limit: int = 10,
    page: int = 1,
    highlights: Sequence[str] = (),
) -> SearchRequest:
    return SearchRequest(
        uid=uid,
        payload={**payload},
        payload_types=[*payload_types],
        from_uid=from_uid,
        channel_id=channel_id,
        channel_type=channel_type,
        topic=topic,
        start_time=start_time,
        end_time=end_time,
        limit=limit,
        page=page,
        highlights=[*highlights],
    )


class Routes(MethodGroup):
    """Where clients connect."""

    get = get("/route", RouteQuery, one(Route))
    get_batch = post("/route/batch", _route_batch, many(Group))


class Monitor(MethodGroup):
    """How the server is doing."""

    vars = get("/varz", VarsQuery, one(Vars))
    features = get("/varz/setting", nothing, one(Features))


def _base64(payload: bytes) -> str:
    try:
        return b64encode(payload).decode()
    except TypeError:
        raise InvalidArgumentError("payload", f"must be bytes, not {type(payload).__name__}") from None


def _send(
    payload: bytes,
    *,
    from_uid: str = "",
    channel_id: str = "",
    channel_type: int = 0,
    subscribers: Sequence[str] = (),
    client_msg_no: str = "",
    no_persist: bool = False,
    red_dot: bool = False,
    sync_once: bool = False,
    is_stream: bool = False,
    expire: int = 0,
    setting: int = 0,
    topic: str = "",
) -> SendRequest:
    return SendRequest(
        header=SendHeader(int(no_persist), int(red_dot), int(sync_once)),
        from_uid=from_uid,
        channel_id=channel_id,
        channel_type=channel_type,
        subscribers=[*subscribers],
        payload=_base64(payload),
        client_msg_no=client_msg_no,
        expire=expire,
        is_stream=int(is_stream),
        setting=setting,
        topic=topic,
    )


def _send_batch(
    from_uid: str,
    subscribers: Sequence[str],
    payload: bytes,
    *,
    no_persist: bool = False,
    red_dot: bool = False,
    sync_once: bool = False,
) -> BatchRequest:
    header = SendHeader(int(no_persist), int(red_dot), int(sync_once))
    return BatchRequest(header, from_uid, [*subscribers], _base64(payload))


class ApiClient(MethodGroup):
    """The HTTP API of a server, to be used in an `async with` block, on Trio or asyncio.

    Nothing is sent twice by itself. Everything may be sent again when no answer has come, but sends: a further one is a
    further message, since back-ends' sends have no repetitions. A method that is cancelled closes its connection, and
    the server may have done what it was asked.
    """

    send = post("/message/send", _send, sent)
    send_batch = post("/message/sendbatch", _send_batch, one(BatchAnswer))
    search = post("/plugins/wk.plugin.search/usersearch", _search, one(SearchAnswer))

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        connect_timeout_s: float = 5.0,
        answer_timeout_s: float = 30.0,
        max_connections: int = 32,
        ssl_context: ssl.SSLContext | None = None,
        connections: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """A client; it connects when something is called first.

        Args:
            url: like `http://host:5001`; a path before the endpoints is possible.
            token: the manager token.
            connect_timeout_s: how long connecting may take.
            answer_timeout_s: how long the server may keep the client waiting without a byte, taken or given, and how
                long a call may wait for one of the connections. For a limit of everything use a cancel scope.
            max_connections: calls under way at the same time; others wait.
            ssl_context: whom to trust, for https; by default whom the system trusts.
            connections: an httpx transport in place of ours, for tests or proxies. It is closed with the client.

        Raises:
            InvalidArgumentError: `url` or `token` cannot be one.
        """
        super().__init__(
            Transport(
                url,
                token,
                connect_timeout_s=connect_timeout_s,
                answer_timeout_s=answer_timeout_s,
                max_connections=max_connections,
                ssl_context=ssl_context,
                connections=connections,
            )
        )
        self.users = Users(self._transport)
        self.channels = Channels(self._transport)
        self.history = History(self._transport)
        self.events = Events(self._transport)
        self.conversations = Conversations(self._transport)
        self.commands = Commands(self._transport)
        self.connections = Connections(self._transport)
        self.routes = Routes(self._transport)
        self.monitor = Monitor(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

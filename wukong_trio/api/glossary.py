"""What the members of requests and answers mean, for the descriptions that machines and people read.

Names are WuKongIM's and mean the same wherever they occur, over HTTP in snake_case and in JSON-RPC in camelCase. Where
one means something else in a certain Struct, it has an entry with the name of that Struct before it.
"""

from typing import Any, Final, NamedTuple


class Word(NamedTuple):
    """The meaning of a name."""

    text: str
    example: Any = None
    """None: examples of requests leave it out."""


_SEND: Final = "base64 with padding. Over JSON-RPC also JSON text, or a JSON object or array, taken as it stands"
_FLAG: Final = "0 or 1: "

WORDS: Final[dict[str, Word]] = {
    # who and where
    "uid": Word("A user. Up to 512 bytes, without `@`, `#` and `&`", "ann"),
    "uids": Word("Users. Blank entries are skipped", ["ann", "bob"]),
    "subscribers": Word("Members, as uids. Blank entries are skipped", ["ann", "bob"]),
    "SendRequest.subscribers": Word("Who gets a command (`sync_once`) that has no channel"),
    "BatchRequest.subscribers": Word("The receivers: each gets a message of its own", ["bob", "carl"]),
    "RecipientsRequest.uids": Word("Who receives what is sent to the channel", ["ann", "bob"]),
    "BatchRequest.from_uid": Word("The sender", "ann"),
    "ConnectionsQuery.uid": Word("Only users with this in their uids", "ann"),
    "login_uid": Word("The user for whom is asked; in a person channel one of the two", "ann"),
    "from_uid": Word("The sender. Left out: the system", "ann"),
    "sender_uid": Word("Counts where `from_uid` is empty"),
    "channel_id": Word("For persons (type 1) the uid of the other one, otherwise the id of the channel", "team"),
    "channel_type": Word(
        "1 person, 2 group, 3 customer service, 4 community, 5 community topic, 6 info, 7 data, 8 temporary, 9 live, "
        "10 visitors, 11 and 12 agents",
        2,
    ),
    "token": Word("With which the user connects. Up to 4096 bytes", "s3cret"),
    "device_id": Word("Tells devices of one user apart", "d1"),
    "device_flag": Word("0 app, 1 web, 2 PC", 1),
    "device_level": Word("0 slave, 1 master: alone on its device flag", 1),
    "online": Word("Always 1"),
    "id": Word("Number in the list, from 1 on", 1),
    # channels
    "large": Word(_FLAG + "kept, and without effect", 0),
    "ban": Word(_FLAG + "nobody may send or, for a person, connect", 0),
    "disband": Word(_FLAG + "nobody may send, for good", 0),
    "send_ban": Word(_FLAG + "members only receive", 0),
    "allow_stranger": Word(_FLAG + "a person's allow list does not count", 0),
    "reset": Word(_FLAG + "remove the old members first", 0),
    "temp_subscriber": Word("Not supported: 1 is refused"),
    # messages
    "header": Word("Flags of the message"),
    "no_persist": Word(_FLAG + "only for who is online, and not stored", 0),
    "red_dot": Word(_FLAG + "counts as unread", 1),
    "sync_once": Word(_FLAG + "a command, apart from the history", 0),
    "SendRequest.no_persist": Word("The same as in `header`"),
    "SendRequest.sync_once": Word("The same as in `header`"),
    "dup": Word("A repetition"),
    "end": Word("Ignored"),
    "setting": Word("Bits: 128 receipt, 32 signal, 8 topic, 2 stream. Carried to the receivers", 0),
    "receipt": Word("The sender wants a receipt"),
    "signal": Word("Carried"),
    "stream": Word("Carried"),
    "is_stream": Word(_FLAG + "sets the bit of `setting`"),
    "topic": Word("Carried to the receivers", ""),
    "Setting.topic": Word("There is a topic"),
    "PushSetting.topic": Word("There is a topic"),
    "stream_no": Word("Carried to the receivers"),
    "expire": Word("Seconds after which nobody reads it any more; 0: never", 0),
    "payload": Word("The content: " + _SEND, "eyJ0eXBlIjoxfQ=="),
    "client_msg_no": Word("The sender's number of the message", "c-1"),
    "SendRequest.client_msg_no": Word("The sender's number of the message; left out, one is made up", "c-1"),
    "message_id": Word("Unique, and growing, over all channels", 891687018409984),
    "message_idstr": Word("`message_id` as a text, for where numbers are floats", "891687018409984"),
    "message_seq": Word("1, 2, 3 in the channel; 0: not stored", 7),
    "timestamp": Word("Seconds since 1970", 1700000000),
    "reason": Word("1: it was sent. Otherwise why not: 19 banned, 24 disbanded", 1),
    "data": Word(
        "The same once more, as WuKongIM has it; not for a list of users",
        {"message_id": 891687018409984, "message_seq": 7, "client_msg_no": "c-1"},
    ),
    "fail_uids": Word("Whom the message was not sent to"),
    "BatchAnswer.reason": Word("Why, for each of `fail_uids`", []),
    "BatchAnswer.status": Word("Always 200", 200),
    "messages": Word("Ascending"),
    "start_message_seq": Word("Where the page begins; 0: no bound", 0),
    "end_message_seq": Word("Where it ends, exclusive; 0: no bound", 0),
    "limit": Word("Messages at most: 100 if it is 0, and never more than 10,000", 20),
    "pull_mode": Word("0 towards older messages, 1 towards newer ones", 0),
    "items": Word("The channels: 1 to 200"),
    "SyncItems.items": Word("The pages"),
    "error": Word("What is wrong with this entry; left out if nothing is"),
    "message_seqs": Word("Sequence numbers of messages", [7]),
    "message_ids": Word("Ids of messages", [891687018409984]),
    "client_msg_nos": Word("Senders' numbers of messages", ["c-1"]),
    "FindOneRequest.client_msg_no": Word("Counts where `message_id` is 0", "c-1"),
    "FoundMessages.start_message_seq": Word("Always 0", 0),
    "FoundMessages.end_message_seq": Word("Always 0", 0),
    "FoundMessages.more": Word(_FLAG + "some have no room in the answer", 0),
    "LastSeq.message_seq": Word("Of the last message; 0: there is none", 7),
    "NotFound.status": Word("Always 404", 404),
    "more": Word(_FLAG + "something of the window was left out", 0),
    # answers
    "status": Word("As the HTTP status, or a reason code"),
    "Health.status": Word("`ok` or `error`", "ok"),
    "Unhealthy.status": Word("`error`", "error"),
    "msg": Word("What is wrong, for the developer", "数据格式有误！"),
    "message": Word("Why", "the store is not available at the moment; the server's log says why"),
    "ready": Word("Whether clients should be sent here", True),
    "NotReady.ready": Word("Never true", False),
    "version": Word("Of the server"),
    "engine": Word("`native` or `reference`"),
    "durability": Word("Begins with `full`, `normal` or `none`"),
    # where to connect
    "intranet": Word("1: the internal addresses", 0),
    "tcp_addr": Word("`host:port`; empty: no such listener", "im.example.org:5100"),
    "ws_addr": Word("`ws://host:port`; empty: no such listener", "ws://im.example.org:5200"),
    "wss_addr": Word("`wss://host:port`; empty: no such listener", ""),
    # connections and counters
    "conn_id": Word("The `id` of a connection in `/connz`", 1),
    "ConnectionRef.node_id": Word("The server of the connection; another one than this: nothing is done"),
    "op_node_id": Word("The server that is to do it: this one, or 0"),
    "ConnectionsQuery.node_id": Word("This server, or 0", 0),
    "VarsQuery.node_id": Word("This server, or 0", 0),
    "sort": Word(
        "`id`, `inMsg`, `outMsg`, `inMsgBytes`, `outMsgBytes`, `pendingBytes`, `inPacket`, `outPacket`, "
        "`inPacketBytes`, `outPacketBytes`, `uptime`, `idle` or `protoVersion`; descending with `Desc` behind it",
        "inMsgDesc",
    ),
    "offset": Word("So many are skipped", 0),
    "ConnectionsQuery.limit": Word("Connections at most: 20 if it is 0, and never more than 10,000", 20),
    "ConnectionList.limit": Word("Connections at most", 20),
    "connections": Word("Connections of clients that have authenticated"),
    "now": Word("The time, RFC 3339", "2026-01-31T12:00:00+00:00"),
    "total": Word("How many there are, whatever was asked for", 1),
    "ConnectionRecord.id": Word("Of the connection", 1),
    "ip": Word("Of the client", "192.0.2.7"),
    "port": Word("Of the client", 50123),
    "last_activity": Word("When the client was last heard of, RFC 3339", "2026-01-31T11:59:58+00:00"),
    "uptime": Word("For how long it has been there", "1h2m3s"),
    "idle": Word("For how long nothing was heard of the client", "2s"),
    "pending_bytes": Word("Waiting to be sent", 0),
    "in_msgs": Word("Messages that came in", 3),
    "out_msgs": Word("Messages that went out", 5),
    "in_msg_bytes": Word("Bytes of these payloads", 120),
    "out_msg_bytes": Word("Bytes of these payloads", 200),
    "in_packets": Word("Frames that came in", 9),
    "out_packets": Word("Frames that went out", 11),
    "in_packet_bytes": Word("Bytes of these frames", 900),
    "out_packet_bytes": Word("Bytes of these frames", 1100),
    "device": Word("The device flag in words and, in brackets, 主 for master or 从 for slave", "Web(主)"),
    "ConnectionRecord.version": Word("Of the protocol", 5),
    "proxy_type_format": Word("Always the same: a connection of this very server", "本地连接"),
    "leader_id": Word("The same as `node_id`", 1001),
    "show": Word("`conn`: also the busiest connections", "conn"),
    "conn_limit": Word("How many of them: 20 if it is 0, and never more than 10,000", 20),
    "conns": Word("The busiest connections, if they were asked for"),
    "server_id": Word("The same as `node_id`", "1001"),
    "server_name": Word("Always `WuKongIM`", "WuKongIM"),
    "Vars.connections": Word("How many clients are connected and authenticated", 1),
    "user_handler_count": Word("How many users are online", 1),
    "user_handler_conn_count": Word("The same as `connections`", 1),
    "Vars.uptime": Word("For how long the server has been running", "1h2m3s"),
    "goroutine": Word("Tasks of Trio", 12),
    "mem": Word("Bytes of memory in use", 50_000_000),
    "cpu": Word("Percent of one core", 1.5),
    "Vars.in_msgs": Word("Frames that came in since the start", 9),
    "Vars.out_msgs": Word("Frames that went out since the start", 11),
    "in_bytes": Word("Bytes of the frames that came in", 900),
    "out_bytes": Word("Bytes of the frames that went out", 1100),
    "slow_clients": Word("Clients that were closed because they did not take what was sent to them", 0),
    "retry_queue": Word("Pushes that are not acknowledged yet", 0),
    "manager_addr": Word("Empty", ""),
    "manager_on": Word("Always 0", 0),
    "commit": Word("Empty", ""),
    "commit_date": Word("Empty", ""),
    "tree_state": Word("Empty", ""),
    "api_url": Word("Where the HTTP API is; empty: not known", "http://127.0.0.1:5001"),
    "manager_uid": Word("The setting `managerUID`"),
    "manager_token_on": Word(_FLAG + "there is a manager token", 0),
    "conversation_cache_count": Word("Always 0", 0),
    "logger": Word("Of the log"),
    "trace_on": Word("Always 0", 0),
    "loki_on": Word("Always 0", 0),
    "prometheus_on": Word("Always 0", 0),
    "stress_on": Word("Always 0", 0),
    # JSON-RPC
    "client_timestamp": Word("Milliseconds since 1970; the result tells the difference", 1700000000000),
    "ConnectParams.version": Word("Of the protocol; 0 or left out: the newest"),
    "ConnectParams.header": Word("Ignored"),
    "client_key": Word("Ignored"),
    "msg_key": Word("Ignored"),
    "profile": Word("`doc`, `sdk` or `both`: the form of pushes"),
    "reason_code": Word("1: done", 1),
    "DisconnectParams.reason_code": Word("Not used"),
    "DisconnectParams.reason": Word("Not used"),
    "DisconnectNotice.reason_code": Word("Why the client is sent away", 12),
    "DisconnectNotice.reason": Word("The same in words", "login in other device"),
    "time_diff": Word("Server time minus `clientTimestamp`, in milliseconds; 0 without one", 0),
    "server_key": Word("Empty", ""),
    "salt": Word("Empty", ""),
    "node_id": Word("Of the server", 1001),
    "server_version": Word("Of the protocol, what both sides speak", 5),
}


def word(owner: str, name: str) -> Word:
    """The meaning of a member; without a text if nobody has written it down.

    Args:
        owner: the name of its Struct.
        name: in snake_case.
    """
    return WORDS.get(f"{owner}.{name}") or WORDS.get(name) or Word("")

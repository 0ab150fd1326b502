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
    "SendRequest.subscribers": Word("Commands to a list of users are not there yet: leave it out"),
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
    "expire": Word("Seconds, carried to the receivers; 0: never", 0),
    "payload": Word("The content: " + _SEND, "eyJ0eXBlIjoxfQ=="),
    "client_msg_no": Word("The sender's number of the message", "c-1"),
    "SendRequest.client_msg_no": Word("The sender's number of the message; left out, one is made up", "c-1"),
    "message_id": Word("Unique, and growing, over all channels", 891687018409984),
    "message_idstr": Word("`message_id` as a text, for where numbers are floats", "891687018409984"),
    "message_seq": Word("1, 2, 3 in the channel; 0: not stored", 7),
    "timestamp": Word("Seconds since 1970", 1700000000),
    "reason": Word("1: it was sent. Otherwise why not: 19 banned, 24 disbanded", 1),
    "data": Word("The same once more, as WuKongIM has it"),
    "messages": Word("Ascending"),
    "start_message_seq": Word("Where the page begins; 0: no bound", 0),
    "end_message_seq": Word("Where it ends, exclusive; 0: no bound", 0),
    "limit": Word("Messages at most: 100 if it is 0, and never more than 10,000", 20),
    "pull_mode": Word("0 towards older messages, 1 towards newer ones", 0),
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

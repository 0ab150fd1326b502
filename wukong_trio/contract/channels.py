"""`/channel/*` and `/tmpchannel/*`: records, members, deny and allow lists."""

from msgspec import Struct

from ..model import ChannelFlags
from .fields import Byte


class ChannelRef(Struct):
    """Names a channel."""

    channel_id: str = ""
    channel_type: Byte = 0


class InfoRequest(ChannelRef):
    """Body of `/channel/info`: all five flags are overwritten."""

    large: int = 0
    ban: int = 0
    disband: int = 0
    send_ban: int = 0
    allow_stranger: int = 0

    @property
    def flags(self) -> ChannelFlags:
        """The flags; only 1 means true."""
        return ChannelFlags(
            large=self.large == 1,
            ban=self.ban == 1,
            disband=self.disband == 1,
            send_ban=self.send_ban == 1,
            allow_stranger=self.allow_stranger == 1,
        )


class ChannelRequest(InfoRequest):
    """Body of `/channel`."""

    reset: int = 0
    subscribers: list[str] = []


class SubscribersRequest(ChannelRef):
    """Body of `/channel/subscriber_add` and `/channel/subscriber_remove`."""

    subscribers: list[str] = []
    reset: int = 0
    temp_subscriber: int = 0


class ListRequest(ChannelRef):
    """Body of the calls on deny and allow lists."""

    uids: list[str] = []


class RecipientsRequest(Struct):
    """Body of `/tmpchannel/subscriber_set`."""

    channel_id: str = ""
    uids: list[str] = []


class AllowedQuery(Struct):
    """Parameters of `GET /channel/whitelist`."""

    channel_id: str = ""
    channel_type: int = 0


class Listed(Struct, frozen=True):
    """A user on a list."""

    id: int
    uid: str

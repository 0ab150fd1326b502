"""What the contract wants of requests whatever the services take: members that must be there. The texts are those that
back-ends and their tests know.
"""

from typing import Final

from ..services.arguments import NO_TYPE, UNKNOWN_TYPE
from .table import ApiError, Texts

BAD_CHANNEL: Final = "频道ID不合法！"
TYPE_TEXTS: Final[Texts] = dict.fromkeys((("channel_type", NO_TYPE), ("channel_type", UNKNOWN_TYPE)), "频道类型错误！")


def given(text: str, message: str) -> None:
    """Refuses an empty text."""
    if not text:
        raise ApiError(message)


def required(text: str, message: str) -> None:
    """Refuses a blank text."""
    if not text.strip():
        raise ApiError(message)

"""Numbers with bounds."""

from typing import Annotated

from msgspec import Meta

Byte = Annotated[int, Meta(ge=0, le=255)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Seconds = Annotated[int, Meta(ge=0, lt=2**32)]
Seq = Annotated[int, Meta(ge=0, le=2**62)]
"""A `message_seq`."""

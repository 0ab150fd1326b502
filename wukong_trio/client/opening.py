"""Which wire leads to a place, and which speech is spoken there."""

import ssl
from collections.abc import Callable
from typing import Final

import trio

from ..errors import ConfigError
from .jsonrpc import JsonRpcSpeech
from .place import Place
from .speech import Speech
from .stream import StreamWire, open_stream
from .websocket import run_websocket
from .wire import Wire
from .wkproto import WkProtoSpeech

_SPEECHES: Final[dict[str, Callable[[bool], Speech]]] = {
    "jsonrpc": lambda encryption: JsonRpcSpeech(),
    "wkproto": lambda encryption: WkProtoSpeech(encryption=encryption),
}


def choose_speech(place: Place, protocol: str | None, *, encryption: bool) -> Speech:
    """What to speak there.

    Args:
        protocol: what the program wants; None leaves it to the URL.
        encryption: whether WKProto encrypts payloads.

    Raises:
        ConfigError: that is not spoken there.
    """
    scheme = place.scheme
    chosen = scheme.protocols[0] if protocol is None else protocol
    if chosen not in scheme.protocols:
        hint = "" if scheme.websocket else "; JSON-RPC wants ws:// or wss://"
        there = " or ".join(map(repr, scheme.protocols))
        raise ConfigError(f"protocol = {protocol!r}: {place.url} speaks {there}{hint}")
    return _SPEECHES[chosen](encryption)


async def run_wire(
    place: Place,
    text: bool,
    ssl_context: ssl.SSLContext | None,
    steps: list[str],
    *,
    task_status: trio.TaskStatus[Wire],
) -> None:
    """Opens a wire and carries it until it is closed. Arguments and errors are those of the parts."""
    stream = await open_stream(place, ssl_context, steps)
    try:
        if place.scheme.websocket:
            await run_websocket(stream, place, steps, text=text, task_status=task_status)
        else:
            wire = StreamWire(stream, place)
            task_status.started(wire)
            await wire.closed.wait()
    finally:
        await trio.aclose_forcefully(stream)

"""Our server under the same load by other ways: with TLS, and with the binary protocol."""

from typing import Any, NamedTuple

from servers import bench, ours, peer


class Way(NamedTuple):
    """How clients speak."""

    scheme: str
    protocol: str = "jsonrpc"
    encryption: bool = True

    @property
    def name(self) -> str:
        """For the table."""
        if self.protocol == "jsonrpc":
            return f"JSON-RPC over {self.scheme}"
        return f"WKProto{'' if self.encryption else ' not encrypted'} over {self.scheme}"


PLAIN = Way("ws")
TLS = Way("wss")
CLEAR = Way("tcp", "wkproto", encryption=False)
SEALED = Way("tcp", "wkproto")
CLEAR_WS = Way("ws", "wkproto", encryption=False)
SEALED_WS = Way("ws", "wkproto")


def _how(way: Way) -> tuple[str, ...]:
    return ("--protocol", way.protocol, *(() if way.encryption else ("--no-encryption",)))


async def measured(way: Way, scenario: str, *options: str) -> dict[str, Any]:
    """A scenario of `wukong-trio bench` against a fresh server."""
    async with ours(way.scheme, encryption=way.encryption) as server:
        return await bench(server, scenario, *_how(way), *options, scheme=way.scheme)


async def idle_bytes(way: Way, connections: int, seconds: float) -> float:
    """Memory per idle connection, without what the first one takes for all: libraries that are loaded then."""
    async with ours(way.scheme, encryption=way.encryption) as server:
        await bench(server, "connect", *_how(way), "--connections", "1", "--messages", "1", scheme=way.scheme)
        load = (*_how(way), "--connections", str(connections), "--seconds", str(seconds))
        return float((await bench(server, "idle", *load, scheme=way.scheme))["server"]["rss_bytes_per_connection"])


async def accepting(seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Clients with TLS that connect and authenticate with us, and are sent away after the handshake by a bare loop."""
    load = ("connect", "--seconds", str(seconds))
    async with peer("tls_accept", "wss") as server:
        # What it closes without an answer counts as broken.
        bare = await bench(server, *load, scheme="wss", complete=False)
    return await measured(TLS, *load), bare

"""What waits to be written and is shared with nobody: encrypted pushes to clients that do not take them.

A plain push is one object for all who wait for it. An encrypted one is each client's own: a message to a group that is
cut off from the network would be in memory as often as the group has members. Each client may let some megabytes pile
up, all together may not.
"""

from typing import Final

PILES_BYTES: Final = 256 * 1024 * 1024


class Piles:
    """How much of their own the clients let wait that are behind."""

    def __init__(self) -> None:
        self._bytes: dict[object, int] = {}
        self._total_bytes = 0

    def note(self, client: object, size_bytes: int) -> None:
        """So much waits for a client now."""
        self._total_bytes += size_bytes - self._bytes.pop(client, 0)
        if size_bytes:
            self._bytes[client] = size_bytes

    def is_too_large(self, client: object) -> bool:
        """Whether all is too much, and this client's part no smaller than others'."""
        own_bytes = self._bytes.get(client, 0)
        return self._total_bytes > PILES_BYTES and own_bytes * len(self._bytes) >= self._total_bytes

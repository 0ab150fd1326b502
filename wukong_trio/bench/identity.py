"""What can be found out about the server from outside. What cannot stays unknown; nothing is guessed."""

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from .plan import Target
from .preparation import read_health

UNKNOWN = "unknown"
_SHOWN_FILES = 3


class Identity(Struct, kw_only=True):
    """A server, as far as it is known."""

    protocol: int = 0
    """The `serverVersion` in its answer to `connect`; 0 = unknown."""
    software: str = UNKNOWN
    """The `Server` header of its HTTP API, or what its command line names."""
    version: str = UNKNOWN
    engine: str = UNKNOWN
    durability: str = UNKNOWN
    """What its `/health` says of it, or else the databases that its process has open for writing."""


def identify(api: Target | None, manager_token: str, pid: int | None) -> Identity:
    """Asks the HTTP API, if there is one, and looks at the process, if it is on this machine."""
    identity = Identity()
    if pid is not None:
        _look_at_process(identity, Path(f"/proc/{pid}"))
    if api is not None:
        software, health = read_health(api, manager_token)
        identity.software = software or identity.software
        for name in ("version", "engine", "durability"):
            if isinstance(health.get(name), str):
                setattr(identity, name, health[name])
    return identity


def _look_at_process(identity: Identity, process: Path) -> None:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        databases = sorted({file.name for file in _written_files(process) if file.suffix in (".db", ".sqlite", ".sst")})
    except OSError:
        return
    if "serve" in words and any(word.endswith(("wukong_trio", "wukong-trio")) for word in words):
        identity.software = "wukong-trio"
        identity.engine = _option(words, "--engine") or UNKNOWN
    shown = ", ".join(databases[:_SHOWN_FILES])
    identity.durability = f"by {shown}, open for writing" if shown else "none seen: no database file is open"


def _option(words: list[str], name: str) -> str:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""


def _written_files(process: Path) -> Iterator[Path]:
    for descriptor in (process / "fd").iterdir():
        try:
            file, info = Path(os.readlink(descriptor)), (process / "fdinfo" / descriptor.name).read_text()
        except OSError:
            continue  # closed meanwhile
        flags = int(next(line.split()[1] for line in info.splitlines() if line.startswith("flags:")), 8)
        if file.is_absolute() and flags & os.O_ACCMODE != os.O_RDONLY:
            yield file

"""Who may import what. The layers, lowest first, are those of the package docstrings."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import wukong_trio

ROOT = Path(wukong_trio.__file__).parent
ALLOWED = {
    "model": set(),
    "errors": set(),
    "groups": set(),
    "config": set(),
    "hosts": set(),
    "version": set(),
    "counting": set(),
    "lag": {"counting"},
    "net": {"config", "errors"},
    "supervision": {"errors"},
    "tls": {"errors"},
    "setting_kinds": {"config", "hosts"},
    "setting_keys": {"setting_kinds"},
    "settings": {"config", "errors", "hosts", "setting_keys"},
    "contract": {"model"},
    "protocol": {"model", "errors"},
    "store": {"model", "errors"},
    "services": {"model", "errors", "config", "contract", "store"},
    "delivery": {"model", "errors", "config", "counting", "protocol", "store", "services", "supervision"},
    "gateway": {"model", "errors", "config", "hosts", "net", "protocol", "services", "delivery", "supervision"},
    "search": {"model", "errors", "config", "contract", "protocol", "store", "services"},
    "api": {
        *("model", "errors", "config", "contract", "counting", "hosts", "net", "protocol", "store", "services"),
        *("search", "supervision", "version"),
    },
    "webhooks": {"model", "errors", "config", "contract", "store", "services", "delivery", "supervision", "version"},
    "client": {"model", "errors", "groups", "protocol"},
    "api_client": {"model", "errors", "contract", "version"},
    "listening": {"config", "net"},
    "meter": {"counting", "delivery", "lag", "services", "store"},
    "figures": {"delivery", "gateway", "lag", "meter", "model", "search", "services", "version", "webhooks"},
    "assembly": {
        *("config", "delivery", "figures", "gateway", "api", "lag", "listening", "meter", "model"),
        *("search", "services", "store", "tls", "webhooks"),
    },
    "lifecycle": {"api", "assembly", "gateway", "listening", "supervision"},
    "server": {
        *("assembly", "config", "delivery", "errors", "groups", "lifecycle", "listening"),
        *("model", "search", "settings", "services", "store", "tls"),
    },
    "testing": {"model", "config", "errors", "protocol", "delivery", "services", "store", "server"},
    "lines": set(),
    "log": {"lines"},
    "bench": {"model", "errors", "groups", "protocol"},
    "process": {"errors", "groups", "lines", "log", "net", "server", "settings", "version"},
    "cli": {"bench", "errors", "process", "setting_keys", "settings", "store", "version"},
    "__main__": {"cli"},
    "": {
        *("client", "config", "contract", "delivery", "errors", "listening", "model", "search", "server", "services"),
        *("store", "version"),
    },
}
"""Layer -> the layers it may import; "" is the package itself."""
ONLY_IN = {
    "sqlite3": {
        *("store/sqlite.py", "store/files.py", "store/backup.py", "store/readers.py", "store/wal.py"),
        *("store/rows.py", "store/channel_rows.py", "store/message_rows.py", "store/members.py"),
        *("store/message_index.py", "store/message_ids.py", "store/message_writer.py", "store/transactions.py"),
        *("store/login_rows.py", "store/pages.py", "store/lookups.py", "store/gathering.py"),
        *("store/conversation_rows.py", "store/sent_positions.py", "store/event_rows.py"),
        *("store/membership_rows.py", "store/removal_rows.py", "search/index.py"),
    },
    "quart": {"api/quart_app.py"},
    "quart_trio": {"api/quart_app.py"},
    "hypercorn": {"api/quart_app.py", "api/conversation.py"},
    "trio_websocket": {"gateway/trio_websocket_engine.py", "client/websocket.py"},
    "wsproto": {"testing/raw_client.py", "client/websocket.py"},
    "h11": {"api/strict_h11.py"},
    "httptools": {"gateway/handshake.py", "api/http_parser.py", "bench/http_load.py", "webhooks/answer.py"},
    "click": {"cli.py", "bench/commands.py"},
    "rich": {"bench/terminal.py", "bench/commands.py"},
    "plotly": {"bench/report.py"},
    "prometheus_client": {"api/prometheus.py"},
    "structlog": {"log.py"},
    "httpx": {"api_client/transport.py", "api_client/pool.py", "api_client/client.py"},
    "idna": {"webhooks/address.py"},
    "cryptography": {"protocol/wkproto_keys.py"},
    "yaml": {"settings.py", "cli.py"},
}
FILES = sorted(ROOT.rglob("*.py"))


def layer(file: Path) -> str:
    name = file.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


@cache
def imports(file: Path) -> tuple[tuple[str, ...], ...]:
    """Absolute module paths that a file imports. Nearly all of the time here is parsing, and five tests ask."""
    return tuple(_found_in(file))


def _found_in(file: Path) -> Iterator[tuple[str, ...]]:
    package = ("wukong_trio", *file.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_only_go_down(file: Path) -> None:
    own = layer(file)
    for module in imports(file):
        if module[0] != "wukong_trio":
            continue
        target = module[1] if len(module) > 1 and module[1] in ALLOWED else ""
        assert target == own or target in ALLOWED[own], f"{file.name} must not import {'.'.join(module)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_each_library_has_its_place(file: Path) -> None:
    name = file.relative_to(ROOT).as_posix()
    for module in imports(file):
        assert name in ONLY_IN.get(module[0], {name}), f"{module[0]} does not belong into {name}"


@pytest.mark.parametrize("name", ["model", "errors", "config", "contract", "protocol", "api_client"])
def test_the_lowest_layers_know_nothing_of_trio(name: str) -> None:
    for file in FILES:
        if layer(file) == name:
            assert all(module[0] != "trio" for module in imports(file)), file


def module_imports(file: Path) -> set[Path]:
    """The files of the package that a file imports, those for type checkers only included."""
    found = set()
    for module in imports(file):
        if module[0] == "wukong_trio":
            for depth in (len(module), len(module) - 1):
                place = ROOT.joinpath(*module[1:depth])
                target = place.with_suffix(".py") if place.with_suffix(".py").exists() else place / "__init__.py"
                if target.exists() and target != ROOT / "__init__.py":
                    found.add(target)
                    break
    return found


def test_no_file_imports_itself_through_others() -> None:
    graph = {file: module_imports(file) for file in FILES}
    done: set[Path] = set()

    def visit(file: Path, path: tuple[Path, ...]) -> None:
        assert file not in path, " -> ".join(str(f.relative_to(ROOT)) for f in (*path[path.index(file) :], file))
        if file not in done:
            for target in graph[file] - {file}:
                visit(target, (*path, file))
            done.add(file)

    for file in FILES:
        visit(file, ())


def test_nothing_is_allowed_that_nobody_does() -> None:
    done: dict[str, set[str]] = {name: set() for name in ALLOWED}
    places: dict[str, set[str]] = {name: set() for name in ONLY_IN}
    for file in FILES:
        for module in imports(file):
            if module[0] == "wukong_trio":
                done[layer(file)].add(module[1] if len(module) > 1 and module[1] in ALLOWED else "")
            elif module[0] in ONLY_IN:
                places[module[0]].add(file.relative_to(ROOT).as_posix())
    assert {name: targets - done[name] for name, targets in ALLOWED.items() if targets - done[name]} == {}
    assert places == ONLY_IN

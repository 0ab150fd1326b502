"""The SDKs as their registries serve them, in `.venv/sdks` of the checkout, installed once for each change of a pin."""

import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

import pytest

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".venv" / "sdks"
NODE_PINS = ("package.json", "package-lock.json")
NPM = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
GO_FILES = ("go.mod", "go.sum", "main.go")
OLDEST_NODE = (20, 6)
"""The first with `module.register`."""
INSTALL_TIMEOUT_S = 100


def node_modules() -> Path:
    """The folder with the two SDKs for JavaScript."""
    _need("node", "npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        pytest.skip(f"node is {version}; the official JavaScript SDKs are tested with 20.6 or newer")

    def install(target: Path) -> None:
        for pin in NODE_PINS:
            shutil.copy(HERE / "node" / pin, target)
        _fetch(*NPM, cwd=target)

    return _once("node", [HERE / "node" / pin for pin in NODE_PINS], install) / "node_modules"


def go_user() -> Path:
    """The program of `go/main.go`."""
    _need("go")

    def install(target: Path) -> None:
        _fetch("go", "mod", "download", cwd=HERE / "go")
        built = _run("go", "build", "-buildvcs=false", "-o", str(target), ".", cwd=HERE / "go")
        assert built.returncode == 0, built.stdout

    return _once("go", [HERE / "go" / name for name in GO_FILES], install) / "sdkuser"


def _need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the official SDKs are tested where node, npm and go are; there is no {' and no '.join(missing)}")


def _once(name: str, files: list[Path], install: Callable[[Path], None]) -> Path:
    """The folder made by `install`, which is not called again while the files stay as they are."""
    folder = CACHE / f"{name}-{sha256(b''.join(file.read_bytes() for file in files)).hexdigest()[:12]}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = Path(mkdtemp(prefix=f"{name}-", dir=CACHE))
        try:
            install(fresh)
            if not folder.exists():
                fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _fetch(*command: str, cwd: Path) -> None:
    try:
        done = _run(*command, cwd=cwd)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the official SDKs could not be fetched in time: {' '.join(command)}")
    if done.returncode:
        pytest.skip(f"the official SDKs cannot be fetched: {' '.join(command)}: {done.stdout.strip()}")


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )

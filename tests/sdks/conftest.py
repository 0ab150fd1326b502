"""A server in a process, and the SDKs' users in others."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from installed import go_user, node_modules

sys.path.append(str(Path(__file__).parents[1] / "e2e"))

from users import APP, WEB, Sdks, SdkUser, run_user

NODE_USER = Path(__file__).parent / "node" / "user.mjs"


@pytest.fixture(scope="session")
def commands() -> dict[str, list[str]]:
    """The command lines of the users; where the tools to install one are missing, tests that want it are skipped."""
    modules = str(node_modules())
    return {
        "js": ["node", str(NODE_USER), modules, "wukongimjssdk"],
        "uni": ["node", str(NODE_USER), modules, "wukongimuniappsdk"],
        "go": [str(go_user())],
    }


@pytest.fixture(params=["reference", "native"])
def engine(request: pytest.FixtureRequest) -> str:
    """The name of a WebSocket engine."""
    return str(request.param)


@pytest.fixture
async def sdks(commands: dict[str, list[str]], tmp_path: Path) -> AsyncIterator[Sdks]:
    """The three SDKs, not connected yet."""
    async with AsyncExitStack() as users:

        async def start(name: str, uid: str, device_flag: int) -> SdkUser:
            user = run_user(commands[name], name, uid, device_flag, tmp_path / f"{name}.log")
            return await users.enter_async_context(user)

        yield Sdks(await start("js", "ann", WEB), await start("uni", "bob", WEB), await start("go", "ann", APP))

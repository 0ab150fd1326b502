"""Places that the user of the command line may not look into: one line, no traceback."""

from errno import EACCES
from pathlib import Path

import pytest
from click.testing import CliRunner

from wukong_trio.cli import commands

DENIED = "Permission denied"


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of somebody else. Tests may be run by root, whom nothing is denied."""
    place = tmp_path / "locked"
    place.mkdir()
    really = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> object:
        if path.absolute().parent == place:
            raise PermissionError(EACCES, DENIED, str(path))
        return really(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(Path, "is_file", lambda path: bool(path.stat()))  # from Python 3.14 on it says no
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wk.yaml").touch()
    return place


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["backup", "copy.db", "--data-dir", "locked"], "locked/wukong.db"),
        (["restore", "locked/copy.db", "--data-dir", "data"], "locked/copy.db"),
    ],
)
def test_a_copy_that_this_user_may_not_make(locked: Path, arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [f"Error: {named}: {DENIED}; run this as a user who may read and write there"]


def test_a_current_directory_that_this_user_may_not_read(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(locked)
    result = CliRunner().invoke(commands, ["config"])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"Error: wk.yaml: {DENIED}; start in a directory that this user may read, or give --config"
    ]

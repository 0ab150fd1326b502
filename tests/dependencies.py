"""Runs the suite with the newest and with the oldest dependencies that pyproject.toml allows, on each Python there is.

    python tests/dependencies.py                  all of it, half an hour
    python tests/dependencies.py 3.11 oldest      only this Python, only this set

Each combination gets a virtual environment of its own, `.venv-3.11-oldest` and so on, made anew. Pythons are looked for
on the PATH and among pyenv's.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from shutil import which

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
SETS = ("newest", "oldest")
_FLOOR = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=(?P<version>[\w.]+)")


def requirements() -> list[str]:
    """What the package and its extras ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]


def floors() -> list[str]:
    """The oldest version that each requirement allows, as pip's constraints."""
    found = (_FLOOR.match(requirement) for requirement in requirements())
    return [f"{floor['name']}=={floor['version']}" for floor in found if floor is not None]


def find_python(version: str) -> str | None:
    """An interpreter of that version that really runs; pyenv leaves names on the PATH that do not."""
    for candidate in _candidates(version):
        question = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(question, capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return candidate
    return None


def _candidates(version: str) -> Iterator[str]:
    if path := which(f"python{version}"):
        yield path
    yield from map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True))


def passes(python: str, version: str, name: str) -> bool:
    """Makes the environment and runs the suite in it."""
    environment = ROOT / f".venv-{version}-{name}"
    subprocess.run([python, "-m", "venv", "--clear", environment], check=True)
    install = [environment / "bin/python", "-m", "pip", "install", "--quiet", "--editable", ".[dev]"]
    if name == "oldest":
        constraints = environment / "constraints.txt"
        constraints.write_text("\n".join(floors()) + "\n")
        install += ["--constraint", constraints]
    for command in (install, [environment / "bin/pytest", "-q", "-p", "no:cacheprovider"]):
        if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
            return False
    return True


def main(words: list[str]) -> int:
    """Runs what the words name; returns the exit code."""
    outcomes = {}
    for version in [word for word in words if word in PYTHONS] or PYTHONS:
        python = find_python(version)
        for name in [word for word in words if word in SETS] or SETS:
            print(f"--- Python {version}, {name} dependencies: {python or 'not on this machine'}", flush=True)
            if python is None:
                outcomes[version, name] = "no such Python"
            else:
                outcomes[version, name] = "passed" if passes(python, version, name) else "FAILED"
    for (version, name), outcome in outcomes.items():
        print(f"Python {version}, {name} dependencies: {outcome}")
    return "FAILED" in outcomes.values() or "passed" not in outcomes.values()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

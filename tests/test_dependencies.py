"""What pyproject.toml says about dependencies. `make test-dependencies` tries the versions themselves."""

import ast
import sys
from importlib.metadata import packages_distributions

import dependencies
import pytest
from test_layers import FILES


@pytest.mark.parametrize("requirement", dependencies.requirements())
def test_every_requirement_has_a_floor(requirement: str) -> None:
    assert ">=" in requirement or "==" in requirement or requirement.startswith("wukong-trio["), requirement


def test_floors_are_constraints() -> None:
    floors = dependencies.floors()
    assert "trio-websocket==0.12.2" in floors
    assert not [floor for floor in floors if floor.startswith("wukong")]


def test_what_is_imported_is_required() -> None:
    required = {line.partition(">=")[0].lower().replace("_", "-") for line in dependencies.requirements()}
    where = packages_distributions()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"wukong_trio"}:
                assert required & {found.lower().replace("_", "-") for found in where[name]}, f"{file.name}: {name}"

"""docs/api-client.md: its table is made from the code, its example runs as it stands.

`python tests/api_client/test_api_client_docs.py` makes the table.
"""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from test_api_client_endpoints import calls

from wukong_trio.api_client import client
from wukong_trio.testing import open_test_server

PAGE = Path(__file__).parent.parent.parent / "docs" / "api-client.md"
BEGIN, END = "<!-- methods -->\n", "<!-- end of the methods -->\n"
ANSWERS = {"done": "", "sent": "`SendAnswer`"}
FORMS = {"one": "`{}`", "many": "list of `{}`", "maybe": "`{}` or `None`"}


def table() -> str:
    """The methods, in the order of the code."""
    return "\n".join(("", "| | | answer |", "|---|---|---|", *_rows(), "")) + "\n"


def _rows() -> Iterator[str]:
    answers = dict(_answers())
    for name, (method, path, call) in calls().items():
        parameters = inspect.signature(call.request).parameters.values()
        shown = ", ".join(_parameter(parameter) for parameter in parameters)
        yield f"| `{name}({shown})` | `{method} {path}` | {answers[id(call)]} |"


def _parameter(parameter: inspect.Parameter) -> str:
    """As it is written; a default that is nothing is left out, because every one of a request is."""
    given = parameter.default
    return (
        f"{parameter.name}={given!r}"
        if given not in (parameter.empty, "", 0, False, ()) and str(given) != "<factory>"
        else parameter.name
    )


def _answers() -> Iterator[tuple[int, str]]:
    """What each call answers, by its id: the last argument in its line."""
    for class_ in ast.parse(inspect.getsource(client)).body:
        for line in class_.body if isinstance(class_, ast.ClassDef) else ():
            if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call):
                [target], reader = line.targets, line.value.args[2]
                call = vars(getattr(client, class_.name))[ast.unparse(target)]
                if isinstance(reader, ast.Call):
                    yield id(call), FORMS[ast.unparse(reader.func)].format(ast.unparse(reader.args[0]))
                else:
                    yield id(call), ANSWERS[ast.unparse(reader)]


def updated(text: str) -> str:
    """The page with the table as the code has it now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + rest[rest.index(END) :]


def test_the_table_is_up_to_date() -> None:
    text = PAGE.read_text()
    assert text == updated(text), "run: python tests/api_client/test_api_client_docs.py"


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
async def test_the_example(loop: str) -> None:
    text = PAGE.read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    [output] = re.findall(r"^```\n\n((?:    .*\n)+)", text, re.MULTILINE)
    if loop == "trio":
        code = code.replace("import asyncio", "import trio").replace("asyncio.run(main())", "trio.run(main)")
    with trio.fail_after(20):
        async with open_test_server() as server:
            code = code.replace("http://127.0.0.1:5001", server.endpoints.http)
            run = partial(trio.run_process, capture_stdout=True)
            result = await run([sys.executable, "-W", "error", "-c", code], stderr=subprocess.STDOUT)
    assert result.stdout.decode() == output.replace("    ", "", 2).replace("\n    ", "\n")


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))

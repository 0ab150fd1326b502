"""The reference in docs/embedding.md is made from the code: `python tests/test_embedding_reference.py` does it."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from wukong_trio import (
    ConnectInfo,
    Limits,
    Message,
    MessageAccepted,
    MessageEvent,
    SendCommand,
    SendResult,
    ServerStatistics,
    SessionClosed,
    SessionOpened,
)

DOCS = Path(__file__).parent.parent / "docs" / "embedding.md"
BEGIN, END = "<!-- reference -->\n", "<!-- end of the reference -->\n"
TYPES = (
    ConnectInfo,
    SendCommand,
    SendResult,
    SessionOpened,
    SessionClosed,
    MessageAccepted,
    Message,
    MessageEvent,
    Limits,
    ServerStatistics,
)


def reference() -> str:
    """A table of the fields of each type."""
    return "\n".join(line for type_ in TYPES for line in _table(type_)) + "\n"


def _table(type_: type) -> Iterator[str]:
    [class_] = ast.parse(inspect.getsource(type_)).body
    assert isinstance(class_, ast.ClassDef)
    summary = (ast.get_docstring(class_) or "").partition("\n\n")[0]
    yield from (f"### {type_.__name__}", "", _line(summary), "", "| Field | Type | Default | |", "|---|---|---|---|")
    for field, after in zip(class_.body, [*class_.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign):
            name, kind = ast.unparse(field.target), ast.unparse(field.annotation).replace("|", "or")
            default = f"`{ast.unparse(field.value)}`" if field.value else ""
            yield f"| `{name}` | `{kind}` | {default} | {_docs(after)} |"
    yield ""


def _docs(after: ast.stmt | None) -> str:
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
        return _line(str(after.value.value))
    return ""


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def updated(text: str) -> str:
    """The documentation with the reference as the code has it now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + reference() + rest[rest.index(END) :]


def test_the_reference_is_up_to_date() -> None:
    text = DOCS.read_text()
    assert text == updated(text), "run: python tests/test_embedding_reference.py"


if __name__ == "__main__":
    DOCS.write_text(updated(DOCS.read_text()))

"""The references in docs/embedding.md are made from the code: `python tests/test_embedding_reference.py` does it."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from wukong_trio import (
    ChannelFlags,
    ClientState,
    ConnectInfo,
    ConversationChanges,
    ConversationView,
    EventResult,
    FoundMessage,
    Limits,
    Message,
    MessageAccepted,
    MessageEvent,
    Page,
    SearchQuery,
    SearchResult,
    SendCommand,
    SendResult,
    ServerStatistics,
    SessionClosed,
    SessionOpened,
    Snapshot,
    StoredEvent,
    SyncedEvents,
    Traffic,
)
from wukong_trio.delivery.connections import Connections
from wukong_trio.services.channel_calls import Channels, UidList
from wukong_trio.services.channel_history import ChannelHistory
from wukong_trio.services.conversation_calls import UserConversations
from wukong_trio.services.message_events import Events
from wukong_trio.services.sending import Commands
from wukong_trio.services.users import Users

DOCS = Path(__file__).parent.parent / "docs" / "embedding.md"
BEGIN, END = "<!-- reference -->\n", "<!-- end of the reference -->\n"
GROUPS_BEGIN, GROUPS_END = "<!-- groups -->\n", "<!-- end of the groups -->\n"
GROUPS = {
    "users": Users,
    "channels": Channels,
    "channels.denied and channels.allowed": UidList,
    "history": ChannelHistory,
    "conversations": UserConversations,
    "events": Events,
    "commands": Commands,
    "connections": Connections,
}
"""The groups of `Server`, by their names there."""
TYPES = (
    ConnectInfo,
    SendCommand,
    SendResult,
    SessionOpened,
    SessionClosed,
    MessageAccepted,
    Message,
    MessageEvent,
    Page,
    ClientState,
    ConversationView,
    ConversationChanges,
    EventResult,
    SyncedEvents,
    StoredEvent,
    SearchQuery,
    SearchResult,
    FoundMessage,
    ChannelFlags,
    Snapshot,
    Traffic,
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


def groups() -> str:
    """A table of the methods of each group."""
    return "\n".join(line for name, class_ in GROUPS.items() for line in _methods(name, class_)) + "\n"


def _methods(name: str, type_: type) -> Iterator[str]:
    [class_] = ast.parse(inspect.getsource(type_)).body
    assert isinstance(class_, ast.ClassDef)
    title = " and ".join(f"`server.{part}`" for part in name.split(" and "))
    yield from (f"### {title}", "", *(_line(part) + "\n" for part in (ast.get_docstring(class_) or "").split("\n\n")))
    yield from ("| | | raises |", "|---|---|---|")
    for method in class_.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_"):
            text, _, raises = (ast.get_docstring(method) or "").partition("Raises:\n")
            errors = ", ".join(f"`{error}`" for error in re.findall(r"^    (\w+):", raises, re.MULTILINE))
            after = raises.partition("\n\n")[2]
            yield f"| {_signature(method)} | {_line(_with_arguments(text) + ' ' + after)} | {errors} |"
    yield ""


def _signature(method: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """As it is called; parameters without their types, which are those of their names everywhere."""
    arguments = method.args
    del arguments.args[0]
    for argument in (*arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    returns = f" -> {ast.unparse(method.returns)}" if method.returns and ast.unparse(method.returns) != "None" else ""
    called = method.name
    if not any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in method.decorator_list):
        called += f"({ast.unparse(arguments)})"
    return f"`{'await ' * isinstance(method, ast.AsyncFunctionDef)}{called}{returns}`".replace("|", "or")


def _with_arguments(text: str) -> str:
    """A docstring whose arguments are in sentences."""
    before, _, arguments = text.partition("Args:\n")
    return before + re.sub(r"^ +(\w+): ", r"`\1`: ", arguments, flags=re.MULTILINE)


def _docs(after: ast.stmt | None) -> str:
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
        return _line(str(after.value.value))
    return ""


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def updated(text: str) -> str:
    """The documentation with the reference as the code has it now."""
    for begin, made, end in ((GROUPS_BEGIN, groups(), GROUPS_END), (BEGIN, reference(), END)):
        before, _, rest = text.partition(begin)
        text = before + begin + "\n" + made + rest[rest.index(end) :]
    return text


def test_the_reference_is_up_to_date() -> None:
    text = DOCS.read_text()
    assert text == updated(text), "run: python tests/test_embedding_reference.py"


if __name__ == "__main__":
    DOCS.write_text(updated(DOCS.read_text()))

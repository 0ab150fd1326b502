"""Progress bars while a run proceeds, and a table at its end."""

from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from . import words
from .outcome import Collection, Outcome

STYLES = {"good": "green", "warn": "yellow", "bad": "red"}


class Bars:
    """Progress bars; a `Watcher`. Use as a context manager. Shows nothing if the console is no terminal."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._seconds = seconds
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description:<9}"),
            BarColumn(30),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._opening = self._progress.add_task("open", total=None, state="", start=False, visible=False)
        self._measuring = self._progress.add_task("measure", total=seconds, state="", start=False, visible=False)
        self._settling = self._progress.add_task("settle", total=1, state="", start=False, visible=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._progress.update(self._settling, completed=1)
        if not self._progress.disable:
            # Some versions of rich end with an empty line even what was never shown.
            self._progress.stop()

    def opening(self, opened: int, wanted: int) -> None:
        """Part of `Watcher`."""
        self._begin(self._opening)
        self._progress.update(
            self._opening, total=wanted, completed=opened, state=f"{opened:,} of {wanted:,} connections"
        )

    def measuring(self, collection: Collection, seconds: float) -> None:
        """Part of `Watcher`."""
        self._begin(self._measuring)
        self._progress.update(self._measuring, completed=min(seconds, self._seconds), state=_state(collection))

    def settling(self) -> None:
        """Part of `Watcher`."""
        self._progress.update(self._measuring, completed=self._seconds)
        self._begin(self._settling)
        self._progress.update(self._settling, state="waiting for stragglers")

    def _begin(self, task: int) -> None:
        if not self._progress.tasks[task].started:
            self._progress.start_task(task)  # type: ignore[arg-type]
            self._progress.update(task, visible=True)  # type: ignore[arg-type]


def _state(collection: Collection) -> str:
    last = [ticks[-1] for ticks in collection.ticks if ticks]
    answered = sum(tick.answered / tick.length_s for tick in last)
    delivered = sum(tick.delivered / tick.length_s for tick in last)
    p99_us = max((tick.answer_us.percentile(99) for tick in last), default=0)
    parts = [f"{answered:>8,.0f}/s"] if answered else []
    parts += [f"{delivered:>9,.0f} delivered/s"] if delivered else []
    parts += [f"p99 {words.milliseconds(p99_us)} ms"] if p99_us else []
    return " · ".join(parts)


def show(outcome: Outcome, console: Console) -> None:
    """Prints a run's table."""
    style = STYLES[words.mood(outcome)]
    console.print()
    console.print(Text.assemble((words.verdict(outcome), f"bold {style}"), "  ", (words.title(outcome), "bold")))
    console.print(_rates(outcome) if outcome.sent else "")
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    rows.add_row("checked", Text("\n".join(words.findings(outcome)), style="" if outcome.passed else style))
    if outcome.opened and outcome.scenario != "http":
        rows.add_row("opened", f"{outcome.opened:,} connections, {outcome.opened_per_s:,.0f}/s")
    rows.add_row("server", Text(words.identity_line(outcome)))
    if server := words.server_line(outcome):
        rows.add_row("", server)
    rows.add_row("load", words.load_line(outcome))
    if leftovers := words.leftovers(outcome):
        rows.add_row("left", leftovers)
    for remark in words.remarks(outcome):
        rows.add_row("note", Text(remark, style="yellow"))
    console.print(rows)


def _rates(outcome: Outcome) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("", no_wrap=True)
    for name in words.COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in words.rows(outcome):
        table.add_row(*row)
    return table

"""Measures the server beside its peers, in turn, and writes the ratios.

python benchmarks/run.py [--runs 3] [--seconds 3] [--only NAME ...] [--markdown FILE]
"""

import argparse
from functools import partial
from pathlib import Path
from statistics import median

import trio
from measures import MEASURES, Measure, Result, load_remark, meets, reading
from rich.console import Console
from rich.table import Table
from servers import PINNED

HEADINGS = ("measure", "ours", "peer", "ratio", "target", "met")
SMALL = 0.1
"""Lower ratios get more digits."""


def spread(values: list[float], digits: int) -> str:
    """The median, and the lowest and highest value in brackets."""
    numbers = [f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))]
    return numbers[0] if len(values) == 1 else f"{numbers[0]} ({numbers[1]}-{numbers[2]})"


def row(measure: Measure, results: list[Result]) -> list[str]:
    """A row of the table."""
    digits = 0 if measure.unit in ("/s", "deliveries/s", "bytes") else 1
    mine = f"{spread([result.ours for result in results], digits)} {measure.unit}"
    readings = [reading(result) for result in results]
    peers = [result.peer for result in results if result.peer is not None]
    theirs, ratio = (
        (spread(peers, digits), spread(readings, 2 if median(readings) >= SMALL else 4)) if peers else ("", "")
    )
    verdict = "; ".join(filter(None, (meets(measure, median(readings)), load_remark(results))))
    return [measure.what, mine, theirs, ratio, measure.target, verdict]


def markdown(rows: list[list[str]]) -> str:
    """The table for a README."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


async def main(names: list[str], runs: int, seconds: float, file: Path | None) -> None:
    """Measures, and prints the table."""
    console = Console()
    if not PINNED:
        console.print("one core only, or no taskset: server and load share it, so look at the ratios alone")
    rows = []
    for measure in MEASURES:
        if names and measure.name not in names:
            continue
        results = []
        for _ in range(runs):
            results.append(await measure.run(seconds))
        rows.append(row(measure, results))
        console.print(f"{measure.name}: {', '.join(text for text in rows[-1][1:] if text)}")
        if file is not None:
            await trio.Path(file).write_text(markdown(rows))
    table = Table(*HEADINGS)
    for cells in rows:
        table.add_row(*cells)
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="rounds of each measure")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--only", nargs="+", default=[], choices=[m.name for m in MEASURES], metavar="NAME")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    options = parser.parse_args()
    trio.run(partial(main, options.only, options.runs, options.seconds, options.markdown))

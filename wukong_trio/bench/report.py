"""`--report`: a page of plots in one file, which needs no network."""

import html
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from . import words
from .outcome import Latency, Moment, Outcome

_PAGE = Path(__file__).with_name("report.html")
_STYLES = (
    ("#3b82f6", "solid", "circle"),
    ("#10b981", "dot", "square-open"),
    ("#ef4444", "dash", "triangle-up-open"),
    ("#f59e0b", "dashdot", "diamond-open"),
    ("#8b5cf6", "longdash", "cross-thin-open"),
    ("#64748b", "longdashdot", "star-open"),
)
"""Colour, dashes and markers: curves of one plot differ in all three, so that one is seen through the other."""
_MARKED_POINTS = 60
"""With more points than this, markers would be a smear."""
_Plot = dict[str, Any]


def write_report(outcome: Outcome, directory: Path) -> Path:
    """Writes `index.html` into the directory and returns its path.

    Raises:
        OSError: it cannot be written.
    """
    from plotly.offline import get_plotlyjs

    path = directory / "index.html"
    plots = [plot for plot in _plots(outcome) if any(line["x"] for line in plot["data"])]
    page = Template(_PAGE.read_text()).substitute(
        scenario=html.escape(outcome.scenario),
        title=html.escape(words.title(outcome)),
        verdict=html.escape(words.verdict(outcome)),
        verdict_class=words.mood(outcome),
        findings=_items(words.findings(outcome), words.mood(outcome)),
        remarks=_items(words.remarks(outcome), "warn"),
        tiles="".join(_tile(*tile) for tile in _tiles(outcome)),
        latencies=_latencies(outcome),
        facts="".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" for name, text in _facts(outcome) if text),
        command=html.escape(outcome.command),
        plots=msgspec.json.encode(plots).decode().replace("</", "<\\/"),
        plotly=get_plotlyjs(),
    )
    path.write_text(page)
    return path


def _items(lines: list[str], kind: str) -> str:
    return "".join(f'<li class="{kind}">{html.escape(line)}</li>' for line in lines)


def _tile(value: str, unit: str, name: str) -> str:
    return f'<div class="tile"><b>{html.escape(value)}<small>{html.escape(unit)}</small></b><span>{name}</span></div>'


def _tiles(outcome: Outcome) -> list[tuple[str, str, str]]:
    server = outcome.server
    tiles = []
    if outcome.sent:
        tiles.append((f"{outcome.answered_per_s:,.0f}", "/s", words.REQUESTS[outcome.scenario]))
        if outcome.delivered:
            tiles.append((f"{outcome.delivered_per_s:,.0f}", "/s", "deliveries"))
        tiles.append((words.milliseconds(outcome.answer.p50_us), "ms", "median latency"))
        tiles.append((words.milliseconds(outcome.answer.p99_us), "ms", "99th percentile"))
    else:
        tiles.append((f"{outcome.opened:,}", "", "connections"))
        tiles.append((f"{outcome.opened_per_s:,.0f}", "/s", "opened"))
    if server is not None:
        tiles.append((f"{server.cpu_share:.0%}", "", "server CPU"))
        if outcome.scenario == "idle":
            tiles.append((f"{server.rss_bytes_per_connection / 1024:,.1f}", "KiB", "memory per connection"))
        else:
            tiles.append((f"{server.rss_after_bytes / 2**20:,.0f}", "MiB", "server memory"))
    tiles.append((f"{max(outcome.load.busy, default=0.0):.0%}", "", "load CPU"))
    return tiles


def _latencies(outcome: Outcome) -> str:
    rows = words.rows(outcome)
    if not rows:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("", *words.COLUMNS))
    body = "".join(f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" for name, *cells in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    where = outcome.environment
    return [
        ("Server", words.identity_line(outcome)),
        ("Cost", words.server_line(outcome)),
        ("Load generator", words.load_line(outcome)),
        ("Machine", f"{where.cpus} CPUs, {where.kernel}, {where.python}"),
        ("Left behind", words.leftovers(outcome)),
        ("Date", where.date),
    ]


def _plots(outcome: Outcome) -> list[_Plot]:
    return [_throughput(outcome), *_latency_plots(outcome), _distribution(outcome), _cpu(outcome), _memory(outcome)]


def _line(name: str, x: list[float], y: list[float], style: int, **more: Any) -> _Plot:
    colour, dash, symbol = _STYLES[style % len(_STYLES)]
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(x) <= _MARKED_POINTS else "lines",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 2, "dash": dash, **more},
        "marker": {"symbol": symbol, "size": 6},
    }


def _plot(title: str, unit: str, data: list[_Plot], **layout: Any) -> _Plot:
    shown = {"title": {"text": title}, "yaxis": {"title": {"text": unit}, "rangemode": "tozero"}, **layout}
    return {"data": data, "layout": {"xaxis": {"title": {"text": "seconds"}}, **shown}}


def _throughput(outcome: Outcome) -> _Plot:
    x = [moment.at_s for moment in outcome.moments]
    name = words.REQUESTS[outcome.scenario]
    lines = [_line(name, x if outcome.sent else [], [m.answered_per_s for m in outcome.moments], 0)]
    if outcome.delivered:
        lines.append(_line("deliveries", x, [m.delivered_per_s for m in outcome.moments], 1))
    if outcome.plan.rate_per_s is not None:
        lines.append(_line("sent", x, [m.sent_per_s for m in outcome.moments], 2))
    return _plot("Throughput", "per second", lines)


def _latency_plots(outcome: Outcome) -> list[_Plot]:
    name = words.REQUESTS[outcome.scenario]
    plots = [_percentile_plot(f"Latency of {name}", outcome.moments, [moment.answer for moment in outcome.moments])]
    if outcome.delivered:
        deliveries = [moment.delivery for moment in outcome.moments]
        plots.append(_percentile_plot("Latency of deliveries", outcome.moments, deliveries))
    return plots


def _percentile_plot(title: str, moments: list[Moment], latencies: list[Latency]) -> _Plot:
    pairs = [(moment.at_s, latency) for moment, latency in zip(moments, latencies, strict=True) if latency.count]
    x = [at_s for at_s, _ in pairs]
    figures = {
        "p50": [latency.p50_us for _, latency in pairs],
        "p90": [latency.p90_us for _, latency in pairs],
        "p99": [latency.p99_us for _, latency in pairs],
        "p99.9": [latency.p999_us for _, latency in pairs],
        "max": [latency.max_us for _, latency in pairs],
    }
    lines = [
        _line(name, x, [value_us / 1000 for value_us in values], style)
        for style, (name, values) in enumerate(figures.items())
    ]
    return _plot(title, "milliseconds", lines)


def _distribution(outcome: Outcome) -> _Plot:
    """The x axis stretches the tail: each step to the right is a tenth of those before."""
    curves = [(words.REQUESTS[outcome.scenario], outcome.answer_curve, 0)]
    if outcome.delivered:
        curves.append(("deliveries", outcome.delivery_curve, 1))
    lines = []
    for name, curve, style in curves:
        points = [(100 / (100 - percent), value_us / 1000) for percent, value_us in curve if percent < 100]
        lines.append(_line(name, [x for x, _ in points], [y for _, y in points], style, shape="hv"))
    ticks = {1: "0", 10: "90", 100: "99", 1000: "99.9", 10_000: "99.99", 100_000: "99.999"}
    axis: _Plot = {"type": "log", "title": {"text": "% of requests that were faster"}}
    axis |= {"tickvals": [*ticks], "ticktext": [*ticks.values()]}
    return _plot("Distribution of latency", "milliseconds", lines, xaxis=axis)


def _cpu(outcome: Outcome) -> _Plot:
    lines = []
    if outcome.server is not None:
        samples = outcome.server.samples
        x, y = [sample.at_s for sample in samples], [100 * sample.cpu_share for sample in samples]
        lines.append(_line("server", x, y, 0))
    x = [moment.at_s for moment in outcome.moments]
    for process in range(len(outcome.load.busy)):
        y = [100 * (moment.busy[process] if process < len(moment.busy) else 0.0) for moment in outcome.moments]
        lines.append(_line(f"load {process + 1}", x, y, process + 1))
    # Without --pid a single line would leave open whose time it is.
    return _plot("CPU", "% of a core", lines, showlegend=True)


def _memory(outcome: Outcome) -> _Plot:
    samples = outcome.server.samples if outcome.server is not None else []
    x, y = [sample.at_s for sample in samples], [sample.rss_bytes / 2**20 for sample in samples]
    return _plot("Memory of the server", "MiB", [_line("resident", x, y, 0)])

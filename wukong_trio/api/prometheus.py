"""Figures in the text format of Prometheus. Its library is imported here alone, and late: see `metrics`."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..counting import Figure, Histogram, Kind


class Exposition(Collector):
    """One server's registry. What it shows is handed in for each scrape; only the process is asked directly."""

    def __init__(self) -> None:
        self._figures: Sequence[Figure] = ()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self, figures: Sequence[Figure]) -> bytes:
        """The text. Reads files of the kernel: call it in a thread, one call at a time."""
        self._figures = figures
        try:
            return generate_latest(self._registry)
        finally:
            self._figures = ()

    def collect(self) -> Iterable[Metric]:
        """Called by the library."""
        return map(_family, self._figures)


def _family(figure: Figure) -> Metric:
    name, kind, meaning, labels, values = figure
    if kind is Kind.HISTOGRAM:
        histograms = HistogramMetricFamily(name, meaning, labels=labels)
        for said, value in values:
            assert isinstance(value, Histogram)
            histograms.add_metric(said, _buckets(value), value.total)
        return histograms
    family = (CounterMetricFamily if kind is Kind.COUNTER else GaugeMetricFamily)(name, meaning, labels=labels)
    for said, value in values:
        assert not isinstance(value, Histogram)
        family.add_metric(said, value)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Upper ends, each with how many values are below or equal."""
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        below += count
        buckets.append((bound, below))
    return buckets

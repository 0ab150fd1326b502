"""Histograms: three significant digits over any range, mergeable, sendable."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.bench.histogram import Histogram, bucket_of, top_of

VALUES = st.integers(0, 10**10)


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(VALUES)
def test_a_bucket_holds_its_values_within_a_thousandth(value: int) -> None:
    top = top_of(bucket_of(value))
    assert value <= top <= value + value / 1000


@given(VALUES)
def test_buckets_rise_without_a_gap(value: int) -> None:
    assert bucket_of(top_of(bucket_of(value)) + 1) == bucket_of(value) + 1


@given(st.lists(VALUES, min_size=1, max_size=50), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_a_percentile_is_that_of_the_sorted_values(values: list[int], percent: float) -> None:
    exact = next(value for index, value in enumerate(sorted(values), 1) if index >= len(values) * percent / 100)
    assert exact <= of(values).percentile(percent) <= exact + exact / 1000


@given(st.lists(VALUES, max_size=20), st.lists(VALUES, max_size=20))
def test_merging_equals_recording_everything_in_one(some: list[int], others: list[int]) -> None:
    merged = of(some)
    merged.merge(of(others))
    assert merged == of(some + others)
    assert merged.total == len(some) + len(others)


def test_it_survives_being_sent() -> None:
    histogram = of([1, 5000, 10**9])
    assert msgspec.json.decode(msgspec.json.encode(histogram), type=Histogram) == histogram


def test_without_values_everything_is_zero() -> None:
    assert Histogram().percentile(99) == 0
    assert list(Histogram().curve()) == []


def test_values_below_zero_count_as_zero() -> None:
    assert of([-5]).percentile(100) == 0


def test_the_curve_rises_to_the_highest_value_and_stays_short() -> None:
    curve = list(of(list(range(100_000))).curve())
    assert curve == sorted(curve)
    assert curve[-1] == (100, 99_999)
    assert len(curve) < 200
    assert min(abs(percent - 99) for percent, _ in curve) == pytest.approx(0, abs=0.3)

"""Comparing an answer with a recorded one: the same keys and types, literal values equal, placeholders by their form.

A placeholder is a text in angle brackets that names the JSON type first: `<int unix seconds>`, `<str id:19 digits #5>`.
The same `#number` stands for the same message id wherever it occurs.
"""

import re
import time
from typing import Any

_ID = re.compile(r"<(?:int |str )?id:\d+ digits #(\d+)>")
_PLACEHOLDER = re.compile(r"<[^<>]+>")
_FORMS = {
    "<hex32>": r"[0-9a-f]{32}",
    "<rfc3339>": r"\d{4}-\d\d-\d\dT.*",
    "<tcp port>": r"\d+",
    "<ws port>": r"\d+",
    "<http port>": r"\d+",
    "<str duration>": r".+",
}
_SCALES = {"seconds": 1, "milliseconds": 1000, "seconds x 10^9": 10**9, "nanoseconds": 10**9}


class Matcher:
    """Remembers message ids over a whole replay."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}

    def fill_in(self, value: Any) -> Any:
        """A request with the ids that were learned from answers."""
        if isinstance(value, dict):
            return {name: self.fill_in(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.fill_in(member) for member in value]
        if isinstance(value, str) and (whole := _ID.fullmatch(value)):
            # An id nobody has seen: the message was refused, or the request is about something unknown.
            known = self._ids.get(whole[1], 1)
            return known if value.startswith("<int") else str(known)
        return int(time.time() * 1000) if value == "<int unix milliseconds>" else value

    def differences(self, expected: Any, actual: Any, place: str = "") -> list[str]:
        """What is wrong with `actual`; it may have more members than `expected`."""
        if isinstance(expected, dict):
            return self._object_differences(expected, actual, place)
        if isinstance(expected, list):
            if not isinstance(actual, list) or len(actual) != len(expected):
                return [f"{place}: {actual!r} instead of {len(expected)} entries"]
            pairs = enumerate(zip(expected, actual, strict=True))
            return [line for n, (e, a) in pairs for line in self.differences(e, a, f"{place}[{n}]")]
        if isinstance(expected, str) and _PLACEHOLDER.search(expected):
            right = self._fits(expected, actual)
        else:
            right = type(expected) is type(actual) and expected == actual
        return [] if right else [f"{place}: {actual!r} instead of {expected!r}"]

    def _object_differences(self, expected: dict[str, Any], actual: Any, place: str) -> list[str]:
        if not isinstance(actual, dict):
            return [f"{place}: {actual!r} instead of an object"]
        lines = []
        for name, value in expected.items():
            if name in actual:
                lines += self.differences(value, actual[name], f"{place}.{name}")
            else:
                lines.append(f"{place}.{name}: missing")
        return lines

    def _fits(self, expected: str, actual: Any) -> bool:
        if whole := _ID.fullmatch(expected):
            if type(actual) is not (int if expected.startswith("<int") else str) or not str(actual).isdecimal():
                return False
            return self._ids.setdefault(whole[1], int(actual)) == int(actual)
        if expected.startswith("<int") and expected.endswith(">"):
            return type(actual) is int and _near(expected.removeprefix("<int").strip(" >"), actual)
        if expected == "<float>":
            return type(actual) is float
        if not isinstance(actual, str):
            return False
        parts = _PLACEHOLDER.split(expected)
        forms = [_FORMS.get(found, r".+") for found in _PLACEHOLDER.findall(expected)]
        pattern = re.escape(parts[0]) + "".join(f + re.escape(p) for f, p in zip(forms, parts[1:], strict=True))
        return re.fullmatch(pattern, actual) is not None


def _near(kind: str, value: int) -> bool:
    """Times have to be about now; other numbers only have to be numbers."""
    scale = _SCALES.get(kind.removeprefix("unix "), 0) if kind.startswith("unix ") else 0
    return not scale or abs(value / scale - time.time()) < 300

"""What WuKongIM 2.2.5 answered has the form that our description of the API gives."""

import re
from typing import Any

import pytest
from documented import response, validator
from test_http_vectors import BUILT, ENTRIES, OURS, awaited_feature

KNOWN = [
    entry
    for entry in ENTRIES
    if (entry["request"]["method"], entry["request"]["path"]) in BUILT and not awaited_feature(entry)
]
OURS_ALONE = {"message_id", "message_seq", "client_msg_no", "message_idstr", "reason", "data.message_seq"}
OURS_ALONE |= {"pull_mode"}
"""Members that the recorded answers lack."""


def sample(value: Any) -> Any:
    """A recorded body with something in place of its placeholders."""
    if isinstance(value, dict):
        return {name: sample(member) for name, member in value.items()}
    if isinstance(value, list):
        return [sample(member) for member in value]
    return 1 if isinstance(value, str) and re.fullmatch(r"<(int|float)[^<>]*>", value) else value


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry["name"])
def test_recorded_answers_have_the_documented_form(entry: dict[str, Any]) -> None:
    request, recorded = entry["request"], entry["response"]
    status, body = OURS.get(entry["name"], (recorded["status"], recorded.get("body")))
    described = response(request["method"], request["path"], status)
    assert described is not None, f"status {status} is not documented"
    if entry["name"] in OURS or body is None:
        return  # the replay compares what we answer instead
    [schema] = [media["schema"] for media in described["content"].values()]
    errors = list(validator(schema).iter_errors(sample(body)))
    assert [error.message for error in errors if lacks(error) not in OURS_ALONE] == []


def lacks(error: Any) -> str:
    """The member that is missing, with the members that lead to it."""
    found = re.match("'(.+)' is a required property", error.message)
    return ".".join(str(name) for name in (*error.path, found[1])) if found else ""


def test_most_of_them_are_compared() -> None:
    assert len(KNOWN) > 250

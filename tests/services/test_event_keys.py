"""The event keys of one message: what each event makes of them."""

import json
from typing import Any

import pytest
from msgspec import structs

from wukong_trio import ChannelKey
from wukong_trio.errors import EventRefusedError, InvalidArgumentError
from wukong_trio.model import StreamStatus
from wukong_trio.services.message_events import EventCommand
from wukong_trio.services.message_events import keys as keys_module
from wukong_trio.services.message_events.command import MAX_HEADERS_BYTES, CheckedEvent, check_event
from wukong_trio.services.message_events.keys import EventKey, EventKeys
from wukong_trio.store.event_store import MessageName, StoredEvent

NAME = MessageName(ChannelKey("g", 2), "s1")
LIMIT = 1000


def command(kind: str = "stream.delta", event_id: str = "e", **fields: Any) -> EventCommand:
    payload = fields.pop("payload", None)
    return EventCommand(
        **{
            "channel_id": "g",
            "channel_type": 2,
            "client_msg_no": "s1",
            "event_id": event_id,
            "event_type": kind,
            "payload": b"" if payload is None else json.dumps(payload).encode(),
            **fields,
        }
    )


def checked(*arguments: Any, **fields: Any) -> CheckedEvent:
    return check_event(command(*arguments, **fields), payload_limit_bytes=LIMIT)


def text(delta: str) -> dict[str, str]:
    return {"kind": "text", "delta": delta}


class Scene:
    """The keys, and what is stored of them."""

    def __init__(self) -> None:
        self.keys = EventKeys()
        self.stored: dict[str, StoredEvent] = {}

    def add(self, *arguments: Any, **fields: Any) -> EventKey | None:
        """Appends an event; None if it changes nothing."""
        event = checked(*arguments, **fields)
        if self.keys.repeated(event) is not None:
            return None
        self.keys.check_room(event, LIMIT)
        if event.kind == "stream.delta":
            return self.keys.add_delta(event)
        stored = self.keys.next_stored(event, NAME, from_uid="bot", message_id=5, occurred_at=7)
        self.stored[stored.event_key] = stored
        return self.keys.keep(stored)

    def restart(self) -> None:
        self.keys = EventKeys(self.stored.values())

    def gathered(self, name: str = "main") -> Any:
        found = self.keys.by_name[name].gathered.json
        return json.loads(found) if found else None

    @property
    def states(self) -> dict[str, tuple[str, int]]:
        return {name: (str(key.status), key.msg_event_seq) for name, key in self.keys.by_name.items()}


def test_deltas_make_a_text() -> None:
    scene = Scene()
    for n, piece in enumerate(("Hel", "lo ", "群", "", '"\n\x00')):
        key = scene.add("stream.delta", f"e{n}", payload=text(piece))
        assert key is not None
        assert key.status is StreamStatus.OPEN
    assert scene.gathered() == {"kind": "text", "text": 'Hello 群"\n\x00'}
    assert scene.states == {"main": ("open", 0)}
    assert scene.keys.last_seq == 0


@pytest.mark.parametrize(
    "payload", [{"step": 1}, [1], 5, "x", True, {"kind": "text"}, {"kind": "other", "delta": "x"}, {"delta": "x"}]
)
def test_what_is_no_text_takes_the_place_of_what_was_there(payload: Any) -> None:
    scene = Scene()
    scene.add("stream.delta", "e1", payload=text("a"))
    scene.add("stream.delta", "e2", payload=payload)
    assert scene.gathered() == payload
    scene.add("stream.delta", "e3", payload=text("b"))
    assert scene.gathered() == {"kind": "text", "text": "b"}


def test_a_delta_without_a_payload_changes_nothing_but_opens() -> None:
    scene = Scene()
    scene.add("stream.delta", "e1")
    assert scene.gathered() is None
    scene.add("stream.delta", "e2", payload=text("a"))
    scene.add("stream.delta", "e3")
    assert scene.gathered() == {"kind": "text", "text": "a"}
    null = structs.replace(command(), payload=b"null")
    assert check_event(null, payload_limit_bytes=LIMIT).payload.text == b""
    assert scene.states == {"main": ("open", 0)}


def test_a_snapshot_replaces_and_deltas_go_on_from_it() -> None:
    scene = Scene()
    scene.add("stream.delta", "e1", payload=text("lost"))
    scene.add("stream.snapshot", "e2", payload={"kind": "text", "text": "Dear", "lang": "en"})
    assert scene.gathered() == {"kind": "text", "text": "Dear", "lang": "en"}
    scene.add("stream.delta", "e3", payload=text(" Ann"))
    assert scene.gathered() == {"kind": "text", "text": "Dear Ann"}
    assert json.loads(scene.stored["main"].snapshot)["text"] == "Dear"
    scene.add("stream.close", "e4")
    assert json.loads(scene.stored["main"].snapshot) == {"kind": "text", "text": "Dear Ann"}
    assert scene.states == {"main": ("closed", 2)}


def test_a_snapshot_without_a_payload_stores_what_there_is() -> None:
    scene = Scene()
    scene.add("stream.delta", "e1", payload=text("a"))
    scene.add("stream.snapshot", "e2")
    scene.add("stream.delta", "e3", payload=text("b"))
    scene.restart()
    assert scene.gathered() == {"kind": "text", "text": "a"}


@pytest.mark.parametrize(
    ("kind", "status"), [("stream.close", "closed"), ("stream.error", "error"), ("stream.cancel", "cancelled")]
)
def test_ends(kind: str, status: str) -> None:
    scene = Scene()
    scene.add("stream.delta", "e1", payload=text("a"))
    scene.add(kind, "e2", payload={"end_reason": 3, "error": "boom"})
    scene.add(kind, "e3", event_key="other")
    assert scene.states == {"main": (status, 1), "other": (status, 2)}
    stored = scene.stored["main"]
    assert stored.end_reason == (3 if status == "closed" else 0)
    assert stored.error == ("boom" if status == "error" else "")
    for restarted in (False, True):
        if restarted:
            scene.restart()
        with pytest.raises(EventRefusedError, match="stream closed"):
            scene.add("stream.delta", "e4", payload=text("b"))
        for later in ("stream.close", "stream.snapshot", "stream.cancel", "own.type"):
            assert scene.add(later, "e5", payload={"kind": "text", "text": "late"}) is None
        assert scene.gathered() == {"kind": "text", "text": "a"}
        assert scene.states["main"] == (status, 1)


def test_other_keys_go_on_when_one_has_ended() -> None:
    scene = Scene()
    scene.add("stream.close", "e1")
    assert scene.keys.open_names == []
    scene.add("stream.delta", "e2", event_key="more", payload=text("a"))
    assert scene.keys.open_names == ["more"]


def test_a_finish_ends_the_message() -> None:
    scene = Scene()
    scene.add("stream.delta", "e1", payload=text("a"))
    assert not scene.keys.completed
    scene.add(" Stream.FINISH ", "e2", event_key="main")
    assert scene.keys.completed
    assert scene.states == {"main": ("open", 0), "__finish__": ("closed", 1)}
    for name in ("main", "new"):
        with pytest.raises(EventRefusedError, match="stream closed"):
            scene.add("stream.delta", "e3", event_key=name, payload=text("b"))
    assert scene.add("stream.finish", "e4") is None
    # What is open can still be ended: the text is not lost.
    scene.add("stream.close", "e5")
    assert json.loads(scene.stored["main"].snapshot) == {"kind": "text", "text": "a"}


@pytest.mark.parametrize("kind", ["own.type", "stream.open", "tool.call"])
def test_other_types_open_a_key_and_their_payload_is_not_kept(kind: str) -> None:
    scene = Scene()
    scene.add(kind, "e1", payload={"kind": "text", "text": "x"})
    assert scene.gathered() is None
    assert scene.states == {"main": ("open", 1)}
    scene.add("stream.delta", "e2", payload=text("a"))
    scene.add(kind, "e3", payload={"kind": "text", "text": "x"})
    assert scene.gathered() == {"kind": "text", "text": "a"}
    assert scene.states == {"main": ("open", 2)}


def test_a_repeated_event_changes_nothing() -> None:
    scene = Scene()
    assert scene.add("stream.delta", "e1", payload=text("a"))
    assert scene.add("stream.delta", "e1", payload=text("a")) is None
    assert scene.add("stream.delta", "e2", payload=text("a"))
    assert scene.add("own.type", "e3")
    assert scene.add("own.type", "e3") is None
    assert scene.add("stream.delta", "e3", payload=text("a")) is None
    scene.restart()
    assert scene.add("own.type", "e3") is None
    assert scene.add("own.type", "e3", event_key="other")
    assert scene.states == {"main": ("open", 1), "other": ("open", 2)}
    # The id of a delta is no stored one.
    assert scene.add("stream.delta", "e4", payload=text("a"))
    assert scene.add("stream.close", "e4")


def test_a_last_word_counts_if_no_deltas_are_there() -> None:
    scene = Scene()
    last = {"payload": {"snapshot": {"kind": "text", "text": "all"}}}
    scene.add("stream.delta", "e1", payload=text("a"))
    scene.add("stream.snapshot", "e2", event_key="snap", payload=text("a"))
    for name in ("late", "more"):
        scene.add("stream.delta", "e3", event_key=name, payload=text("b"))
    scene.add("stream.snapshot", "e4", event_key="late", payload={"kind": "text", "text": "a"})
    scene.add("own.type", "e4", event_key="more")
    wanted = (("main", "a"), ("snap", "all"), ("none", "all"), ("late", "all"), ("more", "b"))
    for name, expected in wanted:
        scene.add("stream.close", "e3", event_key=name, **last)
        assert scene.gathered(name)["text"] == expected, name


def test_after_a_restart_the_last_word_counts() -> None:
    scene = Scene()
    scene.add("stream.snapshot", "e1", payload={"kind": "text", "text": "a"})
    scene.add("stream.delta", "e2", payload=text("b"))
    scene.restart()
    scene.add("stream.close", "e3", payload={"snapshot": {"n": 10**30, "f": 1.50}})
    assert scene.stored["main"].snapshot == b'{"n": 1000000000000000000000000000000, "f": 1.5}'


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        *((2, 2), (-2, -2), ("2", 2), ("-2", -2), (2.0, 2), (2.9, 2), (0, 0), (2**63 - 1, 2**63 - 1)),
        *((2**63, 0), (10**40, 0), ("9" * 30, 0), ("x", 0), ("", 0), ("--2", 0), ("²", 0)),
        *((True, 0), (None, 0), ([], 0), ({}, 0), (1e300, 0)),
    ],
)
def test_reasons_are_numbers(given: Any, taken: int) -> None:
    scene = Scene()
    scene.add("stream.close", "e1", payload={"end_reason": given})
    assert scene.stored["main"].end_reason == taken


@pytest.mark.parametrize("error", [5, None, ["x"], {"a": 1}])
def test_errors_are_texts(error: Any) -> None:
    scene = Scene()
    scene.add("stream.error", "e1", payload={"error": error})
    assert scene.stored["main"].error == ""
    scene.add("stream.error", "e1", event_key="other", payload=error)
    assert scene.stored["other"].error == ""


# Limits


def test_a_message_has_room_for_so_much() -> None:
    scene = Scene()
    room = LIMIT
    scene.add("stream.delta", "e1", payload=text("x" * (room // 2)))
    scene.add("stream.delta", "e2", payload=text("x" * (room // 2 - 1)))
    assert scene.keys.held_bytes == LIMIT - 1
    with pytest.raises(EventRefusedError, match="larger than 1000 bytes"):
        scene.add("stream.delta", "e3", payload=text("xx"))
    scene.add("stream.delta", "e3", payload=text("x"))
    assert scene.keys.held_bytes == LIMIT
    for name, payload in (("main", text("x")), ("other", text("x")), ("other", 5)):
        for kind in ("stream.delta", "stream.snapshot"):
            if (kind, name) != ("stream.snapshot", "main"):
                with pytest.raises(EventRefusedError, match="larger"):
                    scene.add(kind, "e4", event_key=name, payload=payload)
    assert len(scene.gathered()["text"]) == room
    scene.add("stream.snapshot", "e5", payload="x" * (room - 2))
    assert scene.keys.held_bytes == LIMIT
    # An end always finds room.
    scene.add("stream.close", "e6", payload={"end_reason": 1})
    assert scene.states["main"][0] == "closed"


def test_a_last_word_needs_room() -> None:
    scene = Scene()
    for n in range(2):
        scene.add("stream.close", "e1", event_key=f"k{n}", payload={"snapshot": "x" * 400})
    with pytest.raises(EventRefusedError, match="larger"):
        scene.add("stream.close", "e1", event_key="k2", payload={"snapshot": "x" * 400})
    assert len(scene.stored) == 2


def test_a_message_has_so_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MAX_KEYS", 3)
    scene = Scene()
    for n in range(3):
        scene.add("own.type", "e1", event_key=f"k{n}")
    for kind in ("own.type", "stream.delta", "stream.close"):
        with pytest.raises(EventRefusedError, match="has 3 event keys already"):
            scene.add(kind, "e2", event_key="k3")
    scene.add("stream.close", "e2", event_key="k2")
    scene.add("stream.finish", "e3")
    assert len(scene.states) == 4


# What a command may look like


@pytest.mark.parametrize("name", ["channel_id", "client_msg_no", "event_id", "event_type"])
@pytest.mark.parametrize("blank", ["", " "])
def test_what_must_be_there(name: str, blank: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{name} is empty$"):
        check_event(command(**{name: blank}), payload_limit_bytes=LIMIT)


@pytest.mark.parametrize("name", ["client_msg_no", "event_id", "event_type", "event_key"])
def test_ids_have_a_limit(name: str) -> None:
    for value, refused in (("x" * 512, False), ("x" * 513, True), ("群" * 170, False), ("群" * 171, True)):
        fields = {"event_type": "x", "event_id": "e", name: value}
        given = EventCommand(**{"channel_id": "g", "channel_type": 2, "client_msg_no": "s1", **fields})  # type: ignore[arg-type]
        if refused:
            with pytest.raises(InvalidArgumentError, match=f"{name} is longer than 512 bytes"):
                check_event(given, payload_limit_bytes=LIMIT)
        else:
            check_event(given, payload_limit_bytes=LIMIT)


def test_payloads_have_a_limit() -> None:
    checked("x", payload="x" * (LIMIT - 2))
    with pytest.raises(InvalidArgumentError, match="payload is larger than 1000 bytes"):
        checked("x", payload="x" * (LIMIT - 1))


def test_headers_have_a_limit() -> None:
    room = MAX_HEADERS_BYTES - len('{"a":""}')
    assert len(checked("x", headers={"a": "x" * room}).headers) == MAX_HEADERS_BYTES
    with pytest.raises(InvalidArgumentError, match="headers are larger than 4096 bytes"):
        checked("x", headers={"a": "x" * (room + 1)})


@pytest.mark.parametrize("raw", [b"{", b"x", b"{} {}", b'"\xff"', b'"\\ud800"', b"[" * 5000 + b"]" * 5000])
def test_payloads_are_json(raw: bytes) -> None:
    given = EventCommand(channel_id="g", channel_type=2, client_msg_no="s1", event_id="e", event_type="x", payload=raw)
    with pytest.raises(InvalidArgumentError, match="payload is not JSON"):
        check_event(given, payload_limit_bytes=100_000)


def test_payloads_are_not_too_deep() -> None:
    checked("x", payload=nested(64))
    for deeper in (nested(65), {"a": nested(64)}, [1, {}, nested(64)]):
        with pytest.raises(InvalidArgumentError, match="payload is nested deeper than 64"):
            checked("x", payload=deeper)
    checked("x", payload=[[{}] * 50] * 2)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_visibilities() -> None:
    for name in ("", "public", "private", "restricted"):
        checked("x", visibility=name)
    with pytest.raises(InvalidArgumentError, match="visibility is one of public, private, restricted, or empty"):
        checked("x", visibility="secret")


def test_the_key_of_a_finish_is_its_own() -> None:
    assert checked("stream.finish", event_key="x").event_key == "__finish__"
    assert checked("x", event_key=" ").event_key == "main"
    with pytest.raises(InvalidArgumentError, match="__finish__ is for"):
        checked("x", event_key="__finish__")

"""What a word is: everything that is written is found, and nothing in a query is more than text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wukong_trio.search.text import MARKED_LENGTH, WORD_LENGTH, Words, terms_of

HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)
KANA = st.sampled_from([chr(code) for code in (*range(0x3041, 0x3097), *range(0x30A1, 0x30FB), 0x30FC)])
HANGUL = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
DENSE = st.one_of(HAN, KANA, HANGUL)
LETTERS = st.characters(categories=("Lu", "Ll", "Nd"), max_codepoint=0x5FF)
TEXTS = st.one_of(st.text(), st.text(st.one_of(DENSE, LETTERS, st.sampled_from(" ,.!，。\n-_*\"'()"))))


def finds(query: str, text: str) -> bool:
    """Whether the terms of a text answer a query."""
    terms = terms_of(text)
    return all(
        any(term.startswith(wanted.text) if wanted.open else term == wanted.text for term in terms)
        for wanted in Words(query).terms()
    )


@given(TEXTS, st.text(DENSE, min_size=1, max_size=12), TEXTS, st.data())
def test_each_piece_of_a_sentence_without_blanks_is_found(
    before: str, run: str, after: str, data: st.DataObject
) -> None:
    text = f"{before} {run} {after}"
    start = data.draw(st.integers(0, len(run) - 1))
    for size in (1, 2, len(run)):
        piece = run[start : start + size]
        assert finds(piece, text)
        assert Words(piece).are_in(text)


@given(st.lists(st.text(LETTERS, min_size=1, max_size=60), min_size=1), st.data())
def test_each_word_and_each_beginning_of_a_word_is_found(words: list[str], data: st.DataObject) -> None:
    text = " ".join(words)
    wanted = data.draw(st.sampled_from(words))
    for query in (wanted, wanted[:2], wanted.upper(), wanted.lower(), text):
        assert finds(query, text)
        assert Words(query).are_in(text)


@given(TEXTS, TEXTS)
def test_what_has_the_words_has_the_terms(query: str, text: str) -> None:
    words = Words(query)
    if words.are_in(text):
        assert finds(query, text)
    elif words.exact:
        assert not finds(query, text)


@given(TEXTS)
def test_terms_are_plain(text: str) -> None:
    """FTS5 takes each for one word, without operators; a blank, a quote or a `#` would be something else."""
    for term in (*terms_of(text), *(wanted.text for wanted in Words(text).terms())):
        assert term
        assert all(not character.isascii() or character.isalnum() for character in term)
        assert term.lower() == term or not term.isascii()
        assert len(term) <= WORD_LENGTH


@given(TEXTS, TEXTS)
def test_marks_only_add(query: str, text: str) -> None:
    text = text.replace("<", "")
    marked = Words(query).mark(text)
    assert marked.replace("<mark>", "").replace("</mark>", "") == text
    assert marked.count("<mark>") == marked.count("</mark>")
    assert "<mark></mark>" not in marked


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("hello", "Hello, world"),
        ("WORLD hello", "Hello, world"),
        ("hel", "Hello, world"),
        ("creme brulee", "Crème Brûlée"),
        ("Crème", "creme"),
        ("cafe\u0301", "café"),
        ("strasse", "Straße"),
        ("ежик", "ЁЖИК"),
        ("full", "ＦＵＬＬ width"),
        ("Istanbul", "İSTANBUL"),
        ("会议", "今天下午三点在公司会议室开会"),
        ("会", "今天开会"),
        ("公司会议室", "今天下午三点在公司会议室开会"),
        ("日本語", "これは日本語の文章です"),
        ("ガギ", "ｶﾞｷﾞ"),
        ("スーパー", "近くのスーパーマーケット"),
        ("회의", "오늘 회의가 있습니다"),
        ("love 北京", "我love你，北京"),
        ("3 章", "第3章"),
        ("हिन्दी", "यह हिन्दी है"),
        ("سلام", "سَلَامٌ عليكم"),
        ("😀", "so 😀!"),
        ("", "anything"),
    ],
)
def test_it_is_found(query: str, text: str) -> None:
    assert finds(query, text)
    assert Words(query).are_in(text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("ello", "hello"),
        ("hello there", "hello world"),
        ("京北", "北京"),
        ("hello -world", "hello"),
        ("hello OR world", "hello world"),
        ("hello NOT moon", "hello"),
        ('"hello world"', "hello"),
        ("NEAR(hello world)", "hello world"),
        ("content:hello", "hello"),
        ("a AND b", "a b"),
        ("語", "漢字"),
    ],
)
def test_it_is_not_found(query: str, text: str) -> None:
    assert not finds(query, text)
    assert not Words(query).are_in(text)


def test_pairs_that_do_not_stand_together_are_no_word() -> None:
    query, apart = Words("人工智能"), "人工 工智 智能"
    assert finds("人工智能", apart)
    assert not query.exact
    assert not query.are_in(apart)


def test_only_the_beginning_of_a_long_word_counts() -> None:
    text = "a" * WORD_LENGTH + "bc"
    assert finds(text, text)
    assert finds("a" * WORD_LENGTH + "xy", text)
    assert not finds("a" * (WORD_LENGTH - 1) + "xy", text)


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("hel wor", "Hello, world! <b>", "<mark>Hello</mark>, <mark>world</mark>! <b>"),
        ("会议", "今天会议室", "今天<mark>会议</mark>室"),
        ("可", "可可", "<mark>可可</mark>"),
        ("brulee", "Crème Brûlée", "Crème <mark>Brûlée</mark>"),
        ("fi", "ﬁne", "<mark>ﬁne</mark>"),
        ("人工智能", "人工 工智 智能", "人工 工智 智能"),
        ("hello", "say", "say"),
        ("x", "x" * (MARKED_LENGTH + 1), "x" * (MARKED_LENGTH + 1)),
        ("x", "x" * MARKED_LENGTH, "<mark>" + "x" * MARKED_LENGTH + "</mark>"),
    ],
)
def test_marks(query: str, text: str, marked: str) -> None:
    assert Words(query).mark(text) == marked

"""What a word is, for texts in all languages alike.

Texts are folded first: compatible forms of a character, its cases and its accents are one. Then there are two kinds of
runs of characters:

* Han, Kana, Hangul and pictures, where no blanks divide the words. Each pair of neighbours is a term, and the last
  character is one. So a query of one character finds the terms that begin with it, and of two or more those pairs.
* Letters and digits of everything else. Each run is a word, and a query finds the words that begin with it.

Whatever is neither, punctuation for example, divides runs and cannot be found. So nothing in a query is an operator.
"""

import re
from collections.abc import Iterator, Sequence
from operator import add
from typing import Final, NamedTuple
from unicodedata import normalize

WORD_LENGTH: Final = 40
"""Characters of a word that count."""
MARKED_LENGTH: Final = 4096
"""In longer texts nothing is marked."""
OPEN_MARK: Final = "<mark>"
CLOSE_MARK: Final = "</mark>"

_DENSE: Final = (
    "\u1100-\u11ff\u2600-\u27bf\u2e80-\u2fdf\u3005-\u3007\u3021-\u302d\u3031-\u3035\u3038-\u303c"
    "\u3041-\u3096\u3099-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u318e\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001aff0-\U0001b16f\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
"""Scripts without blanks, and pictures."""
_INDIC_SIGNS: Final = "\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u0f71-\u0fbc\u102b-\u103e\u17b4-\u17d3"
"""Scripts with vowel signs, which are no letters by themselves."""
_RUNS: Final = re.compile(rf"([{_DENSE}]+)|((?:[^\W_{_DENSE}]+|[{_INDIC_SIGNS}]+)+)")
_ASCII_WORDS: Final = re.compile("[a-z0-9]+")
_ACCENTED: Final = re.compile("[\u00c0-\u06ff\u1e00-\u1fff]")
"""Where accents and vowel points may be."""
_ACCENTS: Final = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]+"
)


def fold(text: str) -> str:
    """The text without differences of form, case and accents."""
    if text.isascii():
        return text.lower()
    folded = normalize("NFKC", text).casefold()
    if _ACCENTED.search(folded):
        # Turkish has two pairs of i; casefold() makes one of them a letter of its own.
        folded = normalize("NFC", _ACCENTS.sub("", normalize("NFD", folded))).replace("\u0131", "i")
    return folded


def terms_of(text: str) -> set[str]:
    """By which terms a text is found."""
    if text.isascii():
        return {word[:WORD_LENGTH] for word in _ASCII_WORDS.findall(text.lower())}
    terms: set[str] = set()
    for dense, word in _RUNS.findall(fold(text)):
        if word:
            terms.add(word[:WORD_LENGTH])
        else:
            terms.update(map(add, dense, dense[1:]))
            terms.add(dense[-1])
    return terms


class Term(NamedTuple):
    """Something to look up. `open`: all terms that begin with it."""

    text: str
    open: bool


class Words:
    """What a query asks for: all its words, in any order."""

    def __init__(self, query: str) -> None:
        self._runs = {dense or word[:WORD_LENGTH]: bool(dense) for dense, word in _RUNS.findall(fold(query))}
        """Each run once, and whether it is dense."""

    def __bool__(self) -> bool:
        return bool(self._runs)

    def terms(self) -> list[Term]:
        """What every text that has these words has, too, each once."""
        found: dict[Term, None] = {}
        for run, dense in self._runs.items():
            if dense and len(run) > 1:
                found.update((Term(pair, False), None) for pair in map(add, run, run[1:]))
            else:
                found[Term(run, True)] = None
        return list(found)

    @property
    def exact(self) -> bool:
        """Whether a text that has the terms has the words: pairs of neighbours need not stand together."""
        return all(not dense or len(run) <= 2 for run, dense in self._runs.items())

    def are_in(self, text: str) -> bool:
        """Whether a text has all of them."""
        runs = _RUNS.findall(fold(text))
        return all(
            any(run in found if dense else found.startswith(run) for found in (pair[not dense] for pair in runs))
            for run, dense in self._runs.items()
        )

    def mark(self, text: str) -> str:
        """The text with marks around what was found."""
        if len(text) > MARKED_LENGTH:
            return text
        folded, starts = _folded_with_places(text)
        pieces: list[str] = []
        done = 0
        for start, end in _merged(sorted(self._spans(folded))):
            first, last = starts[start], starts[end]
            pieces += (text[done:first], OPEN_MARK, text[first:last], CLOSE_MARK)
            done = last
        return "".join(pieces) + text[done:]

    def _spans(self, folded: str) -> Iterator[tuple[int, int]]:
        for match in _RUNS.finditer(folded):
            found, place = match[0], match.start()
            for run, dense in self._runs.items():
                if dense != (match[1] is not None):
                    continue
                if not dense:
                    if found.startswith(run):
                        yield place, match.end()
                    continue
                at = found.find(run)
                while at >= 0:
                    yield place + at, place + at + len(run)
                    at = found.find(run, at + 1)


def _folded_with_places(text: str) -> tuple[str, Sequence[int]]:
    """The folded text, and for each place in it, the end included, where in the text that is.

    A character is folded by itself here. What only together is another one, half-width Kana with their marks for
    example, is not found.
    """
    if text.isascii():
        return text.lower(), range(len(text) + 1)
    folded = [fold(character) for character in text]
    places: list[int] = []
    for place, piece in enumerate(folded):
        places += [place] * len(piece)
    places.append(len(text))
    return "".join(folded), places


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans, in order, without overlaps."""
    current: tuple[int, int] | None = None
    for start, end in spans:
        if current is not None and start <= current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = start, end
    if current is not None:
        yield current

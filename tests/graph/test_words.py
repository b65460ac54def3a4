"""Suggestions name what was meant, whatever its case, and are silent or short where nothing is near."""

from __future__ import annotations

import pytest

from pipeline.graph import words
from pipeline.graph.words import later, listed, meant, near, unknown


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("scor", ["score", "clean"], '; did you mean "score"?'),
        ("SCORE", ["Score"], '; did you mean "Score"?'),
        ("xyz", ["b", "a"], "; there are a and b"),
        ("xyz", ["a"], "; there are none but a"),
        ("xyz", [], ""),
        (
            "xyz",
            [f"step{n:02}" for n in range(40)],
            f"; there are {', '.join(f'step{n:02}' for n in range(10))} and 30 more",
        ),
    ],
)
def test_a_word_that_is_unknown_gets_the_nearest_or_a_short_list(word, known, expected):
    assert meant(word, known) == expected


def test_near_gives_the_word_as_it_is_known():
    assert near("TimeOut", ["timeout", "limit"]) == "timeout"
    assert near("q", ["timeout"]) is None


@pytest.mark.parametrize(("given", "expected"), [("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_words_are_listed_as_people_write_them(given, expected):
    assert listed(given) == expected


def test_refusals_read_as_sentences():
    assert later("batch") == "batch is known but not built yet"
    assert unknown("key", "limt", ["limit"]) == 'unknown key "limt"; did you mean "limit"?'


def test_no_word_is_both_built_and_promised():
    assert not words.LATER_STEP & (words.STEP_KEYS | {"run", "model", "params", "runtime"})
    assert not words.LATER_TOP & words.TOP_KEYS
    assert words.LATER_READERS <= words.LATER_STEP
    assert not words.LATER_PLACES & set(words.PLACES)

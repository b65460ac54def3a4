"""The words of the graph file: which keys there are, which are promised but not built, and what a misspelling meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

TOP_KEYS = frozenset({"name", "version", "steps", "output", "schema", "deadline", "limit", "queue"})
# Keys of a step that are the same whatever it does; those of an action stand in its own file in pipeline/steps/.
STEP_KEYS = frozenset({"inputs", "each", "detached", "timeout", "limit", "queue", "place", "warmup"})
# An option whose values are steps, for the actions that have it.
HANDLES = "handles"
PLACES = ("loop", "thread", "asyncio")
VERBS = ("predict", "explain")

# The contract knows these words and the code does not yet: refused by name, never a silent no-op.
LATER_TOP = frozenset({"defaults"})
LATER_STEP = frozenset(
    {"graph", "switch", "split", "first", "merge"}
    | {"by"}
    | {"retry", "hedge", "fallback", "batch", "cache", "workers", "pure"}
)
# Those of them that read steps by name, or let a step stand that nothing reads.
LATER_READERS = frozenset({"switch", "split", "first", "fallback"})
LATER_PLACES = frozenset({"process"})

# A hint that is longer than this is no hint.
_MOST_LISTED = 10
# A generated file may misspell each of a thousand names, and each is compared with all.
_MOST_COMPARED = 200
# Names come from callers too, and comparing a megabyte letter by letter takes the loop's time.
_LONGEST_WORD = 100
# The words of command lines in KServe's spelling, in any case.
_YES, _NO = frozenset({"y", "yes", "t", "true", "on", "1"}), frozenset({"n", "no", "f", "false", "off", "0"})


def yes_or_no(word: str) -> bool | None:
    """What a word says of the two; None where it says neither."""
    return True if word.lower() in _YES else False if word.lower() in _NO else None


def later(what: str) -> str:
    """The line that refuses a word of the contract whose code is not there yet."""
    return f"{what} is known but not built yet"


def unknown(what: str, word: str, known: Collection[str], promised: Collection[str] = ()) -> str:
    """``unknown key "limt"; did you mean "limit"?``, or the list of what there is where nothing is near.

    A word that is nearest to one of those ``promised`` is told so.
    """
    nearest = near(word, {*known, *promised})
    if nearest in promised and nearest not in known:
        return later(f'unknown {what} "{word}"; did you mean "{nearest}", which') + "?"
    return f'unknown {what} "{word}"{meant(word, known)}'


def near(word: str, known: Collection[str]) -> str | None:
    """The known word that a misspelt one is likely to mean, whatever its case."""
    if len(word) > _LONGEST_WORD or len(known) > _MOST_COMPARED:
        return None
    by_lower = {known_word.lower(): known_word for known_word in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def hint(word: str, known: Collection[str]) -> str:
    """The tail of an error: the nearest known word, else nothing."""
    nearest = near(word, known)
    return "" if nearest is None else f'; did you mean "{nearest}"?'


def meant(word: str, known: Collection[str]) -> str:
    """The tail of an error: the nearest known word, else all of them, else nothing."""
    if nearest := hint(word, known):
        return nearest
    words = sorted(known)
    if len(words) > _MOST_LISTED:
        words = [*words[:_MOST_LISTED], f"{len(words) - _MOST_LISTED} more"]
    if len(words) == 1:
        return f"; there are none but {words[0]}"
    return f"; there are {listed(words)}" if words else ""


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last

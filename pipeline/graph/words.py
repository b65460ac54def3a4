"""The words of the graph file: which keys there are, which are promised but not built, and what a misspelling meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

TOP_KEYS = frozenset({"name", "version", "steps", "output", "schema", "deadline", "limit", "queue"})
# Keys of a step that are the same whatever it does; those of an action stand in its own file in pipeline/steps/.
STEP_KEYS = frozenset({"inputs", "timeout", "limit", "queue", "place"})
PLACES = ("loop", "thread")
VERBS = ("predict", "explain")

# The contract knows these words and the code does not yet: refused by name, never a silent no-op.
LATER = frozenset(
    {"call", "graph", "switch", "split", "first", "merge"}
    | {"each", "handles", "detached", "ready", "forward", "by", "sha256", "storage"}
    | {"retry", "hedge", "fallback", "batch", "cache", "warmup", "workers", "defaults"}
)
LATER_PLACES = frozenset({"process", "asyncio"})
LATER_VERBS = frozenset({"explain"})


def later(what: str) -> str:
    """The line that refuses a word of the contract whose code is not there yet."""
    return f"{what} is known but not built yet"


def unknown(what: str, word: str, known: Collection[str]) -> str:
    """``unknown key "limt"; did you mean "limit"?``, or the list of what there is where nothing is near."""
    return f'unknown {what} "{word}"{meant(word, known)}'


def meant(word: str, known: Collection[str]) -> str:
    """The tail of an error: the nearest known word, else all of them, else nothing."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; there are {listed(sorted(known))}" if known else ""


def listed(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *head, last = words
    return f"{', '.join(head)} and {last}" if head else last

"""How much time a caller gives its request, read from the header; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from pipeline.errors import InvalidInput
from pipeline.graph.units import duration
from pipeline.wire.codec import TIMEOUT_HEADER as HEADER

# A number of more digits is no time, and takes its own to be read.
_LONGEST = 64
_BARE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def header_timeout(headers: Mapping[str, str]) -> float:
    """Seconds (``1.5``) or a duration with its unit (``300ms``); ``math.inf`` where the caller names none.

    Raises InvalidInput for anything else, a negative number included.
    """
    text = headers.get(HEADER)
    if text is None:
        return math.inf
    text = text.strip()
    if _BARE.fullmatch(text):
        return float(text)
    try:
        if len(text) > _LONGEST:
            raise ValueError
        return duration(text)
    except ValueError:
        raise InvalidInput(f'header {HEADER} is seconds, or a duration like 300ms, not "{text[:40]}"') from None

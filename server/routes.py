"""From method and path to the protocol that answers: one table, built from the files of ``pipeline/wire/``."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Codec, Route, codecs
from pipeline.wire.paths import pattern

# Paths name models, and callers choose paths: the memory of matches is bounded.
_REMEMBERED, _LONGEST = 1024, 512


@dataclass(frozen=True, slots=True)
class Match:
    """What a call is for. ``model`` and ``version`` are empty where the route has none."""

    route: Route
    codec: Codec
    model: str
    version: str


class Routes:
    """The route table of a server."""

    def __init__(self, by_name: Mapping[str, Codec] | None = None) -> None:
        found = codecs() if by_name is None else by_name
        self._table = [(pattern(route.template), route, codec) for codec in found.values() for route in codec.ROUTES]
        self._remembered = functools.lru_cache(maxsize=_REMEMBERED)(self._match)

    def match(self, method: str, path: str) -> Match | None:
        """The route of a call, None where no protocol has such a path; HEAD is GET, and a slash at the end is none.

        Raises InferError (METHOD_NOT_ALLOWED) with the methods that are in ``allow``.
        """
        return (self._remembered if len(path) <= _LONGEST else self._match)(method, path)

    def _match(self, method: str, path: str) -> Match | None:
        asked = "GET" if method == "HEAD" else method
        path = path.rstrip("/") or "/"
        others: list[Route] = []
        for known, route, codec in self._table:
            found = known.fullmatch(path)
            if found is None:
                continue
            if route.method == asked:
                names = found.groupdict()
                return Match(route, codec, names.get("model") or "", names.get("version") or "")
            others.append(route)
        if others:
            # The path of a verb could be that of a model named so, which is asked about and not there.
            meant = [route for route in others if route.verb is not None] or others
            raise wrong_method(own for route in meant for own in _methods(route))
        return None


def _methods(route: Route) -> tuple[str, ...]:
    return ("GET", "HEAD") if route.method == "GET" else (route.method,)


def wrong_method(allowed: Iterable[str]) -> InferError:
    """The path is right; the methods it takes are in ``allow``."""
    headers = {"allow": ", ".join(dict.fromkeys(allowed))}
    return InferError(Code.METHOD_NOT_ALLOWED, "Method Not Allowed", headers=headers)

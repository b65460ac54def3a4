"""Why models could not be loaded, for who asks later. Anybody may ask for any name, so those of few are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator

_MOST = 100


class Refused:
    """Name → the reason of its last failure: of names that are known all, of others the latest hundred."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._reasons)

    def __contains__(self, name: object) -> bool:
        return name in self._reasons

    def of(self, name: str) -> str | None:
        return self._reasons.get(name)

    def add(self, name: str, reason: str, known: Collection[str]) -> None:
        """The latest; ``known`` are the names that are known now."""
        self.forget(name)
        self._reasons[name] = reason
        others = [own for own in self._reasons if own not in known]
        for own in others[:-_MOST]:
            self.forget(own)

    def forget(self, name: str) -> None:
        self._reasons.pop(name, None)

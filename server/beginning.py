"""The models that a script's server starts with: the first that cannot be opened ends the process, as under KServe."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.observe import Event, ModelFailed, ModelLoaded


class Beginning:
    """Hears of those models until each has been open once; what comes later fails by itself."""

    def __init__(self, names: Iterable[str], stop: Callable[[], None]) -> None:
        self._awaited = set(names)
        self._stop = stop
        self.failure: BaseException | None = None
        """Why the server was stopped."""

    def observe(self, event: Event) -> None:
        match event:
            case ModelLoaded(model):
                self._awaited.discard(model)
            case ModelFailed(model, error=error) if model in self._awaited and self.failure is None:
                self.failure = error
                self._stop()

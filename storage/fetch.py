"""A URI to the scheme that serves it, and through it to a local path: the trio side of a pull."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import trio

from storage.cache import Cache, cache_folder
from storage.errors import Cancelled
from storage.options import Settings, misused, patterns, variables_for, with_options
from storage.pull import Order, local_to_folder, to_cache, to_folder
from storage.source import Local, Remote
from storage.transfer import cancellable
from storage.uri import host_of, scheme_of
from storage.verify import checked

Given = TypeVar("Given")
_NONE: Mapping[str, Any] = MappingProxyType({})


class Scheme(Protocol):
    """A file of ``storage/schemes/``. ``KEYS``: the schemes it serves.

    One that also has ``HOSTS`` (a compiled pattern) serves the ``https`` URIs of the hosts that match; ``OPTIONS`` is
    what a step may say under ``storage``: option → the variable that it stands for. ``HERE``: what it names is on this
    machine, and found without asking anybody.
    """

    KEYS: Sequence[str]

    def refusal(self, uri: str, /) -> str | None:
        """Why this URI cannot be fetched, told without looking for it; None where it can be tried."""
        ...

    def open_source(self, uri: str, settings: Settings, /) -> Local | Remote:
        """Where the model is, or a source to read it from. It may block.

        Raises StorageError for local files that are not there, and for settings that make no sense.
        """
        ...


@dataclass(slots=True)
class Storage:
    """Brings models. ``environment`` is what credentials, endpoints and the cache's place are read from.

    ``stores`` are what ``memory://`` URIs name. Where ``cache_dir`` (``PIPELINE_SERVE_CACHE_DIR``) is set, downloads go
    through the cache also on their way to a folder. ``cache_size`` is in bytes; ``offline``
    (``PIPELINE_SERVE_OFFLINE``): only the cache is asked; ``order``: what all pulls have in common.
    """

    environment: Mapping[str, str] = field(repr=False)
    cache_dir: Path | None = None
    cache_size: int | None = None
    offline: bool | None = None
    order: Order = field(default_factory=Order)
    stores: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cache: Cache = field(init=False)

    def __post_init__(self) -> None:
        settings = Settings(self.environment, Path())
        told = settings.get("PIPELINE_SERVE_CACHE_DIR")
        if self.cache_dir is None and told is not None:
            self.cache_dir = Path(told)
        if self.offline is None:
            self.offline = settings.says("PIPELINE_SERVE_OFFLINE", default=False)
        root = cache_folder(self.environment, sys.platform) if self.cache_dir is None else self.cache_dir
        self.cache = Cache(root.absolute(), self.cache_size)

    def refusal(self, uri: str, options: Mapping[str, Any] = _NONE) -> str | None:
        """Why this URI cannot be fetched with those options, told without looking; None where it can be tried."""
        scheme = scheme_of(uri)
        module = _scheme(uri)
        if module is not None:
            return module.refusal(uri) or misused(scheme, getattr(module, "OPTIONS", _NONE), options)
        known = ", ".join(f"{name}://" for name in sorted(_schemes()) if name)
        return f'no scheme "{scheme}://" is known; there are paths and {known}'

    def local(self, uri: str, folder: Path) -> Path | None:
        """Where it is, for what is on this machine's disk by its URI; None for all else, and where nothing is there."""
        module = _scheme(uri)
        if module is None or not getattr(module, "HERE", False) or module.refusal(uri) is not None:
            return None
        try:
            found = module.open_source(uri, Settings(self.environment, folder, self.stores))
        except OSError:
            return None
        return found.path if isinstance(found, Local) else None

    async def fetch(
        self, uri: str, folder: Path, options: Mapping[str, Any] = _NONE, digest: str | None = None
    ) -> Path:
        """The local path of what the URI names: where it is, or in the cache; relative paths are to ``folder``.

        ``options`` are a step's, of its source; ``digest``: ``sha256:…`` of the one file (or archive) that it must be.
        Raises OSError (most a StorageError) that names what was looked for, ValueError for a URI that ``refusal``
        refuses. Cancelled, it returns within 0.3 s and leaves nothing half-made under its name; what was downloaded by
        then is taken up by the next fetch.
        """

        def bring(order: Order) -> Path:
            match cancellable(lambda: self._open(uri, folder, options), order.cancel):
                case Local(path):
                    return checked(uri, path, digest, order.cancel)
                case source:
                    own = replace(order, digest=digest or order.digest)
                    return to_cache(source, self.cache, own, offline=bool(self.offline)).path

        return await self._pull(bring)

    async def place(self, uri: str, target: Path, folder: Path) -> None:
        """The model's files in the folder ``target``. Raises and is cancelled as ``fetch``."""
        target = Path(await trio.Path(target).resolve())

        def bring(order: Order) -> None:
            match cancellable(lambda: self._open(uri, folder), order.cancel):
                case Local(path):
                    local_to_folder(path, target, order)
                case source:
                    through = self.cache_dir is not None
                    to_folder(source, target, self.cache, order, through=through, offline=bool(self.offline))

        await self._pull(bring)

    def _open(self, uri: str, folder: Path, options: Mapping[str, Any] = _NONE) -> Local | Remote:
        reason = self.refusal(uri, options)
        module = _scheme(uri)
        if reason is not None or module is None:
            raise ValueError(reason)
        variables = variables_for(scheme_of(uri), self.environment)
        variables = with_options(variables, getattr(module, "OPTIONS", _NONE), options)
        return module.open_source(uri, Settings(variables, folder, self.stores, bool(self.offline)))

    async def _pull(self, bring: Callable[[Order], Given]) -> Given:
        own = replace(
            self.order,
            allow=self.order.allow or patterns(self.environment, "STORAGE_ALLOW_PATTERNS"),
            ignore=self.order.ignore or patterns(self.environment, "STORAGE_IGNORE_PATTERNS"),
        )
        return await cancelled_by_flag(lambda cancel: bring(replace(own, cancel=cancel)))


async def cancelled_by_flag(function: Callable[[threading.Event], Given]) -> Given:
    """``function(cancel)`` in a thread, which is told of our cancellation by the flag and waited for."""
    cancel = threading.Event()
    outcome: Given | None = None
    failure: Exception | None = None

    async def tell() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancel.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        try:
            outcome = await trio.to_thread.run_sync(function, cancel, limiter=trio.CapacityLimiter(1))
        except Exception as error:  # noqa: BLE001  # raised below, outside of the nursery's group
            failure = error
        nursery.cancel_scope.cancel()
    if isinstance(failure, Cancelled):
        await trio.lowlevel.checkpoint_if_cancelled()
    if failure is not None:
        raise failure
    return outcome  # type: ignore[return-value]  # None only where Given is


def _scheme(uri: str) -> Scheme | None:
    known = _schemes()
    if scheme_of(uri) == "https":
        for module in known.values():
            hosts = getattr(module, "HOSTS", None)
            if hosts is not None and hosts.fullmatch(host_of(uri)):
                return module
    return known.get(scheme_of(uri))


def _schemes() -> dict[str, Scheme]:
    import storage.schemes as folder  # noqa: PLC0415  # found by their files, when first asked for

    found: dict[str, Scheme] = {}
    for file in pkgutil.iter_modules(folder.__path__):
        module: Any = importlib.import_module(f"{folder.__name__}.{file.name}")
        found |= dict.fromkeys(module.KEYS, module)
    return found

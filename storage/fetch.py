"""Models by URI: where they are, or brought to where they can be; for trio, and for threads."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storage.cache import Cache, Entry, cache_folder
from storage.options import Settings, misused, patterns, variables_for, with_options
from storage.order import Order
from storage.scheme import Scheme, scheme_for, schemes
from storage.secret import shown
from storage.source import Local, Remote
from storage.transfer import Crew, cancellable
from storage.uri import malformed, scheme_of, slashed
from storage.verify import checked

if TYPE_CHECKING:
    from trio import CapacityLimiter

    from storage.messages import Brought

Found = Local | Entry
_LOG = logging.getLogger("pipeline_serve.storage")
# Processes beside this one, each of some 50 MiB.
_AT_ONCE = 8
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(slots=True)
class Storage:
    """Brings models. ``environment`` is what credentials, endpoints and the cache's place are read from.

    ``stores`` are what ``memory://`` URIs name. Where ``cache_dir`` (``PIPELINE_SERVE_CACHE_DIR``) is set, downloads go
    through the cache also on their way to a folder. ``cache_size`` is in bytes; ``offline``
    (``PIPELINE_SERVE_OFFLINE``): only the cache is asked; ``order``: what all pulls have in common. ``beside`` is asked
    on trio's side, as a ``fetch`` begins: a server that answers requests meanwhile has another crew do it, in a process
    beside this one; None is the order's, in threads of this one.
    """

    environment: Mapping[str, str] = field(repr=False)
    cache_dir: Path | None = None
    cache_size: int | None = None
    offline: bool | None = None
    order: Order = field(default_factory=Order)
    stores: Mapping[str, Any] = field(default_factory=dict, repr=False)
    beside: Callable[[], Crew | None] | None = field(default=None, repr=False)
    cache: Cache = field(init=False)
    _places: CapacityLimiter | None = field(default=None, init=False, repr=False)

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
        scheme, known = scheme_of(uri), schemes().keys() - {""}
        module = scheme_for(uri)
        if module is None:
            there = ", ".join(f"{name}://" for name in sorted(known))
            return f'no scheme "{scheme}://" is known; there are paths and {there}'
        if not scheme and (meant := slashed(uri, known - {"file"})):
            return f"slashes are missing: write {shown(meant)}; a path of that name begins with ./"
        reason = malformed(uri) or module.refusal(uri) or misused(scheme, getattr(module, "OPTIONS", _NONE), options)
        return None if reason is None else reason.replace(uri, shown(uri))

    def local(self, uri: str, folder: Path) -> Path | None:
        """Where it is, for what is on this machine's disk by its URI; None for all else, and where nothing is there."""
        module = scheme_for(uri)
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
        then is taken up by the next fetch. What is in the cache is in use until this process ends.
        """
        return (await self._fetched(uri, folder, options, digest)).path

    @asynccontextmanager
    async def lend(
        self, uri: str, folder: Path, options: Mapping[str, Any] = _NONE, digest: str | None = None
    ) -> AsyncIterator[Path]:
        """``fetch``, of what is in use until the block ends; then it may leave the cache, at once where that is full.

        Raises and is cancelled as ``fetch``.
        """
        from storage.flag import to_its_end  # noqa: PLC0415  # as in _fetched

        lent: list[str] = []

        def borrowed(found: Found) -> Found:
            match found:
                case Entry(identity):
                    self.cache.lend(identity)
                    lent.append(identity)
            return found

        try:
            # Lent by the thread that found it, and before the process beside has let go of it: with a wait between,
            # another's give_back could free it.
            yield (await self._fetched(uri, folder, options, digest, borrowed)).path
        finally:
            for identity in lent:
                await to_its_end(partial(self.cache.give_back, identity))

    async def _fetched(
        self,
        uri: str,
        folder: Path,
        options: Mapping[str, Any],
        digest: str | None,
        take: Callable[[Found], Found] = lambda found: found,
    ) -> Found:
        """``take`` is called in a thread, of what was found there."""
        from storage.flag import cancelled_by_flag  # noqa: PLC0415  # who blocks needs no trio

        crew = self.beside() if self.beside is not None else None
        # What is here is not pulled, and what is in this process alone can be by no other.
        if crew is None or self.offline or self.stores or getattr(self._scheme(uri, options), "HERE", False):
            return await cancelled_by_flag(lambda cancel: take(self.found(uri, folder, options, digest, cancel=cancel)))

        def at_hand(cancel: threading.Event) -> Found | None:
            entry = self._at_hand(uri, folder, options, digest, cancel)
            with suppress(FileNotFoundError):  # another has given it back since, and it was evicted: it is pulled again
                return None if entry is None else take(entry)
            return None

        there = await cancelled_by_flag(at_hand)
        return await self._beside(crew, uri, folder, options, digest, take) if there is None else there

    def _at_hand(
        self, uri: str, folder: Path, options: Mapping[str, Any], digest: str | None, cancel: threading.Event
    ) -> Entry | None:
        """It blocks, and raises as ``bring``."""
        order = self._ordered(cancel, digest)
        match cancellable(lambda: self._open(uri, folder, options), cancel):
            case Local(path):
                raise AssertionError(f"{path} is no download")
            case source:
                from storage.pull import at_hand  # noqa: PLC0415  # as in found

                return at_hand(source, self.cache, order)

    async def _beside(
        self,
        crew: Crew,
        uri: str,
        folder: Path,
        options: Mapping[str, Any],
        digest: str | None,
        take: Callable[[Found], Found],
    ) -> Found:
        import trio  # noqa: PLC0415  # who blocks needs none

        from storage.beside import brought  # noqa: PLC0415
        from storage.messages import Job  # noqa: PLC0415

        order = self._ordered(threading.Event(), digest)
        job = Job(
            uri=uri,
            folder=folder,
            options=dict(options),
            environment=dict(self.environment),
            root=self.cache.root,
            size=self.cache.limit,
            allow=order.allow,
            ignore=order.ignore,
            digest=order.digest,
            limits=order.limits,
            crew=crew,
            parent=os.getpid(),
        )
        if self._places is None:
            self._places = trio.CapacityLimiter(_AT_ONCE)
        if not self._places.available_tokens:
            _LOG.info("%s waits for one of the %d pulls beside this process to end", shown(uri), _AT_ONCE)
        async with self._places:
            return await brought(job, order.observe, lambda found: take(self._taken(found)))

    def _taken(self, found: Brought) -> Entry:
        """What another process has brought, from now on in use by this one."""
        entry = self.cache.find(found.identity)
        if entry is None:
            raise FileNotFoundError(f"{self.cache.root} has lost what was put into it as {found.identity}")
        for identity in found.forgotten:
            self.cache.forget(identity)
        return entry

    def bring(self, uri: str, folder: Path, *, cancel: threading.Event) -> Path:
        """``fetch`` for who has a thread for it: it blocks, and raises Cancelled once the flag is set."""
        return self.found(uri, folder, cancel=cancel).path

    def found(
        self,
        uri: str,
        folder: Path,
        options: Mapping[str, Any] = _NONE,
        digest: str | None = None,
        *,
        cancel: threading.Event,
    ) -> Found:
        """What ``bring`` brings, with its name in the cache. It blocks and raises as that."""
        order = self._ordered(cancel, digest)
        match cancellable(lambda: self._open(uri, folder, options), cancel):
            case Local(path):
                return Local(checked(uri, path, digest, cancel))
            case source:
                from storage.pull import to_cache  # noqa: PLC0415  # with all that unpacks; most models are files here

                return to_cache(source, self.cache, order, offline=bool(self.offline))

    def put(self, uri: str, target: Path, folder: Path, *, cancel: threading.Event) -> None:
        """The model's files in the folder ``target``. It blocks and raises as ``bring``."""
        from storage.pull import local_to_folder, to_folder  # noqa: PLC0415  # as above

        order, target = self._ordered(cancel), target.resolve()
        match cancellable(lambda: self._open(uri, folder), cancel):
            case Local(path):
                local_to_folder(path, target, order)
            case source:
                through = self.cache_dir is not None
                to_folder(source, target, self.cache, order, through=through, offline=bool(self.offline))

    def _open(self, uri: str, folder: Path, options: Mapping[str, Any] = _NONE) -> Local | Remote:
        module = self._scheme(uri, options)
        variables = variables_for(scheme_of(uri), self.environment)
        variables = with_options(variables, getattr(module, "OPTIONS", _NONE), options)
        return module.open_source(uri, Settings(variables, folder, self.stores, bool(self.offline)))

    def _scheme(self, uri: str, options: Mapping[str, Any]) -> Scheme:
        """Raises ValueError for what is refused."""
        reason = self.refusal(uri, options)
        module = scheme_for(uri)
        if reason is not None or module is None:
            raise ValueError(reason)
        return module

    def _ordered(self, cancel: threading.Event, digest: str | None = None) -> Order:
        return replace(
            self.order,
            digest=digest or self.order.digest,
            allow=self.order.allow or patterns(self.environment, "STORAGE_ALLOW_PATTERNS"),
            ignore=self.order.ignore or patterns(self.environment, "STORAGE_IGNORE_PATTERNS"),
            cancel=cancel,
        )

"""One pull, from a listing to files in their place. It blocks: ``fetch.py`` runs it in a thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from storage.archive import is_archive, unpack
from storage.cache import Cache, Entry, fresh
from storage.errors import Cancelled, Changed, Corrupt, NoSpace, NotThere, Offline, Unranged, Unsafe
from storage.events import Fetched, Found, Kept, Listed, Moved, Unpacking
from storage.listing import Listing, chosen, expected, fits, identity, request_key
from storage.locks import locked
from storage.order import Order
from storage.parts import have, parts
from storage.place import copy_of, deliver, link_entries, sweep, working, workplace
from storage.retry import insistently
from storage.source import Remote
from storage.transfer import cancellable, transfer
from storage.verify import check, verify
from storage.work import begin, wipe

_LOG = logging.getLogger("pipeline_serve.storage")
# Without ranges an object that changes is started over; a source that always changes is given up.
_AGAIN = 3


def to_cache(source: Remote, cache: Cache, order: Order, *, offline: bool = False) -> Entry:
    """The model in the cache, downloaded where it is not there; of several that ask at once one downloads.

    Offline the source is not asked: it is what was listed last. Raises a StorageError, OSError, Cancelled; what was
    brought by then stays in the cache's working folder.
    """
    key = _key(source, order)
    if offline:
        return _from_before(source, cache, key, order)
    cache.ready()
    cache.sweep()
    before = cache.latest(key)
    with locked(cache.lock(key), order.cancel):
        latest = cache.latest(key)
        # Whoever held the lock meanwhile has listed for us too. No clock tells that: it may have been wrong.
        entry = _found(cache, latest[0], order) if latest and latest != before else None
        if entry is not None:
            order.observe(Found(source.shown, entry.path))
            return entry
        return _renewed(source, cache, key, order, latest[0] if latest else None)


def at_hand(source: Remote, cache: Cache, order: Order) -> Entry | None:
    """The model in the cache, where that is what the source lists now; None where somebody has to pull it.

    It waits for no one who pulls, and asks nothing where the cache never had it. Raises as ``to_cache``.
    """
    key = _key(source, order)
    latest = cache.latest(key)
    if latest is None:
        return None
    listing = _listed(source, order)
    name = identity(source.name, listing)
    entry = _found(cache, name, order) if listing.versioned and name == latest[0] else None
    if entry is not None:
        if cache.latest(key) == latest:  # else somebody has listed since
            with suppress(OSError):  # a cache that may only be read serves too
                cache.remember(key, name, source.shown)
        order.observe(Found(source.shown, entry.path))
    return entry


def to_folder(source: Remote, folder: Path, cache: Cache, order: Order, *, through: bool, offline: bool) -> None:
    """The model in a folder: linked from the cache where it is there, else downloaded, ``through`` it or straight.

    Raises as ``to_cache``. Until the model is whole there is nothing of it but a hidden working folder, beside the
    folder or in it.
    """
    key = _key(source, order)
    place = workplace(folder, key)
    sweep(place.parent)
    with working(place, order.cancel), _gone_unless_begun(place):
        if through or offline:
            tree = _linked(to_cache(source, cache, order, offline=offline), place, order)
        else:
            listing = _listed(source, order)
            entry = _found(cache, identity(source.name, listing), order) if listing.versioned else None
            if entry is not None:
                order.observe(Found(source.shown, entry.path))
                tree = _linked(entry, place, order)
            else:
                tree, _ = _brought(source, listing, place / "pull", order, durable=False)
        deliver(tree, folder)


def local_to_folder(path: Path, folder: Path, order: Order) -> None:
    """Local files into a folder: linked, or unpacked where they are one archive. Raises as ``to_folder``."""
    entries = sorted(path.iterdir()) if path.is_dir() else [path]
    kept = [own for own in entries if fits(own.name, order.allow, order.ignore)] if path.is_dir() else entries
    match kept:
        case []:
            raise NotThere(
                f"there is no model at {path}: the folder has {len(entries)} entries, and none is left of them"
            )
        case [own] if own.is_file() and is_archive(own.name):
            place = workplace(folder, request_key(str(path), (), ()))
            with working(place, order.cancel), _gone_unless_begun(place):
                wipe(place / "unpacked")
                order.observe(Unpacking(str(path), own.name))
                unpack(own, place / "unpacked", order.limits, order.cancel)
                deliver(place / "unpacked", folder)
        case _:
            link_entries(kept, folder)


def _key(source: Remote, order: Order) -> str:
    return request_key(source.name, order.allow, order.ignore, order.digest)


def _from_before(source: Remote, cache: Cache, key: str, order: Order) -> Entry:
    latest = cache.latest(key)
    entry = _found(cache, latest[0], order) if latest else None
    if latest is None or entry is None:
        what = "was never downloaded" if latest is None else "is no longer there, or damaged"
        raise Offline(f"{source.shown} {what} in the cache {cache.root}; offline nothing else is asked")
    order.observe(Found(source.shown, entry.path, listed=latest[1]))
    return entry


def _renewed(source: Remote, cache: Cache, key: str, order: Order, before: str | None) -> Entry:
    listing = _listed(source, order)
    name = identity(source.name, listing)
    entry = _found(cache, name, order) if listing.versioned else None
    if entry is not None:
        order.observe(Found(source.shown, entry.path))
    else:
        work = cache.work(key)
        tree, listing = _brought(source, listing, work, order, durable=True)
        name = identity(source.name, listing)
        name = name if listing.versioned else fresh(name)
        entry = cache.publish(tree, name, source.shown, single=listing.single and not _packed(listing))
        wipe(work)
        if before is not None and not listing.versioned:
            cache.forget(before)
    cache.remember(key, entry.id, source.shown)
    for gone in cache.evict():
        _LOG.info("removed %s (%d bytes) from the cache: it was not used for longest", gone.uri, gone.size)
    return entry


def _found(cache: Cache, name: str, order: Order) -> Entry | None:
    """The model in the cache; where somebody said what its file's digest is, none whose bytes have changed since."""
    entry = cache.find(name)
    if entry is None or order.digest is None or not entry.single:  # of an archive the digest is gone with it
        return entry
    try:
        check(entry.uri, entry.path, order.digest, order.cancel)
    except Corrupt as error:
        _LOG.warning("not taken from the cache, where it was damaged: %s", error)
        return None
    return entry


def _listed(source: Remote, order: Order) -> Listing:
    found = cancellable(lambda: insistently(source, source.listing, order.cancel), order.cancel)
    return expected(source.shown, chosen(source.shown, found, order.allow, order.ignore), order.digest)


def _linked(entry: Entry, place: Path, order: Order) -> Path:
    tree = place / "link"
    wipe(tree)
    copy_of(entry.folder, tree, order.cancel)
    return tree


def _brought(source: Remote, listing: Listing, folder: Path, order: Order, *, durable: bool) -> tuple[Path, Listing]:
    """The folder with the model's files, below ``folder``, and the listing they are of.

    A full disk gets back what was taken of it; so does what cannot be gone on with.
    """
    with _keeping(source, folder, order):
        for _ in range(_AGAIN):
            try:
                _moved(source, listing, folder, order, durable=durable)
                break
            except NoSpace:
                wipe(folder)
                raise
            except Unranged:
                listing = listing.unranged()
            except Changed:
                wipe(folder)
                if any(item.ranged for item in listing.items):
                    raise
                listing = _listed(source, order)
        else:
            raise Changed(f"{source.shown} changed again and again while it was downloaded")
        files = folder / "files"
        try:
            verify(source.shown, listing.items, files, order.cancel)
            if not _packed(listing):
                return files, listing
            tree = folder / "unpacked"
            wipe(tree)
            order.observe(Unpacking(source.shown, listing.items[0].name))
            unpack(files / listing.items[0].name, tree, order.limits, order.cancel, durable=durable)
        except (Corrupt, NoSpace, Unsafe):
            wipe(folder)
            raise
        return tree, listing


def _packed(listing: Listing) -> bool:
    return len(listing.items) == 1 and is_archive(listing.items[0].name)


def _moved(source: Remote, listing: Listing, folder: Path, order: Order, *, durable: bool) -> None:
    work = begin(folder, source.shown, listing, durable=durable)
    there, size = have(listing.items, work.written), listing.size
    order.observe(Listed(source.shown, len(listing.items), size, there, folder))
    began = time.monotonic()
    moved = 0

    def tell(now: int) -> None:
        nonlocal moved
        moved = now
        order.observe(Moved(source.shown, there + now, size))

    transfer(source, parts(listing.items, work.written), work, order.cancel, tell, order.crew)
    order.observe(Fetched(source.shown, moved, time.monotonic() - began))


@contextmanager
def _gone_unless_begun(place: Path) -> Iterator[None]:
    """Afterwards there is no working folder, but for what the next pull can go on with, or is quicker to remove."""
    try:
        yield
    except Cancelled:
        if not any((place / own).exists() for own in ("pull/journal", "unpacked")):
            wipe(place)
        raise
    except BaseException:
        if not (place / "pull/journal").exists():
            wipe(place)
        raise
    wipe(place)


@contextmanager
def _keeping(source: Remote, folder: Path, order: Order) -> Iterator[None]:
    """Says where the beginning of a download that did not come to its end is kept."""
    try:
        yield
    except BaseException:
        if (folder / "journal").exists():
            order.observe(Kept(source.shown, folder))
        else:
            wipe(folder)
        raise

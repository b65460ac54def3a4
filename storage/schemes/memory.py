"""``memory://NAME/PATH``: a store in this process that ``Storage`` was given, to test with instead of a bucket."""

from __future__ import annotations

from storage.connection import Connection
from storage.errors import NotThere
from storage.failures import Who
from storage.options import Settings
from storage.secret import shown
from storage.source import Remote
from storage.uri import bucket_and_key

KEYS = ("memory",)


def refusal(uri: str) -> str | None:
    return None if bucket_and_key(uri)[0] else f'"{uri}" names no store; write memory://NAME/PATH'


def open_source(uri: str, settings: Settings) -> Remote:
    """Raises NotThere for a store that nobody gave."""
    from storage.objects import Objects  # noqa: PLC0415  # what it imports is slow, and `check` downloads nothing

    name, key = bucket_and_key(uri)
    store = settings.stores.get(name)
    if store is None:
        raise NotThere(
            f'there is no store "{name}" for {uri}; give one: Storage({{}}, stores={{"{name}": MemoryStore()}})'
        )
    return Objects(Who("memory", shown(uri), "everybody", "put it there"), uri, store, key, Connection())

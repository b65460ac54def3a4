"""``memory://``: the public double of a bucket."""

import threading

import obstore
import pytest
from obstore.store import MemoryStore

from storage import Storage
from storage.errors import NotThere


async def test_a_store_in_memory_is_a_bucket(tmp_path):
    store = MemoryStore()
    obstore.put(store, "m/a.bin", b"one")
    obstore.put(store, "m/sub/b.bin", b"two")
    storage = Storage({}, cache_dir=tmp_path / "cache", stores={"models": store})
    folder = await storage.fetch("memory://models/m", tmp_path)
    assert ((folder / "a.bin").read_bytes(), (folder / "sub/b.bin").read_bytes()) == (b"one", b"two")
    storage.put("memory://models/m/a.bin", tmp_path / "dest", tmp_path, cancel=threading.Event())
    assert (tmp_path / "dest/a.bin").read_bytes() == b"one"
    storage.cache.close()


async def test_a_store_that_nobody_gave_is_asked_for(tmp_path):
    with pytest.raises(NotThere, match='there is no store "models" for memory://models/m; give one: Storage'):
        await Storage({}, cache_dir=tmp_path).fetch("memory://models/m", tmp_path)
    assert Storage({}).refusal("memory:///m") == '"memory:///m" names no store; write memory://NAME/PATH'

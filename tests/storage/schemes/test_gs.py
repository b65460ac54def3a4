"""``gs://``: which server, and reads over the XML API."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage import Storage
from storage.options import Settings
from storage.schemes.gs import emulator, refusal
from tests.storage.test_fetch import BIG


async def test_an_emulator_is_read_over_xml_by_nobody_in_particular(origin, tmp_path):
    origin.files = {"/b/m/big.bin": BIG, "/b/m/sub/a b": b"x", "/b/m2/y": b"y", "/b/m/__init__.py": b""}
    storage = Storage({"STORAGE_EMULATOR_HOST": origin.host}, cache_dir=tmp_path / "cache")
    folder = await storage.fetch("gs://b/m", tmp_path)
    assert (folder / "big.bin").read_bytes() == BIG
    assert (folder / "sub/a b").read_bytes() == b"x"
    assert sorted(path.name for path in folder.iterdir()) == ["__init__.py", "big.bin", "sub"]
    assert not any("authorization" in seen.headers for seen in origin.seen)
    storage.cache.close()


async def test_nobody_in_particular_is_nobody_whatever_the_process_has(origin, tmp_path, monkeypatch):
    file = tmp_path / "adc.json"
    file.write_text('{"type": "external_account"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    origin.files = {"/b/m.bin": b"model"}
    storage = Storage({"STORAGE_EMULATOR_HOST": origin.host}, cache_dir=tmp_path / "cache")
    assert (await storage.fetch("gs://b/m.bin", tmp_path)).read_bytes() == b"model"
    assert not any("authorization" in seen.headers for seen in origin.seen)
    storage.cache.close()


@pytest.mark.parametrize(
    ("told", "url"), [(None, None), ("localhost:4443", "http://localhost:4443"), ("https://h/", "https://h")]
)
def test_an_emulator_is_a_host_or_a_url(told, url):
    assert emulator(Settings({"STORAGE_EMULATOR_HOST": told} if told else {}, Path())) == url


@pytest.mark.parametrize("uri", ["gs:///m", "gs://../m"])
def test_a_uri_without_a_bucket_is_refused(uri):
    assert refusal(uri) == f'"{uri}" names no bucket; write gs://BUCKET/PATH'
    assert refusal("gs://b/m") is None

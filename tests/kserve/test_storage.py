"""``Storage.download`` as KServe's: folders, whoever calls it."""

import asyncio

import pytest
import trio

from pipeline_serve.kserve.storage import Storage
from storage.errors import StorageError
from tests.storage.origin import Origin, serving

MODEL = {"model.txt": b"one", "more/weights.bin": b"two"}


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A bucket with MODEL in ``s3://b/m``, and a place for downloads that is the test's own."""
    with serving() as own:
        own.files = {f"/b/m/{name}": data for name, data in MODEL.items()}
        variables = {"AWS_ENDPOINT_URL": own.url, "awsAnonymousCredential": "true", "HOME": str(tmp_path)}
        for name, value in {**variables, "TMPDIR": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("tempfile.tempdir", None)
        yield own


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "local"
    for name, data in MODEL.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_path_is_itself(local):
    assert Storage.download(str(local)) == str(local)
    assert Storage.download(f"file://{local}") == str(local)
    assert Storage.download(str(local / "model.txt")) == str(local / "model.txt")


def test_a_path_is_linked_into_a_folder(local, tmp_path):
    target = str(tmp_path / "target")
    assert Storage.download(str(local), target) == target
    assert (tmp_path / "target" / "model.txt").is_symlink()
    assert (tmp_path / "target" / "more" / "weights.bin").read_bytes() == b"two"


def test_a_uri_without_a_folder_is_brought_into_a_new_one(bucket, tmp_path):
    first, second = Storage.download("s3://b/m"), Storage.download("s3://b/m")
    assert first != second
    assert files(tmp_path / first) == files(tmp_path / second) == MODEL


def test_patterns_choose(bucket, tmp_path):
    Storage.download("s3://b/m", str(tmp_path / "a"), allow_patterns=["*.txt"])
    Storage.download("s3://b/m", str(tmp_path / "b"), ignore_patterns=["*.txt"])
    assert [*files(tmp_path / "a"), *files(tmp_path / "b")] == ["model.txt", "more/weights.bin"]


def test_several_go_each_into_its_folder(bucket, local, tmp_path):
    folders = [str(tmp_path / name) for name in "xy"]
    assert Storage.download_files(["s3://b/m", str(local)], folders) == folders
    assert files(tmp_path / "x") == MODEL
    with pytest.raises(ValueError, match="argument 2"):
        Storage.download_files(["s3://b/m"], folders)


def test_what_is_not_there_is_told(bucket, tmp_path):
    with pytest.raises(OSError, match="nope"):
        Storage.download(str(tmp_path / "nope"))
    with pytest.raises(StorageError):
        Storage.download("s3://b/nope", str(tmp_path / "target"))
    with pytest.raises(ValueError, match="nope://"):
        Storage.download("nope://x")


@pytest.mark.parametrize("uri", ["", "file://"])
@pytest.mark.parametrize("target", [True, False])
def test_an_empty_uri_is_not_the_folder_that_one_stands_in(tmp_path, uri, target):
    with pytest.raises(ValueError, match=f'^"{uri}" names no model; write a path, '):
        Storage.download(uri, str(tmp_path / "target") if target else None)
    assert list(tmp_path.iterdir()) == []


def test_under_a_loop_of_asyncio(bucket: Origin, tmp_path):
    async def load():
        return Storage.download("s3://b/m", str(tmp_path / "here"))

    assert files(tmp_path / asyncio.run(load())) == MODEL


async def test_under_a_loop_of_trio_and_in_a_thread_of_it(bucket: Origin, tmp_path):
    Storage.download("s3://b/m", str(tmp_path / "here"))
    await trio.to_thread.run_sync(Storage.download, "s3://b/m", str(tmp_path / "there"))
    assert files(tmp_path / "here") == files(tmp_path / "there") == MODEL

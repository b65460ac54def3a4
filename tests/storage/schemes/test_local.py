"""Paths and ``file://``, relative to the graph file; nothing is copied."""

import pytest

from storage.schemes.local import fetch


@pytest.mark.parametrize(
    "uri",
    [
        "m.joblib",
        "./m.joblib",
        "sub/../m.joblib",
        "{folder}/m.joblib",
        "file://{folder}/m.joblib",
        "FILE://localhost{folder}/m.joblib",
    ],
)
async def test_a_path_is_the_path_itself(tmp_path, uri):
    (tmp_path / "sub").mkdir()
    (tmp_path / "m.joblib").write_bytes(b"model")
    found = await fetch(uri.format(folder=tmp_path), tmp_path)
    assert found.is_absolute()
    assert found.samefile(tmp_path / "m.joblib")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("a b.joblib", "file://{folder}/a%20b.joblib"),
        ("a%20b.joblib", "a%20b.joblib"),
        ("a#b?c.joblib", "a#b?c.joblib"),
        ("ä.joblib", "file://{folder}/%C3%A4.joblib"),
    ],
)
async def test_only_a_uri_is_unquoted_a_path_is_what_it_says(tmp_path, name, uri):
    (tmp_path / name).touch()
    assert (await fetch(uri.format(folder=tmp_path), tmp_path)).name == name


async def test_a_folder_is_a_model_too_and_links_are_followed(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    assert (await fetch("link", tmp_path)).is_dir()


@pytest.mark.parametrize("uri", ["gone.joblib", "m.joblib/x", "dangling", "nul\0"])
async def test_what_is_not_there_is_named_as_it_was_written_with_where_it_was_looked_for(tmp_path, uri):
    (tmp_path / "m.joblib").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError) as caught:
        await fetch(uri, tmp_path)
    assert str(caught.value).startswith(f'there is no model at "{uri}"; looked at {tmp_path}')

"""Paths, ``file://`` relative to the graph file, and volumes; nothing is copied, and nothing leaves a volume."""

import pytest

from storage.errors import Unsafe
from storage.options import Settings
from storage.schemes.local import open_source, refusal


def found(uri, folder, **variables):
    return open_source(uri, Settings(variables, folder)).path


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
def test_a_path_is_the_path_itself(tmp_path, uri):
    (tmp_path / "sub").mkdir()
    (tmp_path / "m.joblib").write_bytes(b"model")
    path = found(uri.format(folder=tmp_path), tmp_path)
    assert path.is_absolute()
    assert path.samefile(tmp_path / "m.joblib")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("a b.joblib", "file://{folder}/a%20b.joblib"),
        ("a%20b.joblib", "a%20b.joblib"),
        ("a#b?c.joblib", "a#b?c.joblib"),
        ("ä.joblib", "file://{folder}/%C3%A4.joblib"),
    ],
)
def test_only_a_uri_is_unquoted_a_path_is_what_it_says(tmp_path, name, uri):
    (tmp_path / name).touch()
    assert found(uri.format(folder=tmp_path), tmp_path).name == name


def test_a_folder_is_a_model_too_and_links_are_followed(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    assert found("link", tmp_path).is_dir()


@pytest.mark.parametrize("uri", ["gone.joblib", "m.joblib/x", "dangling", "nul\0"])
def test_what_is_not_there_is_named_as_it_was_written_with_where_it_was_looked_for(tmp_path, uri):
    (tmp_path / "m.joblib").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError) as caught:
        found(uri, tmp_path)
    assert str(caught.value).startswith(f'there is no model at "{uri}"; looked at {tmp_path}')


def test_a_volume_is_below_the_root_or_is_mounted_as_the_root(tmp_path):
    (tmp_path / "claim/m").mkdir(parents=True)
    (tmp_path / "other.bin").touch()
    root = str(tmp_path)
    assert found("pvc://claim/m", tmp_path, PIPELINE_SERVE_PVC_ROOT=root) == tmp_path / "claim/m"
    assert found("pvc://claim/", tmp_path, PIPELINE_SERVE_PVC_ROOT=root) == tmp_path / "claim"
    assert found("pvc://elsewhere/other.bin", tmp_path, PIPELINE_SERVE_PVC_ROOT=root) == tmp_path / "other.bin"


def test_a_volume_without_the_model_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        found("pvc://claim/m", tmp_path, PIPELINE_SERVE_PVC_ROOT="/nowhere")
    assert str(caught.value) == 'there is no model at "pvc://claim/m"; looked at /nowhere/claim/m and /nowhere/m'


def test_the_root_of_volumes_is_where_kserve_mounts_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="/mnt/pvc/claim/m"):
        found("pvc://claim/m", tmp_path)


@pytest.mark.parametrize("link", ["m", "m/in/file", "m/in/folder"])
def test_a_link_that_leaves_the_volume_is_refused_wherever_it_lies(tmp_path, link):
    (tmp_path / "secret").mkdir()
    (tmp_path / "volumes/claim").mkdir(parents=True)
    if link != "m":
        (tmp_path / "volumes/claim/m/in").mkdir(parents=True)
    (tmp_path / "volumes/claim" / link).symlink_to(tmp_path / "secret")
    with pytest.raises(Unsafe, match=r"leaves its volume: .* leads to .*/secret"):
        found("pvc://claim/m", tmp_path, PIPELINE_SERVE_PVC_ROOT=str(tmp_path / "volumes"))


def test_a_link_within_the_volume_is_followed(tmp_path):
    (tmp_path / "claim/versions/2").mkdir(parents=True)
    (tmp_path / "claim/current").symlink_to("versions/2")
    assert found("pvc://claim/current", tmp_path, PIPELINE_SERVE_PVC_ROOT=str(tmp_path)).is_dir()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("m.joblib", None),
        ("../up", None),
        (".", None),
        ("", '"" names no model; write a path, file:///PATH or another URI'),
        ("file://", '"file://" names no model; write a path, file:///PATH or another URI'),
        ("file:///abs", None),
        ("file://host/abs", '"file://host/abs" names a host; write file:///PATH'),
        ("pvc://claim/m", None),
        ("pvc:///m", '"pvc:///m" names no claim; write pvc://NAME/PATH'),
        ("pvc://../m", '"pvc://../m" names no claim; write pvc://NAME/PATH'),
        ("pvc://claim/a/../../b", '"pvc://claim/a/../../b" leaves its volume'),
    ],
)
def test_what_can_be_told_without_looking_is_told(uri, says):
    assert refusal(uri) == says

"""Which runtime a model file is for, and what is said where that cannot be told."""

import re
import subprocess
import sys

import pytest

from pipeline.runtimes.catalog import CannotOpen, model_file, refuse_stand_in, runtimes, runtimes_for
from tests.serving import ROOT


def test_runtimes_are_the_files_of_the_folder():
    assert set(runtimes()) == {"lightgbm", "onnx", "sklearn", "torch", "xgboost"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m.joblib", ["sklearn"]),
        ("m.PKL", ["sklearn"]),
        ("s3://b/m.pickle", ["sklearn"]),
        ("m.onnx", ["onnx"]),
        ("m.ubj", ["xgboost"]),
        ("m.txt", ["lightgbm"]),
        ("m.bst", ["lightgbm", "xgboost"]),
        ("m.pt2", ["torch"]),
        ("m.csv", []),
        ("m", []),
    ],
)
def test_a_file_is_for_the_runtimes_whose_suffix_it_has(name, expected):
    assert runtimes_for(name, runtimes()) == expected


BOOSTER = '{"learner":{"attributes":{}}}'
LGB = "tree\nversion=v4\n"


@pytest.mark.parametrize(
    ("files", "path", "runtime", "expected"),
    [
        ({"m.joblib": ""}, "m.joblib", None, ("m.joblib", "sklearn")),
        ({"m.bin": ""}, "m.bin", "sklearn", ("m.bin", "sklearn")),
        ({"m.joblib": "", "README.md": "", ".hidden.pkl": "", "x.pkl/": ""}, ".", None, ("m.joblib", "sklearn")),
        ({"m.joblib": ""}, ".", "sklearn", ("m.joblib", "sklearn")),
        ({"m.bst": BOOSTER}, "m.bst", None, ("m.bst", "xgboost")),
        ({"m.bst": LGB}, "m.bst", None, ("m.bst", "lightgbm")),
        ({"m.bst": "?"}, "m.bst", "xgboost", ("m.bst", "xgboost")),
        ({"m.json": BOOSTER, "request.json": '{"instances": []}'}, ".", None, ("m.json", "xgboost")),
        ({"m.txt": LGB, "requirements.txt": "numpy\n"}, ".", None, ("m.txt", "lightgbm")),
        ({"m.onnx": "", "config.json": "{}"}, ".", None, ("m.onnx", "onnx")),
        (
            {"m.bin": ""},
            "m.bin",
            None,
            r"m\.bin is for no runtime .* begins with; a graph file says which: \{model: m\.bin, runtime: NAME\}",
        ),
        ({"m.bst": "?"}, "m.bst", None, r"m\.bst is for no runtime that is known, by its ending and"),
        ({"gone.txt/": ""}, "m.txt", None, ("m.txt", "lightgbm")),
        ({"a.joblib": "", "b.pkl": ""}, ".", None, r"has 2 model files \(a\.joblib and b\.pkl\); name one"),
        (
            {"a.joblib": "", "b.onnx": ""},
            ".",
            None,
            r"has models of onnx and sklearn; a graph file says which: \{model: ",
        ),
        ({"a.joblib": "", "b.onnx": ""}, ".", "onnx", ("b.onnx", "onnx")),
        ({"README.md": ""}, ".", None, "has no model file; there are runtimes for"),
        ({}, ".", "sklearn", "has no model file"),
    ],
)
def test_a_path_leads_to_one_file_and_one_runtime_or_says_why_not(tmp_path, files, path, runtime, expected):
    for name, text in files.items():
        if name.endswith("/"):
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(text)
    match expected:
        case (name, kind):
            assert model_file(tmp_path / path, runtime, runtimes()) == (tmp_path / name, kind)
        case _:
            with pytest.raises(CannotOpen) as caught:
                model_file(tmp_path / path, runtime, runtimes())
            assert re.search(expected, str(caught.value))


LIBRARIES = {
    "onnx": "onnxruntime",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "torch": "torch",
    "sklearn": "scikit-learn",
}


@pytest.mark.parametrize(("runtime", "library"), LIBRARIES.items())
def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch, runtime, library):
    monkeypatch.setitem(sys.modules, "sklearn" if runtime == "sklearn" else library, None)
    own = runtimes()[runtime]
    path = tmp_path / f"m{own.SUFFIXES[0]}"
    path.touch()
    with pytest.raises(CannotOpen) as caught:
        own.open_model(path, "m", {}, 1)
    assert str(caught.value) == f'{path.name} needs {library}: pip install "pipeline-serve[{runtime}]"'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "m.pt is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "m.pt is Git's pointer to the model; git"),
    ],
)
def test_what_stands_in_the_place_of_a_model_is_refused(tmp_path, content, says):
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(CannotOpen, match=f"^{says}"):
        refuse_stand_in(tmp_path / "m.pt")


def test_no_library_is_imported_before_a_model_is_opened():
    names = "{'onnxruntime', 'onnx', 'xgboost', 'lightgbm', 'torch', 'sklearn', 'joblib', 'pandas'}"
    code = f"import sys, pipeline_serve, server.start\nfrom pipeline.runtimes.catalog import runtimes\nruntimes()\n\
print(sorted(sys.modules.keys() & {names}))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"

"""Which runtime a model file is for, and what is said where that cannot be told."""

import re

import pytest

from pipeline.runtimes.catalog import CannotOpen, model_file, runtimes, runtimes_for


def test_runtimes_are_the_files_of_the_folder():
    assert "sklearn" in runtimes()
    assert "catalog" not in runtimes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("m.joblib", ["sklearn"]), ("m.PKL", ["sklearn"]), ("s3://b/m.pickle", ["sklearn"]), ("m.txt", []), ("m", [])],
)
def test_a_file_is_for_the_runtimes_whose_suffix_it_has(name, expected):
    assert runtimes_for(name, runtimes()) == expected


@pytest.mark.parametrize(
    ("files", "path", "runtime", "expected"),
    [
        (["m.joblib"], "m.joblib", None, "m.joblib"),
        (["m.bin"], "m.bin", "sklearn", "m.bin"),
        (["m.joblib", "README.md", ".hidden.pkl"], ".", None, "m.joblib"),
        (["m.joblib"], ".", "sklearn", "m.joblib"),
        (["m.bin"], "m.bin", None, r"no runtime is known for m\.bin; add runtime to the step"),
        (["a.joblib", "b.pkl"], ".", None, r"has 2 model files \(a\.joblib and b\.pkl\); name one"),
        (["README.md"], ".", None, "has no model file; there are runtimes for"),
        ([], ".", "sklearn", "has no model file"),
    ],
)
def test_a_path_leads_to_one_file_and_one_runtime_or_says_why_not(tmp_path, files, path, runtime, expected):
    for name in files:
        (tmp_path / name).touch()
    if expected in files:
        assert model_file(tmp_path / path, runtime, runtimes()) == (tmp_path / expected, "sklearn")
    else:
        with pytest.raises(CannotOpen, match=expected) as caught:
            model_file(tmp_path / path, runtime, runtimes())
        assert re.search(expected, str(caught.value))

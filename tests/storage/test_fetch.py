"""A URI leads to its scheme, and what no scheme serves is refused before anything is looked for."""

import pytest

from storage import fetch, refusal
from storage.fetch import _LATER


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("model.joblib", None),
        ("../up/model.joblib", None),
        ("/abs/model.joblib", None),
        ("file:///abs/model.joblib", None),
        ("FILE://localhost/abs", None),
        ("file://host/abs", '"file://host/abs" names a host; write file:///PATH'),
        ("ftp://x/y", 'no scheme "ftp://" is known; there are paths and file://'),
        *(
            (f"{scheme}://x/y", f"{scheme}:// is known but not built yet; a path or file:// works")
            for scheme in sorted(_LATER)
        ),
    ],
)
def test_what_can_be_told_without_looking_is_told(uri, says):
    assert refusal(uri) == says


@pytest.mark.parametrize("uri", ["ftp://x/y", "s3://b/k", "file://host/x"])
async def test_what_is_refused_is_not_fetched(tmp_path, uri):
    with pytest.raises(ValueError, match="://"):
        await fetch(uri, tmp_path)


async def test_a_path_goes_to_the_local_scheme(tmp_path):
    (tmp_path / "m.joblib").touch()
    assert await fetch("m.joblib", tmp_path) == tmp_path / "m.joblib"

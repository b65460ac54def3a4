"""Reading URIs."""

import pytest

from storage.uri import scheme_of


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("model.joblib", ""),
        ("/a/b", ""),
        ("./a:b", ""),
        ("C://x", ""),
        ("C:\\x", ""),
        ("", ""),
        ("s3:x", ""),
        ("s3://b/k", "s3"),
        ("S3://b/k", "s3"),
        ("file:///x", "file"),
        ("1s://x", ""),
        ("a/s3://b", ""),
        ("git+ssh://x", "git+ssh"),
    ],
)
def test_the_scheme_is_what_stands_before_the_slashes(uri, scheme):
    assert scheme_of(uri) == scheme

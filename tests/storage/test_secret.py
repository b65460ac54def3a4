"""Nothing that is shown has a secret in it."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.secret import legible, scrub, shown


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("m.joblib", "m.joblib"),
        ("/a?b@c#d", "/a?b@c#d"),
        ("https://user:pass@host:8443/p/m.bin?X-Amz-Signature=abc#frag", "https://host:8443/p/m.bin"),
        ("https://a.blob.core.windows.net/c/m?sv=1&sig=abc", "https://a.blob.core.windows.net/c/m"),
        ("s3://b/k", "s3://b/k"),
        ("s3://b/what?.bin", "s3://b/what?.bin"),
        ("s3://b/k#1", "s3://b/k#1"),
        ("S3://KEY:SECRET@b/k?X-Amz-Signature=abc", "S3://b/k"),
        ("hf://o/m?token=hf_abc", "hf://o/m"),
        ("pvc://u:p@claim/m", "pvc://claim/m"),
        ("abfss://container@a.dfs.core.windows.net/m", "abfss://container@a.dfs.core.windows.net/m"),
        ("abfss://u:p@a.dfs.core.windows.net/m", "abfss://a.dfs.core.windows.net/m"),
        ("https://u:p/a#b?c@host:1/@scope/m", "https://host:1/@scope/m"),
        ("https://host:8080/@scope/m@1", "https://host:8080/@scope/m@1"),
        ("https://[::1", "https://[::1"),
    ],
)
def test_a_uri_is_shown_without_user_and_query(uri, safe):
    assert shown(uri) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("HEAD http://u:p@h/x?sig=abc in 1ms", "HEAD http://h/x in 1ms"),
        ('<a href="https://h/x?sig=abc">', '<a href="https://h/x">'),
        ("Authorization: Bearer abc.def", "Authorization: …"),
        ("authorization=Basic abc= x", "authorization=… x"),
        ("sent bearer abc.def twice", "sent bearer … twice"),
        ("signature = deadbeef", "signature = …"),
        (
            "the request signature we calculated does not match the signature you provided",
            "the request signature we calculated does not match the signature you provided",
        ),
        ("the value of the Authorization header is not formed", "the value of the Authorization header is not formed"),
        ("nothing here", "nothing here"),
    ],
)
def test_a_librarys_text_loses_what_urls_and_headers_carry(text, safe):
    assert scrub(text) == safe


@given(st.text())
def test_what_others_wrote_is_one_line_that_steers_no_terminal(text):
    assert legible(text).isprintable()
    assert len(legible(text)) == len(text)
    assert legible("a\nb\x1b[2Jc ä") == "a b\N{REPLACEMENT CHARACTER}[2Jc ä"


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=6),
    st.text(max_size=20),
    st.sampled_from([str, quote, quote_plus, lambda text: quote(text, safe="")]),
)
def test_a_secret_is_gone_in_whichever_coding(secret, around, coding):
    assert secret not in scrub(f"{around} {coding(secret)} {around}", [secret]).replace(around, "")

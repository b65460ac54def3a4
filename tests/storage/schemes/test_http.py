"""``http(s)://``: what of a URI is sent, what is kept, and what can be told without looking."""

import re
import socket
from pathlib import Path

import pytest

from storage.errors import StorageError, Unreachable
from storage.options import Settings
from storage.schemes.http import file_called, headers_for, lasting, open_source, refusal, sign_in


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("https://h/a/m.bin?sig=x", None),
        ("http:///m.bin", '"http:///m.bin" has no host; write http://HOST/PATH/FILE'),
        ("https://u:p@h/?sig=x", '"https://h/" names no file; a web server cannot list a folder'),
        ("https://h/a/..", '"https://h/a/.." ends in a name that is no file name'),
        ("https://h/a%2Fb", '"https://h/a%2Fb" ends in a name that is no file name'),
        (
            "https://h/repo.git",
            '"https://h/repo.git" is a git repository, which is not fetched; name a file, or an archive of it',
        ),
        (
            "https://acc.file.core.windows.net/share/m?x=y",
            (
                '"https://acc.file.core.windows.net/share/m" is in an Azure file share, of which one file is read, by '
                "a SAS token in its URL; put the model into a container of blobs"
            ),
        ),
        ("https://acc.z1.file.storage.azure.net/share/m.bin?sv=1&sig=x", None),
    ],
)
def test_what_can_be_told_without_looking_is_told(uri, says):
    assert refusal(uri) == says


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://h/a/m%20x.bin?v=1", "m x.bin"),
        ("https://h/download?id=1&file=models%2Fm.tar.gz", "m.tar.gz"),
        ("https://h/m.bin?file=m.zip", "m.bin"),
        ("https://h/m?X-Amz-Signature=zip", "m"),
    ],
)
def test_the_query_names_an_archive_where_the_path_names_no_kind(uri, name):
    assert file_called(uri) == name


def test_a_user_and_password_become_a_header():
    assert sign_in("https://me:p%40ss@h/m") == {"authorization": "Basic bWU6cEBzcw=="}
    assert sign_in("https://h/m@x") == {}


def test_headers_come_from_kserves_variable_and_what_is_wrong_with_it_is_not_repeated():
    assert headers_for("h", Settings({"h-headers": '{"X-Key": "k", "N": 1}'}, Path())) == {"X-Key": "k", "N": "1"}
    assert headers_for("other", Settings({"h-headers": "{}"}, Path())) == {}
    for text in ("{", '["hunter2"]'):
        with pytest.raises(StorageError, match=r"^h-headers is not a JSON object of header names and values$"):
            headers_for("h", Settings({"h-headers": text}, Path()))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://h/m?v=2&b=&st=3", "https://h/m?v=2&b=&st=3"),
        ("https://h/m?X-Amz-Signature=s&X-Amz-Date=d&v=2", "https://h/m?v=2"),
        ("https://h/m?X-Goog-Signature=s&GoogleAccessId=x&Expires=1&Signature=s", "https://h/m"),
        ("https://h/m?sv=1&st=2&se=3&sr=b&sp=r&sig=x", "https://h/m"),
    ],
)
def test_two_signatures_of_one_file_are_one_file_in_the_cache(url, kept):
    assert lasting(url) == kept


@pytest.mark.parametrize(
    ("uri", "headers", "tried"),
    [
        ("https://h/m", None, "nobody in particular"),
        ("https://me:secret@h/m", None, "the user in the URL"),
        ("https://h:1/m", '{"X-B": "hush", "X-A": "hush"}', "h-headers (X-A, X-B)"),
        ("https://me:secret@h/m", '{"X-A": "hush"}', "the user in the URL with h-headers (X-A)"),
    ],
)
def test_who_asks_is_called_by_where_it_was_told(uri, headers, tried):
    who = open_source(uri, Settings({"h-headers": headers} if headers else {}, Path())).who
    assert who.tried == tried
    assert who.set.startswith("set h-headers to a JSON object")


def test_a_server_that_is_not_there_is_named_with_what_is_wrong():
    with socket.create_server(("127.0.0.1", 0)) as there:
        base = f"http://127.0.0.1:{there.getsockname()[1]}"
    told = f"HTTP resource {base}/m cannot be reached at {base}: nobody listens there"
    with pytest.raises(Unreachable, match=f"^{re.escape(told)}$"):
        open_source(f"{base}/m?sig=hush", Settings({}, Path())).listing()

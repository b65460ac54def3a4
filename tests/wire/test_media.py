"""What a body is, by its media type."""

from __future__ import annotations

import pytest

from pipeline.wire.media import is_json, media_of


@pytest.mark.parametrize(
    ("header", "media", "json"),
    [
        (None, "", True),
        ("application/json", "application/json", True),
        (" Application/JSON ; charset=utf-8", "application/json", True),
        ("application/ld+json", "application/ld+json", True),
        ("application/octet-stream", "application/octet-stream", True),
        ("text/plain; a=application/json", "text/plain", False),
        ("image/jpeg", "image/jpeg", False),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded", False),
        ("application/jsonlines", "application/jsonlines", False),
    ],
)
def test_a_media_type_is_read_without_its_parameters_and_json_is_known(header, media, json):
    headers = {} if header is None else {"content-type": header}
    assert (media_of(headers), is_json(media_of(headers))) == (media, json)

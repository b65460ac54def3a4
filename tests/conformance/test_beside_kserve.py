"""Our replies beside those of KServe's own server: alike, or different for a reason that is written down."""

from __future__ import annotations

import pytest

from tests.conformance.beside_kserve import compare, differences, seen, summary, table
from tests.conformance.corpus import asks
from tests.conformance.reasons import Ask, status, text

OK = seen("GET", 200, {"content-length": "2", "content-type": "a/b"}, b"{}")
OTHER = seen("GET", 400, {"content-length": "1", "content-type": "a/b"}, b"5")


@pytest.mark.slow
def test_replies_differ_from_kserves_only_where_there_is_a_reason(peer, tmp_path):
    count, found = compare(peer("kserve"), tmp_path)
    assert count == len(list(asks()))
    if wrong := [each for each in found if not each.right]:
        pytest.fail(f"{table(wrong)}\n\n{summary(count, found)}", pytrace=False)


def test_a_request_of_the_corpus_is_known_by_its_name():
    names = [ask.what for ask in asks()]
    assert len(set(names)) == len(names) > 250


@pytest.mark.parametrize(
    ("why", "ours", "right"),
    [
        ((), OK, {}),
        ((), OTHER, {"body": False, "status": False}),
        ((status(400, "because"),), OTHER, {"body": True, "status": True}),
        ((status(500, "because"),), OTHER, {"body": True, "status": False}),
        ((text("because"),), OTHER, {"body": True, "status": False}),
        ((status(200, "because"),), OK, {"body": False, "status": False}),
    ],
    ids=["alike", "no reason", "a reason", "another status", "of a part", "no longer"],
)
def test_a_difference_is_right_with_a_reason_and_a_reason_with_a_difference(why, ours, right):
    found = list(differences(Ask("it", "GET", "/", why=why), OK, ours))
    assert {each.aspect: each.right for each in found} == right
    told = table(found)
    assert ("NO REASON FOR" in told, "NO LONGER" in told) == (
        any(not each.reason for each in found), any(each.stale for each in found),
    )  # fmt: skip


def test_what_must_differ_is_not_compared():
    one = b'{"model_version":null,"id":"00000000-0000-4000-8000-000000000000"}'
    two = b'{"model_version":"1","id":"12345678-9abc-4def-8000-000000000000"}'
    replies = [seen("GET", 200, {"content-length": str(len(body))}, body) for body in (one, two)]
    assert list(differences(Ask("it", "GET", "/"), *replies)) == []


def test_a_length_that_is_wrong_is_seen():
    assert seen("GET", 200, {"content-length": "3"}, b"{}")["content-length"] == "3 of 2"
    assert seen("GET", 200, {}, b"{}")["content-length"] == "none"
    assert seen("POST", 200, {"inference-header-content-length": "1"}, b"{}!")["inference-header-content-length"] == "1"

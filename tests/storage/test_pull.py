"""One pull, blocking: what a source may do in the middle of it, and what is left for the next."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from storage.cache import Cache
from storage.errors import Cancelled, Changed, NotThere
from storage.events import Fetched, Kept, Listed
from storage.options import Settings
from storage.order import Order
from storage.pull import to_cache, to_folder
from storage.schemes import http, s3
from storage.transfer import Crew
from tests.storage.origin import PIECE, Fault, slowly

DATA = random.Random(3).randbytes(2**20 + 77)


@pytest.fixture
def cache(tmp_path):
    own = Cache(tmp_path / "cache")
    yield own
    own.close()


@pytest.fixture
def order(told):
    """One connection, so that what is asked comes in one order."""
    return Order(observe=told.append, crew=Crew(least=1, most=1))


def bucket(origin, uri="s3://b/m.bin", **variables):
    told = {"AWS_ENDPOINT_URL": origin.url, "awsAnonymousCredential": "true", **variables}
    return s3.open_source(uri, Settings(told, Path()))


def web(origin, **variables):
    return http.open_source(f"{origin.url}/m.bin", Settings(variables, Path()))


@pytest.mark.parametrize("ranged", [True, False])
def test_a_server_that_falls_silent_is_left_at_the_read_timeout_and_asked_again(cache, order, origin, ranged):
    origin.files = {"/m.bin": DATA}
    silent = threading.Event()

    def decide(seen):
        first = len(origin.gets("/m.bin")) == 2  # the one before asked for a byte
        return Fault(no_ranges=not ranged, wait=silent if first else None, after=4 * PIECE)

    origin.decide = decide
    assert to_cache(web(origin, S3_READ_TIMEOUT="1"), cache, order).path.read_bytes() == DATA
    asked = [seen.headers.get("range") for seen in origin.gets("/m.bin")[1:]]
    assert len(asked) == 2
    assert (asked[1] is not None and asked[1] != "bytes=0-") is ranged, "from where it was, or all of it"
    silent.set()


def test_the_connections_of_a_cancelled_pull_are_closed(cache, order, origin):
    origin.files = {"/b/m.bin": bytes(48 * 2**20)}
    slow = threading.Event()
    origin.decide = lambda seen: Fault(wait=slow) if seen.method == "GET" else None
    ended = []

    def pull():
        try:
            to_cache(bucket(origin, S3_READ_TIMEOUT="3600"), cache, replace(order, crew=Crew()))
        except Cancelled as error:
            ended.append(error)

    pulling = threading.Thread(target=pull)
    pulling.start()
    slowly(lambda: sum(seen.sent > 0 for seen in origin.gets("/b/m.bin")) == 3)
    order.cancel.set()
    pulling.join()
    assert len(ended) == 1
    slow.set()  # its next bytes meet a closed door
    slowly(lambda: all(seen.broken for seen in origin.gets("/b/m.bin")))


@pytest.mark.parametrize("through", [True, False])
def test_a_pull_that_fails_keeps_what_it_has_says_where_and_the_next_goes_on(
    cache, order, origin, told, tmp_path, through
):
    origin.files = {"/b/m.bin": DATA}
    gone = [False]

    def decide(seen):
        if seen.method == "GET" and gone[0]:
            return Fault(404)
        gone[0] = seen.method == "GET"
        return Fault(drop=len(DATA) // 2)

    def pull():
        to_folder(bucket(origin), tmp_path / "here/m", cache, order, through=through, offline=False)

    origin.decide = decide
    with pytest.raises(NotThere, match=r"S3 resource s3://b/m\.bin is not there"):
        pull()
    (kept,) = told.of(Kept)
    assert kept.folder.is_relative_to(tmp_path / ("cache" if through else "here"))
    assert [path for path in tmp_path.glob("here/*") if not path.name.startswith(".")] == []
    origin.decide = lambda seen: None
    pull()
    assert (tmp_path / "here/m/m.bin").read_bytes() == DATA
    assert told.of(Listed)[1].there > 0
    assert [path.name for path in tmp_path.glob("here/*")] == ["m"]


def test_without_ranges_an_object_that_changed_is_started_over_and_comes_whole(cache, order, origin):
    origin.files = {"/m.bin": DATA}
    other = DATA[::-1] + b"more"

    def decide(seen):
        if len(origin.gets("/m.bin")) == 2:
            origin.files["/m.bin"] = other
        return Fault(no_ranges=True)

    origin.decide = decide
    assert to_cache(web(origin), cache, order).path.read_bytes() == other


def test_one_that_always_changes_is_given_up_and_leaves_nothing(cache, order, origin):
    origin.files = {"/m.bin": DATA}
    origin.decide = lambda seen: Fault(no_ranges=True, etag=f'"{len(origin.seen)}"')
    with pytest.raises(Changed, match=r"/m\.bin changed again and again while it was downloaded"):
        to_cache(web(origin), cache, order)
    assert not [path for path in (cache.root / "work").glob("*") if path.is_dir()]


def test_the_cache_stays_below_its_limit_without_what_is_in_use(tmp_path, order, origin, told):
    origin.files = {f"/b/{name}": name.encode() * 100 for name in "abc"}
    one, two = Cache(tmp_path / "cache", limit=200), Cache(tmp_path / "cache", limit=200)
    first = to_cache(bucket(origin, "s3://b/a"), one, order)
    one.close()
    to_cache(bucket(origin, "s3://b/b"), one, order)
    last = to_cache(bucket(origin, "s3://b/c"), two, order)
    assert not first.folder.exists(), "it was not used for longest"
    assert len(list((tmp_path / "cache/models").iterdir())) == 2
    assert last.path.read_bytes() == b"c" * 100
    assert len(told.of(Fetched)) == 3
    one.close()
    two.close()

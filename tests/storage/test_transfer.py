"""The crew: what it raises, how many it is, and what it does with what its threads raise."""

from __future__ import annotations

import threading
import time

import pytest

from storage.errors import Cancelled, Changed, Denied, StorageError, Unreachable
from storage.listing import Item, Listing
from storage.parts import parts
from storage.retry import TRIES
from storage.source import CHUNK
from storage.transfer import Crew, cancellable, transfer
from storage.work import begin

DATA = bytes(range(250)) * 4
ITEM = Item("m", "m", len(DATA), '"e"')


class Source:
    """Gives ``DATA`` in pieces of 100, as ``fails`` lets it: (start, how often it was asked) → what it raises then."""

    shown = name = "u"

    def __init__(self, fails=lambda start, count: None):
        self.fails = fails
        self.asked = []
        self.at_once = self.most = 0
        self.lock = threading.Lock()

    def read(self, item, start, stop):
        with self.lock:
            self.asked.append(start)
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            for at in range(start, stop if stop is not None else len(DATA), 100):
                yield DATA[at : min(at + 100, stop or len(DATA))]
                failure = self.fails(start, len(self.asked))
                if failure is not None:
                    raise failure
        finally:
            with self.lock:
                self.at_once -= 1

    def asked_to_wait(self, item):
        return 0.0


def moved(source, tmp_path, size=250, cancel=None, crew=None, items=(ITEM,)):
    work = begin(tmp_path / "work", "u", Listing(tuple(items)), durable=False)
    told = []
    transfer(source, parts(items, work.written, size), work, cancel or threading.Event(), told.append, crew or Crew())
    return (tmp_path / "work/files/m").read_bytes(), told


def test_all_parts_arrive_and_the_last_word_is_the_whole(tmp_path):
    data, told = moved(Source(), tmp_path)
    assert data == DATA
    assert told[-1] == len(DATA)
    assert told == sorted(told)


def test_no_more_threads_than_parts_and_none_for_nothing(tmp_path):
    source = Source()
    moved(source, tmp_path, size=500)
    assert source.most <= 2
    assert moved(source, tmp_path)[1] == [0], "everything is there"


def test_all_threads_keep_to_the_pace_piece_by_piece(tmp_path):
    class Kept:
        rate, sizes = 1.0, []

        def keep(self, size, stop):
            self.sizes.append(size)

    assert moved(Source(), tmp_path, crew=Crew(pace=Kept()))[0] == DATA
    assert sum(Kept.sizes) == len(DATA)


def test_a_part_goes_on_where_it_was_interrupted(tmp_path):
    source = Source(lambda start, count: Unreachable("gone") if count < 4 else None)
    assert moved(source, tmp_path, size=1000)[0] == DATA
    assert source.asked == [0, 100, 200, 300]


def test_a_file_without_ranges_starts_over_and_is_counted_once(tmp_path):
    source = Source(lambda start, count: Unreachable("gone") if count < 3 else None)
    item = Item("m", "m", len(DATA), '"e"', ranged=False)
    data, told = moved(source, tmp_path, items=[item])
    assert (data, source.asked, told[-1]) == (DATA, [0, 0, 0], len(DATA))


def test_without_a_byte_it_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.retry._FIRST", 0.001)

    class Silent(Source):
        def read(self, item, start, stop):
            self.asked.append(start)
            raise Unreachable("silence")
            yield b""

    source = Silent()
    with pytest.raises(Unreachable, match="silence"):
        moved(source, tmp_path, size=1000)
    assert len(source.asked) == TRIES


@pytest.mark.parametrize("error", [Denied("no"), Changed("other"), ValueError("a bug")])
def test_what_one_raises_is_raised_and_the_others_stop(tmp_path, error):
    with pytest.raises(type(error), match=str(error)):
        moved(Source(lambda start, count: error if start == 250 else None), tmp_path)
    assert not [thread for thread in threading.enumerate() if thread.name == "storage"]


def test_more_than_was_listed_is_a_change(tmp_path):
    class Generous(Source):
        def read(self, item, start, stop):
            yield DATA + b"more"

    with pytest.raises(Changed, match="sent more of m than was listed"):
        moved(Generous(), tmp_path, size=1000)


def test_a_cancelled_transfer_leaves_a_silent_thread_behind_and_it_writes_nothing(tmp_path):
    cancel, silence = threading.Event(), threading.Event()

    class Silent(Source):
        def read(self, item, start, stop):
            yield DATA[:100]
            cancel.set()
            silence.wait(10)
            yield DATA[100:200]

    with pytest.raises(Cancelled):
        moved(Silent(), tmp_path, size=1000, cancel=cancel)
    (behind,) = [thread for thread in threading.enumerate() if thread.name == "storage"]
    silence.set()
    behind.join()
    data = (tmp_path / "work/files/m").read_bytes()
    assert data == DATA[:100]


@pytest.mark.parametrize(("size", "few", "most"), [(1, 2, 2), (1, 9, 4), (CHUNK + 1, 2, 4)])
def test_files_of_a_piece_begin_with_few_threads(tmp_path, size, few, most):
    meet = threading.Barrier(most)

    class Meeting(Source):
        def read(self, item, start, stop):
            with self.lock:
                self.asked.append(threading.get_ident())
            meet.wait(10)
            yield bytes(stop - start)

    source = Meeting()
    items = tuple(Item(f"m{number}", f"m{number}", size, '"e"') for number in range(8))
    work = begin(tmp_path / "work", "u", Listing(items), durable=False)
    transfer(source, parts(items, {}), work, threading.Event(), lambda _: None, Crew(least=4, few=few, look=1e9))
    assert len({*source.asked}) == most


class Lax:
    """Holds nobody up."""

    def __init__(self, rate):
        self.rate = rate

    def keep(self, size, stop):
        pass


@pytest.mark.parametrize(
    ("slow", "busy", "pace", "most"),
    [
        (1e12, 1e9, None, 4),
        (1e12, 1e9, Lax(1e12), 4),
        (0.0, 1e9, None, 2),
        (1e12, 0.0, None, 2),
        (1e12, 1e9, Lax(-1), 2),
    ],
)
def test_more_are_hired_where_each_is_slow_and_we_are_not_the_reason(tmp_path, slow, busy, pace, most):
    meet = threading.Event()

    class Slow(Source):
        def read(self, item, start, stop):
            with self.lock:
                self.at_once += 1
                self.most = max(self.most, self.at_once)
                if self.most >= most:
                    meet.set()
            meet.wait(0.3 if most == 2 else 10)
            yield DATA[start:stop]
            with self.lock:
                self.at_once -= 1

    source = Slow()
    crew = Crew(least=2, most=4, slow=slow, look=0.01, busy=busy, pace=pace)
    assert moved(source, tmp_path, size=100, crew=crew)[0] == DATA
    assert source.most == most


class Dripping(Source):
    """A byte each hundredth of a second."""

    def read(self, item, start, stop):
        for at in range(start, stop):
            yield DATA[at : at + 1]
            time.sleep(0.01)


def test_a_trickle_is_given_up_though_it_never_ends(tmp_path):
    with pytest.raises(Unreachable, match=r"u sends less than 1,024 bytes a second; the next pull goes on"):
        moved(Dripping(), tmp_path, size=len(DATA), crew=Crew(patience=0.1))


class Panic(BaseException):
    """As of Rust code, which is no Exception."""


def test_a_panic_is_an_error_of_this_pull_and_ends_nothing_else(tmp_path):
    with pytest.raises(StorageError, match="obstore failed: no descriptor left"):
        moved(Source(lambda start, count: Panic("no descriptor\nleft")), tmp_path)
    with pytest.raises(StorageError, match="obstore failed: its own"):
        cancellable(lambda: (_ for _ in ()).throw(Panic("its own")), threading.Event())


def test_a_question_is_left_behind_when_it_is_cancelled():
    cancel, silence = threading.Event(), threading.Event()
    assert cancellable(lambda: 7, cancel) == 7
    with pytest.raises(Denied):
        cancellable(lambda: (_ for _ in ()).throw(Denied("no")), cancel)
    threading.Timer(0.05, cancel.set).start()
    with pytest.raises(Cancelled):
        cancellable(lambda: silence.wait(10), cancel)
    silence.set()

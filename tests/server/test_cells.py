"""Numbers in shared memory: what is written is read, by whoever, and a part that changes hands goes on."""

from __future__ import annotations

import mmap
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cells import Cells, left, process_of, read

# From Python 3.12 on a fork beside a thread warns, and who runs the tests may have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

SIZE = 4096


def part(size: int = SIZE) -> memoryview:
    return memoryview(mmap.mmap(-1, size))


def content(memory: memoryview) -> dict[tuple[str, ...], list[float]]:
    return {key: list(numbers) for key, numbers in read(memory)}


KEYS = st.lists(st.sampled_from(["", "a", "model", "é", "x" * 40]), min_size=1, max_size=2).map(tuple)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "add", "drop", "take"]), KEYS, st.floats(0, 9)), max_size=40
)  # fmt: skip


@given(changes=CHANGES)
def test_a_part_is_a_table_of_numbers_whoever_writes_it_next(changes):
    memory = part(1 << 16)
    cells, model = Cells(memory, 1), {}
    for what, key, by in changes:
        match what:
            case "add":
                at = cells.place(key, 1 + len(key))
                cells.numbers[at + len(key)] += by
                numbers = model.setdefault(key, [0.0] * (1 + len(key)))
                numbers[-1] += by
            case "drop":
                cells.drop(key)
                model.pop(key, None)
            case "take":
                cells = Cells(memory, 2)
        assert content(memory) == model
        assert set(cells.known()) == model.keys()


def test_what_is_dropped_makes_room_for_the_like_of_it():
    memory = part()
    cells = Cells(memory, 1)
    for number in range(1000):
        cells.numbers[cells.place((f"model-{number:04}",), 16)] += 1
        cells.drop((f"model-{number:04}",))
    assert cells.place(("another",), 16)
    assert content(memory) == {("another",): [0.0] * 16}


def test_where_there_is_no_room_the_log_says_so_once_and_the_rest_is_counted(caplog):
    memory = part()
    cells = Cells(memory, 1)
    for number in range(100):
        cells.numbers[cells.place((f"model-{number}",), 16)] += 1
    found = content(memory)
    assert 0 < len(found) < 100
    assert set(found) == {(f"model-{number}",) for number in range(len(found))}
    assert {numbers[0] for numbers in found.values()} == {1.0}
    assert len(caplog.records) == 1
    assert "there is no room for the metrics of model-" in caplog.text


def test_what_a_process_counted_is_there_after_its_end_and_another_goes_on():
    memory = part()
    child = os.fork()
    if not child:
        cells = Cells(memory, os.getpid())
        cells.numbers[cells.place(("n",), 1)] += 2
        os._exit(0)
    os.waitpid(child, 0)
    assert process_of(memory) == child
    left(memory)
    assert process_of(memory) == 0
    cells = Cells(memory, os.getpid())
    cells.numbers[cells.place(("n",), 1)] += 1
    assert content(memory) == {("n",): [3.0]}


def test_a_key_whose_writer_died_in_the_middle_of_it_is_nobodys():
    memory = part()
    words = memory.cast("Q")
    cells = Cells(memory, 1)
    at = cells.place(("broken",), 1)
    head = next(place for place in range(at) if words[place + 1] == len(b'["broken"]') and words[place] == 2)
    words[head] += 1
    assert content(memory) == {}
    cells = Cells(memory, 2)
    assert cells.known() == ()
    assert cells.place(("another",), 1) == at
    assert content(memory) == {("another",): [0.0]}

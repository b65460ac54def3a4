"""What a journal says was written, whatever is at its end, and what is missing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from storage.journal import Journal, boot, missing, record, sound, spans

SPAN = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: tuple(sorted(pair)))


@given(st.lists(st.tuples(st.integers(0, 2), SPAN)), st.integers(0, 23))
def test_it_is_the_union_of_its_records_and_a_torn_one_is_none(written, torn):
    data = b"".join(record(file, *span) for file, span in written) + record(9, 0, 99)[:torn]
    read = spans(sound(data))
    assert 9 not in read
    for file in range(3):
        own = read.get(file, [])
        assert own == sorted(own)
        assert all(first[1] < second[0] for first, second in pairwise(own))
        bytes_there = {byte for start, stop in own for byte in range(start, stop)}
        assert bytes_there == {
            byte for number, (start, stop) in written if number == file for byte in range(start, stop)
        }


@given(st.lists(SPAN), st.integers(1, 60))
def test_what_is_missing_is_the_rest(written, size):
    own = spans(b"".join(record(0, *span) for span in written)).get(0, [])
    there = {byte for start, stop in own for byte in range(start, stop) if byte < size}
    gone = {byte for start, stop in missing(own, size) for byte in range(start, stop)}
    assert (there | gone, there & gone) == (set(range(size)), set())


@given(st.lists(st.tuples(st.integers(0, 2), SPAN)), st.binary(min_size=1))
def test_nothing_counts_from_bytes_that_are_no_record_on(written, noise):
    data = b"".join(record(file, *span) for file, span in written)
    assert sound(data + noise + data).startswith(data)
    torn = data + record(1, 0, 2**40)[:7] + data
    assert sound(torn) == data


def test_an_empty_file_is_missing_until_it_has_a_record():
    assert missing((), 0) == [(0, 0)]
    assert missing([(0, 0)], 0) == []


def test_a_file_is_appended_to(tmp_path):
    for start in (0, 5):
        journal = Journal(tmp_path / "journal")
        journal.note(1, start, start + 5)
        journal.close()
    assert spans((tmp_path / "journal").read_bytes()) == {1: [(0, 10)]}


def test_the_boot_is_the_same_all_along():
    assert boot() == boot()

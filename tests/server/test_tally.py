"""What several processes count is one sum, which no death of one of them makes smaller."""

from __future__ import annotations

import os

import pytest

from server.tally import Family, Tally

# From Python 3.12 on a fork beside a thread warns, and who runs the tests may have some.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

REQUESTS = Family("requests", "counter", "Requests", ("model",))
INSIDE = Family("inside", "gauge", "Requests inside", ())
SECONDS = Family("seconds", "histogram", "How long", (), (0.1, 1.0))


def numbers(tally: Tally, family: Family) -> dict[tuple[str, ...], list[float]]:
    return {own.labels: list(own.numbers) for own in tally.sums().get(family.name, ())}


def test_a_histogram_counts_below_each_bound_as_prometheus_does_and_sums():
    tally = Tally()
    seconds = tally.series(SECONDS)
    for value in (0.1, 0.05, 0.5, 7.0):
        seconds.observe(value)
    assert numbers(tally, SECONDS) == {(): [2.0, 1.0, 1.0, pytest.approx(7.65)]}


def in_a_worker(tally: Tally, part: int, count) -> int:
    worker = os.fork()
    if not worker:
        tally.take(part)
        count()
        os._exit(0)
    os.waitpid(worker, 0)
    return worker


def test_the_sum_is_over_all_parts_and_a_replacement_goes_on():
    tally = Tally(2)
    requests, inside = tally.series(REQUESTS), tally.series(INSIDE)
    requests.add(("m",), 10)

    def count():
        requests.add(("m",))
        requests.add(("n",), 5)
        inside.add()

    first = in_a_worker(tally, 0, count)
    second = in_a_worker(tally, 1, count)
    assert set(tally.processes()) == {os.getpid(), first, second}
    assert numbers(tally, REQUESTS) == {("m",): [12.0], ("n",): [10.0]}
    assert numbers(tally, INSIDE) == {(): [2.0]}
    tally.left(0)
    assert set(tally.processes()) == {os.getpid(), second}
    assert numbers(tally, REQUESTS) == {("m",): [12.0], ("n",): [10.0]}, "what it has counted stays"
    assert numbers(tally, INSIDE) == {(): [1.0]}, "what it had in hand does not"
    in_a_worker(tally, 0, count)
    assert numbers(tally, REQUESTS) == {("m",): [13.0], ("n",): [15.0]}
    assert numbers(tally, INSIDE) == {(): [2.0]}


def test_a_series_that_is_removed_begins_anew():
    tally = Tally()
    requests = tally.series(REQUESTS)
    requests.add(("m",))
    requests.remove(("m",))
    assert numbers(tally, REQUESTS) == {}
    requests.add(("m",))
    assert numbers(tally, REQUESTS) == {("m",): [1.0]}


def test_a_series_has_counted_since_the_first_process_did():
    tally = Tally(1)
    requests = tally.series(REQUESTS)
    requests.add(("m",))
    (alone,) = tally.sums()["requests"]
    in_a_worker(tally, 0, lambda: requests.add(("m",)))
    (both,) = tally.sums()["requests"]
    assert both.since == alone.since > 0
    (gauge,) = (tally.series(INSIDE).set(3), tally.sums()["inside"])[1]
    assert (gauge.since, list(gauge.numbers)) == (0.0, [3.0])

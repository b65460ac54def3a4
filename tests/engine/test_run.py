"""The sans-io run: what is ready when, what each step reads, whose fault a gap is, and what is dropped when."""

from __future__ import annotations

import dataclasses
import random
import threading
import weakref

import numpy as np
import pytest

from pipeline.engine.run import Run
from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json, tensor
from tests.engine.graphs import plan

ONE, TWO, THREE = (tensor(np.array([number])) for number in (1, 2, 3))


def asked(inputs=None, **more):
    return InferRequest(model="test", inputs={"x": ONE} if inputs is None else inputs, **more)


def put(run, step, **outputs):
    run.put(step, outputs, 0.0, 0.0)


# ---- what is ready when


def stages_in_order(compiled, rng):
    """Steps in the order in which they end where a random one of those that are ready ends next."""
    run = Run(compiled, asked())
    ready, ended = list(run.start()), []
    while ready:
        stage = ready.pop(rng.randrange(len(ready)))
        ended += [number for hop in compiled.stages[stage].hops for number in hop]
        ready += run.done(stage)
    return [compiled.steps[number].name for number in ended]


WIRINGS = {
    "one": {"a": "request"},
    "chain": {"a": "request", "b": None, "c": None},
    "diamond": {"a": "request", "b": "a", "c": "a", "d": ["b", "c"]},
    "skip": {"a": "request", "b": "a", "c": ["a", "b"], "d": ["a", "c"]},
    "two starts": {"a": "request", "b": "request", "c": ["a", "b"]},
    "braid": {"a": "request", "b": "request", "c": ["a", "b"], "d": ["a", "b"], "e": ["c", "d", "a"]},
}


@pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)
def test_each_step_becomes_ready_once_and_after_what_it_reads_in_whatever_order_stages_end(wiring):
    compiled = plan(wiring)
    for seed in range(20):
        order = stages_in_order(compiled, random.Random(seed))
        assert sorted(order) == sorted(wiring)
        for number, own in enumerate(compiled.sources):
            place = order.index(compiled.steps[number].name)
            assert all(order.index(compiled.steps[source].name) < place for source in own)


# ---- what a step reads

READS = {
    "the whole request": ("request", {"x": ONE, "y": TWO}),
    "a tensor of it": ("request.y", {"y": TWO}),
    "a step": ("a", {"p": ONE, "q": THREE}),
    "a tensor of a step": ("a.q", {"q": THREE}),
    "a list": (["a.q", "request.x"], {"q": THREE, "x": ONE}),
    "a map": ({"m": "a.q", "n": "request.x"}, {"m": THREE, "n": ONE}),
    "a map with a whole step": ({"m": "a"}, {"m": {"p": ONE, "q": THREE}}),
    "a map with the whole request": ({"m": "request"}, {"m": {"x": ONE, "y": TWO}}),
    "a header": ({"m": "headers.h"}, {"m": "text"}),
    "a parameter beside a tensor": (["parameters.p", "a.q"], {"p": 5, "q": THREE}),
    "a parameter that is null": ({"m": "parameters.none"}, {"m": None}),
}


@pytest.mark.parametrize(("reads", "expected"), READS.values(), ids=READS)
def test_a_step_reads_what_its_inputs_say(reads, expected):
    run = Run(
        plan({"a": "request", "b": reads}, outputs=["b"], output=["a", "b"]),
        asked({"x": ONE, "y": TWO}, headers={"h": "text"}, parameters={"p": 5, "none": None}),
    )
    step = len(run._plan.steps) - 1
    if step:
        put(run, 0, p=ONE, q=THREE)
    found = {name: value.value if isinstance(value, Json) else value for name, value in run.inputs(step).items()}
    assert found == expected


def test_a_whole_step_of_one_value_is_that_value_in_a_map():
    run = Run(plan({"a": "request", "b": {"m": "a"}}), asked())
    put(run, 0, a=TWO)
    assert run.inputs(1) == {"m": TWO}


GAPS = {
    "a tensor of the request": ({"a": "request.y"}, {}, InvalidInput, 'input "y" is missing; step "a" reads it'),
    "a header": ({"a": ["request", "headers.h"]}, {}, InvalidInput, 'header "h" is missing; step "a" reads it'),
    "a parameter": ({"a": {"x": "parameters.p"}}, {}, InvalidInput, 'parameter "p" is missing; step "a" reads it'),
    "a tensor of a step": (
        {"a": "request", "b": "a.z"},
        {"y": ONE},
        WrongAnswer,
        'step "b" reads "a.z", and there is only "y"',
    ),
    "two steps that clash": (
        {"a": "request", "b": "request", "c": ["a", "b"]},
        {"y": ONE},
        WrongAnswer,
        'step "c" gets the tensor "y" twice, the second from b',
    ),
    "a step and the request that clash": (
        {"a": "request", "c": ["a", "request"]},
        {"x": ONE},
        InvalidInput,
        'step "c" gets the tensor "x" twice, the second from request',
    ),
    # The caller happens to use the name too, and has nothing to do with it.
    "two steps that clash in a name of the request": (
        {"a": "request", "b": "request", "c": ["a", "b"]},
        {"x": ONE},
        WrongAnswer,
        'step "c" gets the tensor "x" twice, the second from b',
    ),
}


@pytest.mark.parametrize(("wiring", "gives", "error", "message"), GAPS.values(), ids=GAPS)
def test_a_gap_or_a_clash_is_the_fault_of_who_named_it(wiring, gives, error, message):
    # A step that takes whatever there is requires nothing of it; here what is read by name is.
    compiled = dataclasses.replace(plan(wiring), picks=tuple(map(all_required, plan(wiring).picks)))
    run = Run(compiled, asked())
    last = len(compiled.steps) - 1
    for step in range(last):
        put(run, step, **gives)
    with pytest.raises(error) as caught:
        run.inputs(last)
    assert caught.value.message == message


def all_required(picks):
    return tuple(dataclasses.replace(own, required=True) for own in picks)


# ---- the answer


def test_the_answer_is_the_outputs_of_its_steps_in_order():
    run = Run(plan({"a": "request", "b": "request"}, output=["b", "a"]), asked())
    put(run, 0, a=ONE)
    put(run, 1, b=TWO, more=THREE)
    assert list(run.result().items()) == [("b", TWO), ("more", THREE), ("a", ONE)]


def test_one_tensor_of_a_step_may_be_the_answer():
    run = Run(plan({"a": "request"}, output="a.q"), asked())
    put(run, 0, p=ONE, q=TWO)
    assert run.result() == {"q": TWO}


@pytest.mark.parametrize("name", ["y", "x"], ids=["any name", "a name of the request"])
def test_two_outputs_of_one_name_are_the_authors_fault(name):
    run = Run(plan({"a": "request", "b": "request"}, output=["a", "b"]), asked())
    put(run, 0, **{name: ONE})
    put(run, 1, **{name: TWO})
    with pytest.raises(WrongAnswer, match=f'the answer gets the tensor "{name}" twice, the second from b'):
        run.result()


# ---- what is dropped


def watched(run, step, name="y"):
    array = np.zeros(3)
    put(run, step, **{name: tensor(array)})
    return weakref.ref(array)


def test_a_value_goes_when_its_last_reader_has_read_it_and_not_before():
    run = Run(plan({"a": "request", "b": "a", "c": {"m": "a.y"}, "d": ["b", "c"]}), asked())
    array = watched(run, 0)
    first = run.inputs(1)
    second = run.inputs(2)
    assert array() is not None
    del first
    assert array() is not None
    del second
    assert array() is None


def test_what_the_answer_needs_stays_however_many_read_it():
    run = Run(plan({"a": "request", "b": "a", "c": "a"}, output=["a", "b", "c"]), asked())
    array = watched(run, 0, "a")
    run.inputs(1)
    run.inputs(2)
    put(run, 1, b=ONE)
    put(run, 2, c=TWO)
    assert array() is not None
    assert list(run.result()) == ["a", "b", "c"]


def test_readers_in_many_threads_at_once_drop_it_exactly_once():
    readers = 16
    wiring = {"a": "request"} | {f"r{number}": "a" for number in range(readers)}
    compiled = plan(wiring, output=[f"r{number}" for number in range(readers)])
    for _ in range(50):
        run, barrier, read = Run(compiled, asked()), threading.Barrier(readers), []
        array = watched(run, 0)

        def one(step, run=run, barrier=barrier, read=read):
            barrier.wait(10)
            read.append(set(run.inputs(step)))

        threads = [threading.Thread(target=one, args=(step,)) for step in range(1, readers + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read == [{"y"}] * readers
        assert array() is None

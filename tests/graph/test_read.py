"""Every key of the file in every form it may have, and for each fault of a key or a step by itself its exact line."""

from __future__ import annotations

import pytest

from pipeline.graph.spec import StepSpec
from pipeline.graph.words import LATER_STEP
from pipeline.tensors.signature import parse_spec
from tests.graph.checking import checked, spec_of
from tests.graph.reading import FILE

STEP_WORDS = "detached, each, handles, inputs, limit, model, params, place, queue, run and 3 more"
ONE = "steps: {a: app.py:f}\n"


def step_of(text: str) -> StepSpec:
    return spec_of(f"steps:\n  a: {text}\n").steps[0]


# ---- what may be written


def test_the_smallest_file_has_the_defaults_of_the_contract():
    spec = spec_of(ONE)
    assert (spec.name, spec.version, spec.limit, spec.queue) == ("graph", "1", 1000, 0)
    assert spec.deadline == {"predict": 60.0, "explain": 60.0}
    assert (spec.output, spec.inputs, spec.outputs, spec.unread, spec.is_open) == ({}, {}, {}, frozenset(), False)


def test_every_key_at_the_top_is_read():
    spec = spec_of(
        "name: iris\nversion: 3\nlimit: 5\nqueue: 7\ndeadline: 2s\noutput: [a, b.y]\n"
        'schema:\n  inputs: {x: "FP32[n,4]", t: "FP32[1]?"}\n  outputs: {y: "INT64[n]"}\n'
        "steps: {a: app.py:f, b: app.py:g}\n"
    )
    assert (spec.name, spec.version, spec.limit, spec.queue) == ("iris", "3", 5, 7)
    assert spec.deadline == {"predict": 2.0, "explain": 2.0}
    assert [str(reference) for reference in spec.output["predict"]] == ["a", "b.y"]
    assert spec.inputs == {"x": parse_spec("FP32[n,4]"), "t": parse_spec("FP32[1]?")}
    assert spec.outputs == {"y": parse_spec("INT64[n]")}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("none", (None, None)), ("5m", (300.0, 300.0)), ("{}", (60.0, 60.0)),
        ("{predict: 250ms}", (0.25, 60.0)), ("{predict: none, explain: 2m}", (None, 120.0)),
    ],
)  # fmt: skip
def test_a_deadline_is_one_for_all_verbs_or_a_map(text, seconds):
    graph = f"deadline: {text}\noutput: {{explain: a}}\n{ONE}"
    assert spec_of(graph).deadline == dict(zip(("predict", "explain"), seconds, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", ["a"]), ("[a]", ["a"]), ("a.y", ["a.y"]), ("{predict: a}", ["a"]), ("{predict: [a, b]}", ["a", "b"])],
)
def test_an_output_is_a_step_a_list_of_them_or_a_map_of_verbs(text, expected):
    spec = checked(f"output: {text}\nsteps: {{a: app.py:f, b: app.py:g}}\n").spec
    assert spec is not None
    assert [str(reference) for reference in spec.output["predict"]] == expected


def test_each_verb_may_have_an_output_of_its_own():
    spec = spec_of("output: {explain: [b, c.y]}\nsteps: {a: app.py:f, b: app.py:g, c: app.py:h}\n")
    assert {verb: [str(own) for own in answers] for verb, answers in spec.output.items()} == {"explain": ["b", "c.y"]}


def test_every_key_of_a_step_is_read():
    step = step_of(
        "{run: app.py:f, params: {k: [1, two]}, timeout: 300ms, limit: 2, queue: 0, place: asyncio, inputs: []}"
    )
    assert (step.action, step.target, step.options) == ("run", "app.py:f", {"params": {"k": [1, "two"]}})
    assert (step.timeout, step.limit, step.queue, step.where, step.inputs) == (0.3, 2, 0, "asyncio", ())


def test_what_was_not_written_stays_open():
    step = step_of("app.py:f")
    assert (step.action, step.target, step.options) == ("run", "app.py:f", {})
    assert (step.timeout, step.limit, step.queue, step.where, step.inputs) == (None,) * 5


def test_a_model_has_its_own_options():
    step = step_of("{model: s3://m/iris.joblib, runtime: sklearn, params: {method: predict_proba}}")
    assert (step.action, step.target) == ("model", "s3://m/iris.joblib")
    assert step.options == {"runtime": "sklearn", "params": {"method": "predict_proba"}}


def test_a_list_names_its_steps_after_their_functions():
    spec = spec_of("steps: [app.py:clean, pack.mod:Cls.score, {run: app.py:label, limit: 3}]\n")
    assert [step.name for step in spec.steps] == ["clean", "score", "label"]
    assert spec.steps[2].limit == 3


# ---- what may not


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[1, 2]", ["1:1: a graph is a map with the key steps, not a list"]),
        ("word", ['1:1: a graph is a map with the key steps, not the text "word"']),
        ("name: iris", ["1:1: the key steps is missing: a graph is a map of steps"]),
        ("steps:", ["1:6: steps is a map of steps, or a list of functions, not nothing"]),
        ("steps: {}", ["1:8: steps is a map of steps, or a list of functions, not a map with nothing in it"]),
        ("steps: []", ["1:8: steps is a map of steps, or a list of functions, not a list with nothing in it"]),
        ("steps: app.py:f", ['1:8: steps is a map of steps, or a list of functions, not the text "app.py:f"']),
        ("step: {a: app.py:f}", ['1:1: unknown key "step"; did you mean "steps"?']),
        (
            "colour: red\n" + ONE,
            ['1:1: unknown key "colour"; there are deadline, limit, name, output, queue, schema, steps and version'],
        ),
        ("name: [a]\n" + ONE, ["1:7: name is a text, not a list"]),
        ("limit: many\n" + ONE, ['1:8: limit is a whole number, 1 or more, not the text "many"']),
        ("queue: -1\n" + ONE, ["1:8: queue is a whole number, 0 or more, not -1"]),
        ("deadline: 30\n" + ONE, ["1:11: deadline: 30 has no unit; write 30ms or 30s"]),
        ("deadline: []\n" + ONE, ["1:11: deadline is a duration like 300ms or 2s, or none, not a list"]),
        ("deadline: {predict: 3}\n" + ONE, ["1:21: deadline: 3 has no unit; write 3ms or 3s"]),
        (
            "deadline: {explain: 3}\noutput: {explain: a}\n" + ONE,
            ["1:21: deadline: 3 has no unit; write 3ms or 3s"],
        ),
        (
            "deadline: {predict: 1s, explain: 1s}\n" + ONE,
            ["1:25: deadline: no step answers explain; output: {explain: STEP} says which one does"],
        ),
        (
            "deadline: {xplain: 1s}\noutput: {predict: a}\n" + ONE,
            ['1:12: deadline: unknown verb "xplain"; did you mean "explain"?'],
        ),
        (
            "default: {timeout: 2s}\n" + ONE,
            ['1:1: unknown key "default"; did you mean "defaults", which is known but not built yet?'],
        ),
        ("deadline: {predct: 3s}\n" + ONE, ['1:12: deadline: unknown verb "predct"; did you mean "predict"?']),
        ("output: 7\n" + ONE, ["1:9: output is a step or step.tensor, not 7"]),
        ("output: []\n" + ONE, ["1:9: output is a step or step.tensor, not a list"]),
        ("output: {}\n" + ONE, ["1:9: output is a step or step.tensor, not a map"]),
        ("output: [a, [a]]\n" + ONE, ["1:13: output is a step or step.tensor, not a list"]),
        ("output: {explain: []}\n" + ONE, ["1:19: the output of explain is a step or step.tensor, not a list"]),
        ("output: {predict: {}}\n" + ONE, ["1:19: the output of predict is a step or step.tensor, not a map"]),
        ("output: {foo: a}\n" + ONE, ['1:10: output: unknown verb "foo"; there are explain and predict']),
        ("defaults: {timeout: 2s}\n" + ONE, ["1:1: defaults is known but not built yet"]),
        ("schema: 3\n" + ONE, ["1:9: schema is a map with the keys inputs and outputs, not 3"]),
        ("schema: {output: {}}\n" + ONE, ['1:10: schema: unknown key "output"; did you mean "outputs"?']),
        ("schema: {inputs: [x]}\n" + ONE, ["1:18: schema: inputs is a map tensor → DTYPE[dims], not a list"]),
        ("schema: {inputs: {x: 4}}\n" + ONE, ['1:22: schema: "x" is DTYPE[dims] like "FP32[n,4]", not 4']),
        (
            "schema: {inputs: {x: FP32}}\n" + ONE,
            ['1:22: schema: "x": expected DTYPE[dims], like "FP32[n,4]", got "FP32"'],
        ),
        (
            'schema: {inputs: {x: "FP32[a b]"}}\n' + ONE,
            ['1:22: schema: "x": a dimension is a number, -1 or a name, got "a b" in "FP32[a b]"'],
        ),
        ('schema: {outputs: {y: "FP32[n]?"}}\n' + ONE, ['1:23: schema: "y": only an input can be optional ("?")']),
    ],
)
def test_a_fault_at_the_top_is_one_located_line(text, lines):
    assert checked(text).lines == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ['2:4: step "a" is empty; it needs one of model and run']),
        ("{}", ['2:3: step "a" does nothing: it needs one of model and run']),
        ("{timeout: 3s}", ['2:3: step "a" does nothing: it needs one of model and run']),
        ("5", ['2:6: step "a" is a map, or a text like app.py:name, not 5']),
        ("[app.py:f]", ['2:6: step "a" is a map, or a text like app.py:name, not a list']),
        (
            "{run: app.py:f, model: m.joblib}",
            [
                f'2:22: step "a" does two things, run and model (the first at {FILE}:2:7); a step does exactly one',
            ],
        ),
        ("{modle: m.joblib}", ['2:7: step "a": unknown key "modle"; did you mean "model"?']),
        (
            "{function: app.py:f}",
            [f'2:7: step "a": unknown key "function"; there are {STEP_WORDS}'],
        ),
        ("{run: app.py:f, timout: 3}", ['2:22: step "a": unknown key "timout"; did you mean "timeout"?',
                                        "2:30: timeout: 3 has no unit; write 3ms or 3s"]),
        ("{run: app.py:f, runtime: sklearn}", ['2:22: step "a": runtime does not go with run']),
        ("{run: app.py:f, timeout: 300}", ["2:31: timeout: 300 has no unit; write 300ms or 300s"]),
        ("{run: app.py:f, timeout: 5 parsecs}",
         ['2:31: timeout: 5 parsecs has the unit "parsecs"; there are us, ms, s, m, h']),
        ("{run: app.py:f, timeout: none}",
         ['2:31: timeout: "none" is not a duration; write a number and a unit, like 300ms, 2s, 5m']),
        ("{run: app.py:f, limit: 0}", ["2:29: limit is a whole number, 1 or more, not 0"]),
        ("{run: app.py:f, queue: 1.5}", ["2:29: queue is a whole number, 0 or more, not 1.5"]),
        ("{run: app.py:f, place: [loop]}", ["2:29: place is a text, not a list"]),
        ("{run: app.py:f, place: thred}", ['2:29: unknown place "thred"; did you mean "thread"?']),
        ("{run: app.py:f, place: process}", ["2:29: place process is known but not built yet"]),
        ("{run: app.py:f, inputs: 5}", ["2:30: inputs is a step, step.tensor or request, not 5"]),
        ("{run: app.py:f, inputs: }", ["2:28: inputs is a step, step.tensor or request, not nothing"]),
        ("{run: app.py:f, inputs: [request, 5]}", ["2:40: an input is a step, step.tensor or request, not 5"]),
        (
            "{run: app.py:f, inputs: {x: headers, y: request.}}",
            [
                '2:34: input "x" is "headers": say which one, headers.NAME',
                '2:46: input "y" is "request.": a name is missing after the dot',
            ],
        ),
    ],
)  # fmt: skip
def test_a_fault_of_a_step_is_one_located_line(text, lines):
    assert checked(f"steps:\n  a: {text}\n").lines == lines


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("request", '"request" is reserved: it is what steps read; name the step otherwise'),
        ("headers", '"headers" is reserved: it is what steps read; name the step otherwise'),
        ("parameters", '"parameters" is reserved: it is what steps read; name the step otherwise'),
        ("my-step", 'a step name is a Python identifier, not "my-step"; write "my_step"'),
        ("a.b", 'a step name is a Python identifier, not "a.b"; write "a_b"'),
        ("2nd", 'a step name is a Python identifier, not "2nd"'),
        ("class", 'a step name is a Python identifier, not "class"'),
        ('"a\\nb"', 'a step name is a Python identifier, not "a\\nb"; write "a_nb"'),
    ],
)
def test_a_bad_step_name_is_one_line_though_others_read_the_step(name, message):
    text = f"steps:\n  {name}: app.py:f\n  b: app.py:g\n  c: {{run: app.py:g, inputs: [b]}}\n"
    assert checked(text).lines == [f"2:3: {message}"]


@pytest.mark.parametrize("word", sorted(LATER_STEP))
@pytest.mark.parametrize("beside", ["run: app.py:f, ", ""])
def test_a_word_of_the_contract_that_is_not_built_is_refused_by_name_and_once(word, beside):
    lines = checked(f"steps:\n  before: app.py:f\n  a: {{{beside}{word}: before}}\n").lines
    assert lines == [f'3:{7 + len(beside)}: step "a": {word} is known but not built yet']


@pytest.mark.parametrize(
    ("word", "meant"), [("retries", "retry"), ("cach", "cache"), ("batches", "batch"), ("fall_back", "fallback")]
)
def test_a_misspelt_word_that_is_not_built_is_told_as_that(word, meant):
    (line,) = checked(f"steps:\n  a: {{run: app.py:f, {word}: 3}}\n").lines
    told = f'unknown key "{word}"; did you mean "{meant}", which is known but not built yet?'
    assert line == f'2:22: step "a": {told}'


def test_a_misspelt_word_is_not_taken_for_one_that_is_farther():
    lines = checked("steps:\n  a: {run: app.py:f, timout: 3s, limt: 2}\n").lines
    assert lines == [
        '2:22: step "a": unknown key "timout"; did you mean "timeout"?',
        '2:34: step "a": unknown key "limt"; did you mean "limit"?',
    ]


def test_steps_that_words_not_built_yet_may_read_are_not_called_unused():
    pick = "{switch: [{when: x, then: one}, {else: two}], inputs: request}"
    text = f"steps:\n  one: app.py:f\n  two: app.py:f\n  pick: {pick}\n"
    assert checked(text).lines == ['4:10: step "pick": switch is known but not built yet']


@pytest.mark.parametrize(
    ("items", "lines"),
    [
        ("[app.py:f, app.py:f]", [f'1:19: two steps are named "f", the first at {FILE}:1:9; name them in a map']),
        ("[app.py:f, {model: m.joblib}]",
         ["1:19: a step in a list is named after its function, and model has none; use a map"]),
        ("[app.py:f, 5]", ['1:19: step "#2" is a map, or a text like app.py:name, not 5']),
        ("[null, app.py:f]", ['1:9: step "#1" is empty; it needs one of model and run']),
        ("[{rum: app.py:f}, app.py:g]", ['1:10: step "#1": unknown key "rum"; did you mean "run"?']),
        ("[app.py:request, app.py:g]", ['1:9: "request" is reserved: it is what steps read; name the step otherwise']),
        ("[{run: app.py:f, timeout: 1}, app.py:f]",
         ["1:34: timeout: 1 has no unit; write 1ms or 1s",
          f'1:38: two steps are named "f", the first at {FILE}:1:9; name them in a map']),
    ],
)  # fmt: skip
def test_a_fault_in_a_list_of_steps_is_one_located_line(items, lines):
    assert checked(f"steps: {items}\n").lines == lines


def test_an_alias_that_is_written_twice_is_told_where_it_is_used():
    text = "steps:\n  a: &a {run: app.py:f, timeout: 5}\n  b: *a\n"
    assert checked(text).lines == ["2:34: timeout: 5 has no unit; write 5ms or 5s"] * 2  # blueprint.py tells it once

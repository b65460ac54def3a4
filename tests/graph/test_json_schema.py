"""The JSON Schema refuses every fault that can be seen in a file by itself, and takes every graph that has none.

The faults are those of the other tests' tables: a case is refused, or each of its lines is one that UNSEEN explains. A
new fault fails here until it is one or the other.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator

import pytest
from jsonschema import Draft202012Validator

from pipeline.graph.json_schema import words_without_a_schema
from pipeline.graph.parse import parse
from pipeline.graph.source import GraphFaults, plain
from pipeline.graph.words import HANDLES, LATER_STEP, LATER_TOP, STEP_KEYS, TOP_KEYS
from pipeline.steps.catalog import step_kinds
from server.schema import options_of, schema_text
from tests import test_blueprint
from tests.graph import test_agree, test_dag, test_each, test_fields, test_handles, test_read
from tests.graph.checking import of_tree
from tests.graph.reading import FILE, read
from tests.server import test_check
from tests.serving import ROOT
from tests.steps import test_call

SCHEMA = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)
KEYS = {action: kind.KEYS[action] for action, kind in step_kinds().items()}

# Why no schema sees a fault → the messages of such faults, "…" for any text in one.
UNSEEN = {
    "it takes the other steps to tell": [
        'step "…" reads "…": no such step; …',
        'output is "…": no such step; …',
        'handle "…" is "…": no such step; …',
        "steps read each other in a cycle: …",
        "steps call each other through handles in a cycle: …",
        'handle "…" is "…": a step that calls itself would never end',
        'handle "…" is "…", which is detached: nobody waits for it, and a handle would',
        'step "…" is used by nothing: the answer, …, does not need it',
        'step "…" reads "…", which is detached: nobody waits for it, so there is nothing to read',
        'output is "…", which is detached: nobody waits for it, so it can answer nothing',
        "every step is detached: none is left to answer",
        'step "…" would never start: …',
    ],
    "it takes what flows along the edges to tell": [
        'no tensor feeds its parameter "…"; it reads …',
        'nothing feeds its parameter "…"; inputs has …',
        'step "…" has no parameter "…"; …',
        'parameter "…" takes one tensor, and request has …; say which, like request.…',
        'step "…" reads "request.…": schema.inputs has no tensor "…"; …',
        'step "…" reads "…": step "…" has no tensor "…"; …',
        'output is "…": step "…" has no tensor "…"; …',
        'the answer to explain gets the tensor "…" twice, from …',
        'the answer gets the tensor "…" twice, from …',
        'step "…" gets the tensor "…" twice, from …',
        'step "…" gets all tensors of … twice; once is enough',
        'parameter "…" takes …, and … is …',
        'parameter "…" has no default, and request.… is optional (…?)',
        'schema.inputs has "…" (…), and no step reads it; …',
        'schema.outputs has "…": …, and the answer is …',
        'schema.outputs has "…", and the answer has "…"',
        'each is "…", and inputs feeds no such parameter; …',
    ],
    "it takes the user's code to tell": [
        'step "…" is async and runs on the loop; place: thread is for synchronous code',
        'step "…" is synchronous, and place: asyncio is for async code; leave it out',
        'step "…" waits for what its handles call, and on the loop everybody would wait; leave out place: loop',
        'each is "…", and it has no parameter of that name; …',
        'handle "…" is no parameter of …',
        'each is "…", which takes all tensors by name (…); loop over a parameter that takes one',
        '"app.py" has no "…',
        "… is a class without __call__; that is what a request runs",
        '__init__ of its class needs "…"; give it under params',
        "… is a generator; a step that streams is known but not built yet",
    ],
    "it takes other files, or this one's name, to tell": [
        'there is no file "…" beside the graph',
        'there is no module "…"; a file beside the graph is written …',
        'ca: there is no file "…"',
        'two graphs are "…" in version "…", the first at …',
        'a model name is …, not "…", and without a name the graph has its file\'s: give it a name',
    ],
    "no key of one map may be a key of another": [
        '"…" is a handle and a tensor that it reads; name the handle otherwise',
        '"…" is a handle and one of its params; name the handle otherwise',
    ],
    "each word has its schema, and these are two that do not go together": [
        "place: asyncio is for code of your own, and a call is ours; leave it out",
        "binary does not go with this URL, whose protocol is JSON; leave it out",
        "answer does not go with this URL, whose protocol answers in tensors; leave it out",
        "ca is about https, and the URL is one of http",
        "deadline: no step answers explain; output: {explain: STEP} says which one does",
        'no runtime is known for "…" (there are …); a graph file says which: …',
        "forward names authorization, and the URL has a user of its own; leave one of them out",
    ],
    "a pattern of ECMA-262 cannot leave the case of letters aside": [
        'forward cannot name "…": it is about one connection or one body, and each call has its own',
        'forward cannot name "…": the time that is left travels by itself',
    ],
    "which URIs are fetched, and with which options, is known to storage alone": [
        '"…" names no bucket; write …',
        '… has no storage option but …; "…" is none',
        'a path has no storage options; "…" is none',
    ],
    "a pattern does not compare numbers": ["call is a URL like …; a port is a number from 1 to 65535"],
    "to JSON 1.0 is a whole number": [
        "k is a whole number, 0 or more, not 1.0",
        "version is a whole number, …, not 1.0",
    ],
    "it is about the text, not about the values that stand in it": [
        "… is not set; set it, or give it a default: ${…",
        'duplicate key "…", first at …',
    ],
}


def message(line: str) -> str:
    """A line without its place and the step's name in front."""
    return re.sub(r'^(\d+:\d+: )?(step "[^"]*": )?', "", line)


def unseen(line: str) -> list[str]:
    """The messages of UNSEEN that the line is one of."""
    known = (words for messages in UNSEEN.values() for words in messages)
    return [words for words in known if re.fullmatch(re.escape(words).replace("…", "(?s:.+)"), message(line))]


class Variables(dict):
    """An environment in which every variable stands for itself, as an editor sees it."""

    def get(self, name, default=None):
        return f"${{{name}}}"


def value(text: str) -> object:
    """What stands in the text; None where that is nothing, or two documents."""
    root = parse(text.encode(), FILE, Variables(), [])
    return None if root is None else plain(root)


# ---- the tables: module, test → a row of it as a file and the lines that are told of it

Row = tuple[str, list[str]]


def as_it_stands(text: str, *rest: object) -> Row:
    return text, list(rest[-1])


def as_a_step(text: str, lines: list[str]) -> Row:
    return f"steps:\n  a: {text}\n", lines


def as_the_steps(text: str, lines: list[str]) -> Row:
    return f"steps: {text}\n", lines


def as_a_name(name: str, line: str) -> Row:
    return f"steps:\n  {name}: app.py:f\n", [line]


def as_keys(_: object, keys: str, line: str) -> Row:
    return f"steps:\n  a: {{run: app.py:f, {keys}}}\n", [line]


def as_a_reference(text: str, line: str) -> Row:
    return f"steps:\n  a: {{run: app.py:f, inputs: {{x: {text}}}}}\n", [line]


def as_a_key(_: object, text: str, line: str) -> Row:
    """The key ``k`` of the table as a key of the file that has such values, by what its line tells."""
    keys = {
        "k is a text": "each", "k is a whole number, 1": "limit", "k is a whole number, 0": "queue",
        "k is a map": "schema", "k: unknown key": "schema", "k": "timeout",
    }  # fmt: skip
    key = next((key for start, key in keys.items() if message(line).startswith(start)), None)
    if key is None:
        return ("" if line == test_fields.STEM_LINE else f"{text}\n") + test_read.ONE, [line]
    text = text.replace("k:", f"{key}:", 1)
    in_a_step = key in ("each", "timeout")
    return (f"steps:\n  a: {{run: app.py:f, {text}}}\n" if in_a_step else f"{text}\n{test_read.ONE}"), [line]


def as_a_call(step: str, line: str) -> Row:
    return f"steps:\n  predict: {step.replace('§', '')}\n", [line]


def as_the_path_of_a_call(path: str) -> Row:
    return as_a_call(f"{{call: 'http://u:secret@h{path}'}}", "the URL of a call ends in …")


def as_the_second_of_two(_: str, text: str, line: str | None) -> Row:
    return text, [line.removeprefix("two.yaml:")] if line else []


TABLES: dict[Callable[..., object], Callable[..., Row]] = {
    test_read.test_a_fault_at_the_top_is_one_located_line: as_it_stands,
    test_read.test_a_fault_of_a_step_is_one_located_line: as_a_step,
    test_read.test_a_fault_in_a_list_of_steps_is_one_located_line: as_the_steps,
    test_read.test_a_bad_step_name_is_one_line_though_others_read_the_step: as_a_name,
    test_fields.test_a_value_in_another_form_is_one_located_line: as_a_key,
    test_fields.test_a_reference_that_cannot_be_read_leads_nowhere: as_a_reference,
    test_dag.test_a_fault_of_the_shape_is_one_located_line: as_it_stands,
    test_dag.test_one_mistake_is_one_line: as_it_stands,
    test_handles.test_a_fault_is_one_located_line: as_it_stands,
    test_each.test_each_names_an_input: as_keys,
    test_agree.test_what_does_not_fit_is_one_located_line: as_it_stands,
    test_blueprint.test_a_fault_is_one_line_at_its_place: as_it_stands,
    test_call.test_a_fault_is_told_where_it_stands: as_a_call,
    test_call.test_a_path_that_asks_nothing_is_told_what_it_must_look_like: as_the_path_of_a_call,
    test_check.test_two_graphs_of_one_name_and_version_are_a_fault_that_names_both_places: as_the_second_of_two,
}
MODULES = (test_read, test_fields, test_dag, test_handles, test_each, test_agree, test_blueprint, test_call, test_check)
# Columns of a table whose rows are faults.
COLUMNS = {"lines", "line", "expected", "message"}
NO_FAULTS = {
    test_read.test_an_output_is_a_step_a_list_of_them_or_a_map_of_verbs,
    test_fields.test_a_value_in_its_form_is_read,
}


def rows(test: object) -> Iterator[tuple[tuple[str, ...], object]]:
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            names = (mark.args[0],) if isinstance(mark.args[0], str) else tuple(mark.args[0])
            yield from ((names, row if len(names) > 1 else (row,)) for row in mark.args[1])


def cases() -> Iterator[tuple[str, Row]]:
    for test, form in TABLES.items():
        for number, (_, row) in enumerate(rows(test)):
            yield f"{test.__module__.rpartition('.')[2]}-{test.__name__[5:]}-{number}", form(*row)
    for word in sorted(LATER_STEP):
        for beside in ("run: app.py:f, ", ""):
            line = f"3:1: {word} is known but not built yet"
            yield (
                f"later-{word}-{bool(beside)}",
                (f"steps:\n  before: app.py:f\n  a: {{{beside}{word}: before}}\n", [line]),
            )
    yield "all-at-once", (test_blueprint.SEVEN, test_blueprint.SEVENS)


CASES = dict(cases())


def taken(text: str) -> bool:
    """Whether the schema takes it; an editor tells by itself what is no YAML."""
    try:
        return VALIDATOR.is_valid(value(text))
    except GraphFaults:
        return True


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_refused_unless_it_is_explained_why_not(case):
    text, lines = CASES[case]
    assert taken(text) == all(unseen(line) for line in lines), lines


def test_no_explanation_is_one_too_many():
    needed = {words for text, lines in CASES.values() if taken(text) for line in lines for words in unseen(line)}
    assert needed == {words for messages in UNSEEN.values() for words in messages}


def test_every_table_of_faults_is_looked_at():
    for module in MODULES:
        for name, test in vars(module).items():
            if any(COLUMNS & set(names) for names, _ in rows(test)):
                assert test in TABLES or test in NO_FAULTS, name


ODD = """null | true | 0 | 1 | -1 | 1.5 | '' | ' ' | a | a.b | a. | ' a' | [] | [a] | {} | {a: a} | none | 5 | '5' | 2s
    | '2 s ' | 2S | 0s | 0.0s | 1e400s | -2s | .5s | 5.s | 1_0s | loop | process | request | headers.x | headers.
    | request.x | 'a:' | ':b' | explain | {predict: a} | {explain: none} | {predict: 1s} | 'FP32[n]' | 'FP32[]'
    | 'fp32[n]' | 'FP32 [ n , -1 ]?' | 'FP32[-2]' | 'FP32[0]' | 'FP32[n,]' | 'FP32[é]' | 'FP32[1e]'
    | 'FP32[99999999999999999999]' | é | v1 | -a | a/b | .a | 2026-01-01 | 0x10 | 1_000 | class | a b"""


@pytest.mark.parametrize(
    "form",
    [
        *(f"{key}: §\n{test_read.ONE}" for key in sorted({*TOP_KEYS, *LATER_TOP, "other"} - {"steps"})),
        *(f"schema: {{{side}: §}}\n{test_read.ONE}" for side in ("inputs", "outputs")),
        *(f"schema: {{{side}: {{x: §}}}}\n{test_read.ONE}" for side in ("inputs", "outputs")),
        *(
            f"steps:\n  a: app.py:f\n  b:\n    run: app.py:f\n    {key}: §\n"
            for key in sorted({*STEP_KEYS, HANDLES, "graph"})
        ),
        "steps: {a: app.py:f, b: {run: app.py:f, inputs: {x: §}}}\n",
        "steps: {a: app.py:f, b: {run: app.py:f, inputs: [§]}}\n",
    ],
)
def test_schema_and_reader_agree_on_odd_values(form):
    for odd in ODD.split("|"):
        text = form.replace("§", odd.strip())
        try:
            lines = of_tree(read(text), [], KEYS).lines
        except GraphFaults:  # no YAML, in a list or a map
            continue
        assert taken(text) == all(unseen(line) for line in lines), (text, lines)


def graphs():
    """Every graph without faults that stands in an example, in the documentation or as a text in a test."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "examples").rglob("*.yaml")}
    texts["starter"] = (ROOT / "server" / "starter" / "graph.yaml").read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        # What begins otherwise is a graph; this is Kubernetes's.
        for number, block in enumerate(re.findall(r"```yaml\n(?!apiVersion:)(.*?)```", path.read_text(), re.DOTALL)):
            texts[f"{path.name}-{number}"] = block
    sure = set(texts)
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name == "test_parse.py":  # whose texts are YAML, and no functions
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "steps:" in node.value:
                texts[f"{path.name}:{node.lineno}:{node.col_offset}"] = node.value
    for name, text in texts.items():
        try:
            faults = of_tree(read(text), [], KEYS).lines
        except (GraphFaults, UnicodeError):
            faults = ["it is no YAML"]
        if name in sure or not faults:
            yield pytest.param(text, id=name)


@pytest.mark.parametrize("text", list(graphs()))
def test_a_graph_without_faults_is_taken(text):
    assert list(VALIDATOR.iter_errors(value(text))) == []


@pytest.mark.parametrize(
    "key", ["limit: ${N}", "deadline: ${D:-2s}", "version: ${V}", "name: a-${B}", "output: ${O:-a}"]
)
def test_a_variable_stands_for_any_value(key):
    assert VALIDATOR.is_valid(value(f"{key}\nsteps: {{a: {{run: app.py:f, timeout: '${{T}}', limit: '${{L:-3}}'}}}}\n"))
    assert VALIDATOR.is_valid(value("steps: {a: '${F}', b: {model: m, runtime: '${R}'}, c: {call: '${U}/v2/x'}}\n"))


@pytest.mark.parametrize("name", ["größe", "界", "_x9"])
def test_names_are_of_every_script(name):
    assert VALIDATOR.is_valid(
        value(f"name: {name}\nschema: {{inputs: {{x: 'FP32[n{name}]'}}}}\nsteps: {{{name}: app.py:f}}")
    )


def test_it_is_a_schema_and_names_no_machine():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"].startswith("urn:")
    assert str(ROOT) not in schema_text()


def test_every_word_says_what_it_means():
    assert words_without_a_schema(KEYS, options_of(step_kinds())) == []

"""A whole file with its user code: faults of every kind, all at once, each once, sorted, located to the character."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest

from pipeline import blueprint
from pipeline.blueprint import Blueprint
from pipeline.graph.plan import Manner, compile_plan
from pipeline.graph.source import GraphFaults
from pipeline.graph.spec import Step
from storage import Storage
from tests.conftest import Write

APP = """
from typing import Annotated

import numpy as np
from pipeline_serve import Context

def f(x): return x
def g(x): return x
def label(scores): return scores
def two(a, b): return a
def opt(x, t=1.0): return x
def square(rows: Annotated[np.ndarray, "FP32[n,4]"]) -> Annotated[np.ndarray, "FP32[n,3]"]: return rows
def wide(x: Annotated[np.ndarray, "FP32[n,5]"]) -> Annotated[np.ndarray, "FP32[n]"]: return x
def text(x: str) -> str: return x
async def later(x): return x
def stream(x): yield x
async def astream(x): yield x
class Scaler:
    def __init__(self, factor): self.factor = factor
    def __call__(self, x): return x * self.factor
class NoCall: pass
class Pair:
    def __call__(self, a, b): return a
def aware(x, context: Context): return x
def rest(x, **others): return x
thing = 3
"""

Lines = Callable[[str], list[str]]
ENDINGS = ".bst, .joblib, .json, .lgb, .lgbm, .onnx, .pickle, .pkl, .pt, .pt2, .pth, .txt, .ubj, .xgb"
WHICH = "a graph file says which: {model: m.bin, runtime: NAME}"


@pytest.fixture
def lines(write: Write, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The faults of a graph file beside ``APP``, without the file's name."""
    folder = write("app.py", APP)
    monkeypatch.chdir(folder)

    def lines(text: str) -> list[str]:
        write("graph.yaml", text)
        try:
            draw()
        except GraphFaults as faults:
            assert len(str(faults).splitlines()) == len(faults.faults), "a fault is one line"
            found = [str(fault) for fault in faults.faults]
            assert all(line.startswith("graph.yaml:") for line in found)
            return [line.removeprefix("graph.yaml:") for line in found]
        return []

    return lines


def draw() -> Blueprint:
    return blueprint.from_file(Path("graph.yaml"), {"N": "3"}, Storage({}))


CALLED = "steps:\n  a: app.py:f\n  why: {{run: app.py:{}}}\noutput: {{predict: a, explain: why}}\n"
"""A step that calls another by a handle."""


def step(text: str) -> str:
    return f"steps:\n  a: {text}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # ---- user code
        (step("app.py:ff"), ['2:6: step "a": "app.py" has no "ff"; did you mean "f"?']),
        (step("ap.py:f"), ['2:6: step "a": there is no file "ap.py" beside the graph']),
        (step("{run: app.py}"),
         ['2:12: step "a": "app.py" names no function; write file.py:name or package.module:name']),
        (step("nowhere:f"),
         ['2:6: step "a": there is no module "nowhere"; a file beside the graph is written nowhere.py:…']),
        (step("{run: 5}"), ['2:12: step "a": run is file.py:name or package.module:name']),
        (step("app.py:NoCall"),
         ['2:6: step "a": app.py:NoCall is a class without __call__; that is what a request runs']),
        (step("app.py:Scaler"), ['2:3: step "a": __init__ of its class needs "factor"; give it under params']),
        (step("{run: app.py:Scaler, parms: {factor: 2}}"),
         ['2:27: step "a": unknown key "parms"; did you mean "params"?']),
        (step("{run: app.py:f, params: 3}"), ['2:30: step "a": params is a map of keyword arguments']),
        # ---- handles and loops
        ("steps:\n  a: app.py:f\n  b: {run: app.py:two, inputs: {a: request, b: request}, handles: {b: a}}\n",
         ['3:71: step "b": "b" is a handle and a tensor that it reads; name the handle otherwise']),
        ("steps:\n  a: app.py:f\n  b: {run: app.py:two, inputs: request, handles: {b: a}, place: loop}\n",
         [('3:65: step "b" waits for what its handles call, and on the loop everybody would wait; leave out '
          "place: loop")]),
        ("steps:\n  a: app.py:f\n  b: {run: app.py:opt, params: {t: 2}, handles: {t: a}}\n",
         ['3:53: step "b": "t" is a handle and one of its params; name the handle otherwise']),
        (CALLED.format("f, handles: {score: a}"),
         [('3:41: step "why": handle "score" is no parameter of f, which has no Context to look for it in either: '
          "take it by name")]),
        (CALLED.format("two, inputs: request.a, handles: {bb: a}"),
         ['3:59: step "why": handle "bb" is no parameter of two; did you mean "b"?']),
        (CALLED.format("two, inputs: {a: request, b: request}, handles: {bb: a}"),
         [('3:74: step "why": handle "bb" is no parameter of two, which has no Context to look for it in either: '
          "take it by name")]),
        (CALLED.format("Pair, inputs: request.a, handles: {bb: a}"),
         ['3:60: step "why": handle "bb" is no parameter of Pair; did you mean "b"?']),
        (CALLED.format("aware, handles: {score: a}"), []),
        (CALLED.format("rest, handles: {score: a}"), []),
        (CALLED.format("two, inputs: request.a, handles: [b]"),
         ["3:54: handles is a map name → step, not a list"]),
        (CALLED.format("nump"), ['3:14: step "why": "app.py" has no "nump"']),
        (CALLED.format("Pai"), ['3:14: step "why": "app.py" has no "Pai"; did you mean "Pair"?']),
        (step("{run: app.py:f, each: y}"),
         ['2:28: step "a": each is "y", and it has no parameter of that name; there are none but x']),
        ("steps:\n  a: app.py:square\n  b: {run: app.py:wide, each: x}\n",
         ['3:12: step "b": parameter "x" takes FP32[-1,n,5], and a.a is FP32[n,3]: 2 dimensions are not 3']),
        # ---- what is known and not built
        (step("app.py:stream"),
         ['2:6: step "a": app.py:stream is a generator; a step that streams is known but not built yet']),
        (step("app.py:astream"),
         ['2:6: step "a": app.py:astream is a generator; a step that streams is known but not built yet']),
        # ---- models
        (step("{model: 6}"), ['2:14: step "a": model is a path or a URI']),
        (step("{model: m.bin}"),
         [f'2:14: step "a": no runtime is known for "m.bin" (there are {ENDINGS}); {WHICH}']),
        (step("{model: m.joblib, runtime: [sklearn]}"), ['2:33: step "a": runtime is a text like lightgbm']),
        (step("{model: m.joblib, params: 0}"), ['2:32: step "a": params is a map']),
        (step("{model: m.joblib, runtime: sklern}"),
         ['2:33: step "a": there is no runtime "sklern"; did you mean "sklearn"?']),
        (step("{model: m.joblib, params: {methd: predict}}"),
         ['2:40: step "a": its runtime has no parameter "methd"; did you mean "method"?']),
        (step("{model: s3:///m.joblib}"), ['2:14: step "a": "s3:///m.joblib" names no bucket; write s3://BUCKET/PATH']),
        (step("{model: 's3://b/m.joblib', storage: s3}"), ['2:42: step "a": storage is a map']),
        (step("{model: 's3://b/m.joblib', storage: {endpont: 'http://h'}}"),
         ['2:42: step "a": s3:// has no storage option but endpoint, region, anonymous; "endpont" is none']),
        (step("{model: 's3://b/m.joblib', storage: {region: 5}}"),
         ['2:42: step "a": the storage option region is a text']),
        (step("{model: 's3://b/m.joblib', storage: {anonymous: 'yes'}}"),
         ['2:42: step "a": the storage option anonymous is true or false']),
        (step("{model: m.joblib, storage: {region: r}}"),
         ['2:33: step "a": a path has no storage options; "region" is none']),
        (step("{model: m.joblib, sha256: abc}"), ['2:32: step "a": sha256 is 64 hexadecimal digits']),
        (step("{model: m.joblib, sha256: 5}"), ['2:32: step "a": sha256 is 64 hexadecimal digits']),
        # ---- along the edges
        ("steps: {a: app.py:square, b: app.py:wide}\n",
         ['1:30: step "b": parameter "x" takes FP32[n,5], and a.a is FP32[n,3]: axis 1 is 3, not 5']),
        ('schema: {inputs: {rows: "FP64[n,4]"}}\n' + step("app.py:square"),
         ['3:6: step "a": parameter "rows" takes FP32[n,4], and request.rows is FP64[n,4]: FP64 is not FP32']),
        ('schema: {inputs: {rows: "FP32[8,4]"}, outputs: {y: "FP32[9,3]"}}\n' + step("app.py:square"),
         ['1:52: schema.outputs has "y": FP32[9,3], and the answer is FP32[n,3]: axis 0 is n=8, not 9']),
        ('schema: {inputs: {x: "BYTES[n]?"}}\n' + step("app.py:text"),
         ['3:6: step "a": parameter "x" has no default, and request.x is optional (BYTES[n]?)']),
        ('schema: {inputs: {x: "FP32[n]", t: "FP32[1]?"}}\n' + step("app.py:opt"), []),
        (step("{run: app.py:later, place: thread}"),
         ['2:33: step "a" is async and runs on the loop; place: thread is for synchronous code']),
        (step("{run: app.py:two, inputs: {a: request.u}}"),
         ['2:32: step "a": nothing feeds its parameter "b"; inputs has "a"']),
        # ---- texts that would break the line
        (step('"app.py:f\\ng"'), ['2:6: step "a": "app.py" has no "f\\ng"']),
        ('name: "a\\nb"\n' + step("app.py:f"),
         ['1:7: a model name is letters, digits, ".", "_" and "-", at most 128, not "a\\nb"']),
        ('schema: {inputs: {"x\\ty": WORD}}\n' + step("app.py:f"),
         ['1:27: schema: "x\\ty": expected DTYPE[dims], like "FP32[n,4]", got "WORD"']),
        # ---- the file itself
        ("", ["1:1: the file is empty; a graph is a map with the key steps"]),
        ("steps: {a: app.py:f}\n---\nsteps: {}\n",
         ["2:1: a second YAML document, the first starts at graph.yaml:1:1; one file is one graph"]),
        ("limit: ${NOWHERE}\nqueue: ${N}\n" + step("app.py:f"),
         ["1:8: NOWHERE is not set; set it, or give it a default: ${NOWHERE:-…}"]),
        ("steps:\n  a: app.py:f\n  a: app.py:g\n", ['3:3: duplicate key "a", first at graph.yaml:2:3']),
        ("limit: ${N}\nqueue: ${Q:-7}\n" + step("app.py:f"), []),
    ],
)  # fmt: skip
def test_a_fault_is_one_line_at_its_place(lines, text, expected):
    assert lines(text) == expected


SEVEN = """\
name: iris
limit: none
deadline: 30
schema:
  inputs: {rows: "FP32[n,4]", spare: "FP32[1]"}
  outputs: {species: "BYTES[n]", odds: "FP32[n,3]"}
steps:
  clean: {run: app.py:square, inputs: request.rows, limt: 4}
  wide: app.py:wide
  retry: {run: app.py:f, retry: 3}
  scored: {run: app.py:later, place: thread}
  gone: {run: app.py:missing, inputs: request.rows}
  lonely: {run: app.py:f, inputs: request.rows}
  loop: {run: app.py:f, inputs: [loop]}
  species: {run: app.py:label, inputs: {scores: scord, score: gone}}
"""

SEVENS = [
    "2:8: limit is a whole number, 1 or more, not the text \"none\"",
    "3:11: deadline: 30 has no unit; write 30ms or 30s",
    '8:53: step "clean": unknown key "limt"; did you mean "limit"?',
    '9:9: step "wide": parameter "x" takes FP32[n,5], and clean.clean is FP32[n,3]: axis 1 is 3, not 5',
    '10:26: step "retry": retry is known but not built yet',
    '11:38: step "scored" is async and runs on the loop; place: thread is for synchronous code',
    '12:15: step "gone": "app.py" has no "missing"',
    '13:3: step "lonely" is used by nothing: the answer, species, does not need it',
    "14:33: steps read each other in a cycle: loop → loop",
    '15:49: step "species" reads "scord": no such step; did you mean "scored"?',
    '15:63: step "species" has no parameter "score"; did you mean "scores"?',
]  # fmt: skip


def test_all_faults_of_a_file_are_told_at_once_sorted_by_place_and_each_once(lines):
    assert lines(SEVEN) == SEVENS


def test_an_alias_that_repeats_a_fault_has_it_told_once(lines):
    assert lines("steps:\n  a: &a {run: app.py:f, timeout: 5}\n  b: *a\n") == [
        "2:34: timeout: 5 has no unit; write 5ms or 5s"
    ]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: None, "cannot be read: No such file or directory"),
        (lambda folder: (folder / "graph.yaml").mkdir(), "cannot be read: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault(tmp_path, monkeypatch, make, reason):
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    with pytest.raises(GraphFaults) as caught:
        draw()
    assert str(caught.value) == f"graph.yaml: {reason}"


def test_a_file_that_never_ends_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("graph.yaml").symlink_to("/dev/zero")
    with pytest.raises(GraphFaults, match="a graph file has 1,048,576 bytes at most"):
        draw()


def test_a_blueprint_has_what_is_needed_to_open_the_graph(lines, tmp_path):
    assert lines(f"name: iris\n{step('app.py:square')}  m: {{model: m.joblib}}\n") == []
    own = draw()
    assert (own.spec.name, [step.name for step in own.graph.steps]) == ("iris", ["a", "m"])
    assert set(own.interfaces) == {"a", "m"}
    assert set(own.kinds) >= {"run", "model"}
    assert own.home.folder == tmp_path / "graph"


def test_the_name_of_the_file_is_the_models_where_it_has_none(lines):
    assert lines(step("app.py:f")) == []
    assert draw().spec.name == "graph"


# ---- the same thing in Python


def test_the_graph_of_a_file_compiles_to_an_equal_plan(lines, tmp_path):
    text = (
        "output: [d, e]\nsteps:\n  a: {run: app.py:f, timeout: 300ms, limit: 2}\n"
        "  b: {run: app.py:Scaler, params: {factor: 2}}\n"
        "  c: {run: app.py:two, inputs: {a: a, b: headers.X-B}}\n"
        "  d: {run: app.py:opt, inputs: {x: b, t: parameters.t}}\n"
        "  e: {run: app.py:two, inputs: {a: c, b: b}, place: loop}\n"
    )
    assert lines(text) == []
    first = draw()
    again = blueprint.from_dag("graph", first.graph.dag, {"output": ["d", "e"]}, tmp_path / "graph", Storage({}))
    plans = []
    for own in (first, again):
        manners = {step.name: Manner(step.where != "loop", step.timeout is not None) for step in own.graph.steps}
        plan = compile_plan(own.graph, own.interfaces, manners, own.graph.output["predict"])
        picks = [[(pick.source, pick.tensor, pick.to, pick.required) for pick in picked] for picked in plan.picks]
        plans.append((picks, plan.whole, plan.readers, plan.sources, plan.stages, plan.start, plan.forks, plan.shares))
    assert plans[0] == plans[1]
    assert first.interfaces == again.interfaces


def test_the_faults_of_a_python_graph_name_nodes_and_are_all_told(tmp_path):
    def two(a, b):
        return a

    async def later(x):
        return x

    dag = nx.DiGraph()
    dag.add_node("two", step=Step(run=two))
    dag.add_node("later", step=Step(run=later, place="thread", timeout="3"))
    dag.add_node("model", step=Step(model="hf://model"))
    dag.add_node("stream", step=Step(run=lambda x: (yield x)))
    nx.add_path(dag, ["two", "later", "model", "stream"])
    with pytest.raises(GraphFaults) as caught:
        blueprint.from_dag("g", dag, {"schema": {"inputs": {"a": "FP32[n]", "c": "FP32[n]"}}}, tmp_path, Storage({}))
    assert [str(fault) for fault in caught.value.faults] == [
        'node "later": timeout: 3 has no unit; write 3ms or 3s',
        'node "model": step "model": "hf://model" is not of the form hf://OWNER/MODEL or hf://OWNER/MODEL:REVISION',
        'node "stream": step "stream": <lambda> is a generator; a step that streams is known but not built yet',
        'node "two": step "two": no tensor feeds its parameter "b"; it reads "a" and "c"',
        'node "later": step "later" is async and runs on the loop; place: thread is for synchronous code',
    ]


def test_faults_of_the_text_hide_no_others(lines: Lines) -> None:
    """A duplicate key, an unset variable and an unknown alias are found beside what is wrong with the rest."""
    assert lines("""
name: iris
deadline: 5
limit: ${NOT_SET}
steps:
  a: {run: app.py:f, timeout: 1s, timeout: 2s}
  b: {run: app.py:ff, limit: *gone}
  c: {run: app.py:Scaler, params: {factr: 2}, inputs: bb}
""") == [
        "3:11: deadline: 5 has no unit; write 5ms or 5s",
        "4:8: NOT_SET is not set; set it, or give it a default: ${NOT_SET:-…}",
        '6:35: duplicate key "timeout", first at graph.yaml:6:22',
        '7:12: step "b": "app.py" has no "ff"; did you mean "f"?',
        "7:30: *gone: there is no &gone above it",
        '8:43: step "c": __init__ of its class has no parameter "factr"; did you mean "factor"?',
        '8:55: step "c" reads "bb": no such step; did you mean "b"?',
    ]


MODELS = [
    ("iris.joblib", "iris", "iris.joblib"),
    ("a b (2).PKL", "a-b-2", "a b (2).PKL"),
    ("größe.pkl", "größe", "größe.pkl"),
    ("v1.2/", "v1.2", "m.joblib"),
    ("!!!.pkl", "model", "!!!.pkl"),
    (f"{'x' * 200}.pkl", "x" * 128, f"{'x' * 200}.pkl"),
]


@pytest.mark.parametrize(("path", "name", "target"), MODELS)
def test_a_model_file_or_a_folder_with_one_is_a_graph_of_one_step_named_after_it(tmp_path, path, name, target):
    given = tmp_path / path
    (given / "m.joblib" if path.endswith("/") else given).parent.mkdir(exist_ok=True)
    (given / "m.joblib" if path.endswith("/") else given).write_bytes(b"a pickle")
    drawn = blueprint.from_given(given, {}, Storage({}))
    (step,) = drawn.graph.steps
    assert (drawn.spec.name, drawn.spec.version, step.name, step.target) == (name, "1", "predict", target)
    assert (drawn.home.folder / target).is_file()
    assert blueprint.from_model_file(given, Storage({}), "other").spec.name == "other"


@pytest.mark.parametrize(
    ("uri", "name"),
    [("s3://models/iris.joblib", "iris"), ("https://h/a%20b.pkl", "a-b"), ("hf://org/name", "name")],
)
def test_a_uri_is_a_model_named_after_its_end(uri, name):
    drawn = blueprint.from_given(uri, {}, Storage({}))
    assert (drawn.spec.name, drawn.graph.steps[0].target, drawn.home.folder) == (name, uri, Path.cwd())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("model.bin", r"model\.bin: graph files end in \.yaml and \.yml, model files in .*\.joblib, "),
        ("gone.yaml", r"gone\.yaml: cannot be read: No such file or directory"),
        ("gone", r"gone: cannot be read: No such file or directory"),
        ("gone.joblib", r"gone\.joblib: cannot be read: No such file or directory"),
        ("empty", r"empty: has no model file; there are runtimes for "),
        ("two", r"two: has 2 model files \(a\.joblib and b\.pkl\); name one"),
        ("both", r"both: has models of onnx and sklearn; a graph file says which: \{model: both, runtime: NAME\}$"),
        ("j.json", r"j\.json: is for no runtime that is known, by its ending and .*; a graph file says which: "),
        ("s3:///m.joblib", r's3:///m\.joblib: step "predict": "s3:///m\.joblib" names no bucket'),
        ("s3://b/m.bin", r's3://b/m\.bin: step "predict": no runtime is known for "s3://b/m\.bin"'),
    ],
)
def test_what_is_neither_a_graph_nor_a_model_is_told_with_what_there_is(write, monkeypatch, given, says):
    for name in ("two/a.joblib", "both/a.joblib", "both/b.onnx"):
        write(name)
    write("j.json", "{}")
    monkeypatch.chdir(write("two/b.pkl"))
    Path("empty").mkdir()
    with pytest.raises(GraphFaults, match=f"^{says}"):
        blueprint.from_given(given if "://" in given else Path(given), {}, Storage({}))


def test_the_name_that_a_model_is_given_must_be_one(write):
    folder = write("m.joblib", "a pickle")
    with pytest.raises(GraphFaults, match=r'a model name is letters, .*, not "a b"$'):
        blueprint.from_model_file(folder, Storage({}), "a b")

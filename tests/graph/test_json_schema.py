"""The JSON Schema refuses every fault that can be seen in one value, and takes every graph that has none.

The faults are those of the other tests' tables: a new one is refused here, or it is of a kind that UNSEEN explains.
"""

from __future__ import annotations

import ast
import json
import re

import pytest
from jsonschema import Draft202012Validator

from pipeline.graph.json_schema import words_without_a_schema
from pipeline.graph.source import GraphFaults, parse, plain
from pipeline.steps.catalog import step_kinds
from server.schema import schema_text
from tests import test_blueprint
from tests.graph import test_dag, test_read
from tests.graph.checking import checked
from tests.graph.reading import FILE
from tests.serving import ROOT

SCHEMA = json.loads(schema_text())
VALIDATOR = Draft202012Validator(SCHEMA)
# A fault's words → why one value by itself does not tell it.
UNSEEN = {
    "no such step": "which steps there are is known of the whole file",
    "in a cycle": "a cycle is a matter of all steps",
    "is used by nothing": "so is this",
    "two steps are named": "names in a list come from the texts of its items",
    '"request" is reserved: it is what steps read; name the step otherwise$': "and so does this, in a list",
    r'"app\.py" has no|there is no (file|module)|names no function|is a class without|is a generator': "user code",
    "__init__ of its class|its runtime has no parameter|no runtime|no default, and": "the user's code, or the model's",
    "is a handle and": "a name in one key is a name in another",
    "waits for what its handles call|each is .*, and it has no parameter": "the user's code",
    "takes .* and .* is|is async and runs|nothing feeds|and the answer is": "what flows along the edges",
    "://.* is known but not built yet": "storage schemes are not the graph's",
    "the file is empty|second YAML document|duplicate key|is not set": "the text, before it is values",
    "there is no runtime|runtime .* is known but not built yet": "runtimes are plug-ins that may be added",
}
# Tables of faults: module, test → how the text of a case stands in a file.
TABLES = {
    (test_read, "test_a_fault_at_the_top_is_one_located_line"): "{}",
    (test_read, "test_a_fault_of_a_step_is_one_located_line"): "steps:\n  a: {}\n",
    (test_read, "test_a_fault_in_a_list_of_steps_is_one_located_line"): "steps: {}\n",
    (test_dag, "test_a_fault_of_the_shape_is_one_located_line"): "{}",
    (test_dag, "test_one_mistake_is_one_line"): "{}",
    (test_blueprint, "test_a_fault_is_one_line_at_its_place"): "{}",
}
COLUMNS = {("text", "lines"), ("items", "lines"), ("text", "expected")}


class Variables(dict):
    """An environment in which every variable stands for itself, as an editor sees it."""

    def get(self, name, default=None):
        return f"${{{name}}}"


def value(text: str) -> object:
    root = parse(text.encode(), FILE, Variables(), [])
    return None if root is None else plain(root)


def cases():
    for (module, name), form in TABLES.items():
        (mark,) = [mark for mark in getattr(module, name).pytestmark if mark.name == "parametrize"]
        for text, lines in mark.args[1]:
            yield pytest.param(form.replace("{}", text), lines, id=f"{name[7:20]}-{text[:50]}")


@pytest.mark.parametrize(("text", "lines"), list(cases()))
def test_a_fault_is_refused_unless_one_value_does_not_tell_it(text, lines):
    seen = [line for line in lines if not any(re.search(words, line) for words in UNSEEN)]
    try:
        valid = VALIDATOR.is_valid(value(text))
    except GraphFaults:
        return  # no YAML; an editor says so itself
    if seen:
        assert not valid, seen
    elif not lines:
        assert valid


def test_every_table_of_faults_is_looked_at():
    for module in {module for module, _ in TABLES}:
        for name, test in vars(module).items():
            for mark in getattr(test, "pytestmark", ()):
                if mark.name == "parametrize" and mark.args[0] in COLUMNS and "fault" in name:
                    assert (module, name) in TABLES, name


def graphs():
    """Every graph without faults that stands in an example, in the documentation or as a text in a test."""
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in (ROOT / "examples").rglob("*.yaml")}
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)):
            texts[f"{path.name}-{number}"] = block
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "steps:" in node.value:
                texts[f"{path.name}:{node.lineno}:{node.col_offset}"] = node.value
    for name, text in texts.items():
        try:
            if checked(text).lines == [] and "run: 5" not in text:
                yield pytest.param(text, id=name)
        except (GraphFaults, UnicodeError):
            continue


@pytest.mark.parametrize("text", list(graphs()))
def test_a_graph_without_faults_is_taken(text):
    assert list(VALIDATOR.iter_errors(value(text))) == []


@pytest.mark.parametrize(
    "key", ["limit: ${N}", "deadline: ${D:-2s}", "version: ${V}", "name: a-${B}", "output: ${O:-a}"]
)
def test_a_variable_stands_for_any_value(key):
    assert VALIDATOR.is_valid(value(f"{key}\nsteps: {{a: {{run: app.py:f, timeout: '${{T}}', limit: '${{L:-3}}'}}}}\n"))


def test_it_is_a_schema_and_names_no_machine():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"].startswith("urn:")
    assert str(ROOT) not in schema_text()


def test_every_word_says_what_it_means():
    kinds = step_kinds()
    keys = {action: kind.KEYS[action] for action, kind in kinds.items()}
    options = {action: kind.SCHEMA for action, kind in kinds.items()}
    assert words_without_a_schema(keys, options) == []

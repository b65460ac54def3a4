"""One key at a time: every form it may have, and the line for each it may not."""

from __future__ import annotations

import pytest

from pipeline.graph.fields import Fields, kind_of, places_of
from pipeline.graph.source import Fault, Scalar, Table
from pipeline.graph.spec import UNREAD
from tests.graph.reading import FILE, read

STEM_LINE = (
    '1:1: a model name is letters, digits, ".", "_" and "-", at most 128, not "my graph", and without a name '
    "the graph has its file's: give it a name"
)


def fields(text: str) -> tuple[Fields, Table, list[Fault]]:
    table = read(text)
    assert isinstance(table, Table)
    faults: list[Fault] = []
    return Fields(faults), table, faults


def lines(faults: list[Fault]) -> list[str]:
    return [str(fault).removeprefix(f"{FILE}:") for fault in faults]


@pytest.mark.parametrize(
    ("read_key", "text", "expected"),
    [
        (lambda read, table: read.text(table, "k"), "k: word", "word"),
        (lambda read, table: read.text(table, "k"), "other: word", None),
        (lambda read, table: read.whole(table, "k", least=1), "k: 1", 1),
        (lambda read, table: read.whole(table, "k", least=0), "k: ${N}", 64),
        (lambda read, table: read.whole(table, "k", least=0), "other: 1", None),
        (lambda read, table: read.seconds(table, "k"), "k: 300ms", 0.3),
        (lambda read, table: read.seconds(table, "k"), "k: 1.5 h", 5400.0),
        (lambda read, table: read.seconds(table, "other"), "k: 2s", None),
        (lambda read, table: read.version(table), "version: 12", "12"),
        (lambda read, table: read.version(table), 'version: "1.0"', "1.0"),
        (lambda read, table: read.version(table), "version: 0", "0"),
        (lambda read, table: read.version(table), "version: v2-beta", "v2-beta"),
        (lambda read, table: read.version(table), "k: 1", "1"),
        (lambda read, table: read.model_name(table, "stem"), "name: iris-2.b_c", "iris-2.b_c"),
        (lambda read, table: read.model_name(table, "stem"), "k: 1", "stem"),
    ],
)
def test_a_value_in_its_form_is_read(read_key, text, expected):
    read_from, table, faults = fields(text)
    assert read_key(read_from, table) == expected
    assert faults == []


@pytest.mark.parametrize(
    ("read_key", "text", "line"),
    [
        (lambda read, table: read.text(table, "k"), "k: 5", "1:4: k is a text, not 5"),
        (lambda read, table: read.text(table, "k"), "k: [a]", "1:4: k is a text, not a list"),
        (lambda read, table: read.text(table, "k"), "k:", "1:2: k is a text, not nothing"),
        (
            lambda read, table: read.whole(table, "k", least=1),
            "k: 0",
            "1:4: k is a whole number, 1 or more, not 0",
        ),
        (
            lambda read, table: read.whole(table, "k", least=1),
            "k: true",
            "1:4: k is a whole number, 1 or more, not true",
        ),
        (
            lambda read, table: read.whole(table, "k", least=0),
            'k: "5"',
            '1:4: k is a whole number, 0 or more, not the text "5"',
        ),
        (
            lambda read, table: read.whole(table, "k", least=0),
            "k: 1.0",
            "1:4: k is a whole number, 0 or more, not 1.0",
        ),
        (lambda read, table: read.seconds(table, "k"), "k: 5", "1:4: k: 5 has no unit; write 5ms or 5s"),
        (lambda read, table: read.seconds(table, "k"), "k: 0s", "1:4: k is more than 0, not 0s"),
        (
            lambda read, table: read.seconds(table, "k"),
            "k: {a: 1}",
            "1:4: k is a duration like 300ms or 2s, not a map",
        ),
        (
            lambda read, table: read.seconds(table, "k"),
            "k: yes",
            '1:4: k: "yes" is not a duration; write a number and a unit, like 300ms, 2s, 5m',
        ),
        (
            lambda read, table: read.version(table),
            "version: 1.0",
            '1:10: version is a whole number, or a text like "1.2" in quotes, not 1.0',
        ),
        (
            lambda read, table: read.version(table),
            "version: a/b",
            '1:10: a version is letters, digits, ".", "_" and "-", at most 128, not "a/b"',
        ),
        (
            lambda read, table: read.version(table),
            "version: -1",
            '1:10: version is a whole number, or a text like "1.2" in quotes, not -1',
        ),
        (
            lambda read, table: read.model_name(table, "stem"),
            "name: a b",
            '1:7: a model name is letters, digits, ".", "_" and "-", at most 128, not "a b"',
        ),
        (
            lambda read, table: read.model_name(table, "my graph"),
            "k: 1",
            STEM_LINE,
        ),
        (lambda read, table: read.model_name(table, "my graph"), "name: 5", "1:7: name is a text, not 5"),
        (
            lambda read, table: read.table(table, "k", ("a", "b")),
            "k: 5",
            "1:4: k is a map with the keys a and b, not 5",
        ),
        (
            lambda read, table: read.table(table, "k", ("alpha", "beta")),
            "k: {alpa: 1}",
            '1:5: k: unknown key "alpa"; did you mean "alpha"?',
        ),
    ],
)
def test_a_value_in_another_form_is_one_located_line(read_key, text, line):
    read_from, table, faults = fields(text)
    read_key(read_from, table)
    assert lines(faults) == [line]


@pytest.mark.parametrize(
    ("text", "source", "name"),
    [
        ("score", "score", None),
        ("score.label", "score", "label"),
        ("score.a.b", "score", "a.b"),
        ("request", "request", None),
        ("request.rows", "request", "rows"),
        ("headers.X-User", "headers", "x-user"),
        ("parameters.Top", "parameters", "Top"),
    ],
)
def test_a_reference_has_a_source_and_perhaps_a_name(text, source, name):
    read_from, table, faults = fields(f"k: {text}")
    found = read_from.reference(table.entries[0].node, "k")
    assert (found.source, found.name, faults) == (source, name, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("score.", 'k is "score.": a name is missing after the dot'),
        (".label", 'k is ".label": a name is missing before the dot'),
        ("headers", 'k is "headers": say which one, headers.NAME'),
        ("parameters", 'k is "parameters": say which one, parameters.NAME'),
        ("5", "k is a step, step.tensor or request, not 5"),
        ("", "k is a step, step.tensor or request, not nothing"),
        ('" "', 'k is a step, step.tensor or request, not the text " "'),
        ("{a: b}", "k is a step, step.tensor or request, not a map"),
    ],
)
def test_a_reference_that_cannot_be_read_leads_nowhere(text, message):
    read_from, table, faults = fields(f"k: {text}")
    assert read_from.reference(table.entries[0].node, "k").source == UNREAD
    assert [fault.message for fault in faults] == [message]


def test_a_misspelt_key_is_read_as_the_one_that_was_meant_unless_that_is_there_too():
    read_from, table, faults = fields("{limt: 4, queue: 1, queu: 7, later: 1, strange: 2}")
    found = read_from.known(table, ("limit", "queue"), ("later",))
    assert [(entry.key, entry.node.value) for entry in found.entries] == [("queue", 1), ("limit", 4)]
    assert lines(faults) == [
        '1:2: unknown key "limt"; did you mean "limit"?',
        '1:21: unknown key "queu"; did you mean "queue"?',
        "1:30: later is known but not built yet",
        '1:40: unknown key "strange"; there are limit and queue',
    ]


def test_places_go_as_deep_as_a_fault_points():
    _, table, _ = fields("a: {b: {c: {d: 1}}}\n")
    assert {path: str(place).removeprefix(f"{FILE}:") for path, place in places_of(table).items()} == {
        "a": "1:4",
        "a.b": "1:8",
        "a.b.c": "1:12",
    }


def test_what_stands_there_is_told_on_one_short_line():
    assert kind_of(Scalar("a\nb" + "x" * 500, None)) == f'the text "a\\nb{"x" * 57}…"'
    assert kind_of(Scalar(object, None)) == "<class 'object'>"

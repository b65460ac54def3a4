"""The core schema of YAML 1.2 and the variables, seen from the file: what a user writes, what comes of it."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph import scalars
from pipeline.graph.source import GraphFaults, plain
from tests.graph.reading import ENVIRONMENT, FILE, fault, read, value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("~", None),
        ("nUll", "nUll"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        *((word, word) for word in ("on", "off", "yes", "no", "y", "n", "Yes", "NO", "On")),
        ("0", 0),
        ("64", 64),
        ("-1", -1),
        ("+7", 7),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0x1F", "-0x1F"),
        ("0b11", "0b11"),
        ("0o8", "0o8"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("٣", "٣"),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.5e-3", -0.0005),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("+.inf", math.inf),
        ("-.INF", -math.inf),
        (".Inf", math.inf),
        ("inf", "inf"),
        ("nan", "nan"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("300ms", "300ms"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("=", "="),
        ("'64'", "64"),
        ('"true"', "true"),
        ("''", ""),
        ("|\n  64", "64\n"),
        (">-\n  64", "64"),
        ("!!str 64", "64"),
        ("!!str", ""),
        ("!!str ~", "~"),
        ("! 64", "64"),
        ("!!int '64'", 64),
        ("!!int 0x10", 16),
        ("!!float 1", 1.0),
        ("!!float '.inf'", math.inf),
        ("!!bool 'true'", True),
        ("!!null ''", None),
        ("!!null", None),
        ("!<tag:yaml.org,2002:int> 5", 5),
        ("!!map {}", {}),
        ("!!seq [1]", [1]),
        ("! [1]", [1]),
    ],
)
def test_scalars_are_typed_by_the_core_schema(text, expected):
    found = value(f"a: {text}\n")
    assert found == {"a": expected}
    assert type(found["a"]) is type(expected)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN", "!!float .nan"])
def test_nan_is_a_float(text):
    assert math.isnan(value(f"a: {text}")["a"])


@pytest.mark.parametrize("text", ["!!str a: 1", "'true': 1", "on: 1", "no: 1", "2024-01-31: 1", '"~": 1', "'<<': 1"])
def test_keys_that_are_texts_are_keys(text):
    assert list(value(text).values()) == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!int x", '1:4: "x" is not what its tag says, !!int'),
        ("a: !!bool yes", '1:4: "yes" is not what its tag says, !!bool'),
        ("a: !!float ''", '1:4: "" is not what its tag says, !!float'),
        ("a: !!null x", '1:4: "x" is not what its tag says, !!null'),
        ("a: !custom x", "1:4: tag !custom on a text"),
        ("a: !!python/object:os.system x", "1:4: tag !!python/object:os.system on a text"),
        ("a: !!python/object/apply:os.system [x]", "1:4: tag !!python/object/apply:os.system on a list"),
        ("a: !!timestamp 2024-01-31", "1:4: tag !!timestamp on a text"),
        ("a: !!binary aGk=", "1:4: tag !!binary on a text"),
        ("a: !!set {x}", "1:4: tag !!set on a map"),
        ("a: !!seq {x}", "1:4: tag !!seq on a map"),
        ("a: !!map [x]", "1:4: tag !!map on a list"),
        ("a: !!str [x]", "1:4: tag !!str on a list"),
        ("!x a: 1", "1:1: tag !x on a text"),
        ("%TAG !e! tag:example.com,2000:\n---\na: !e!x y", "3:4: tag tag:example.com,2000:x on a text"),
        ("a: 1e999", "1:4: 1e999 is larger than a float can hold"),
        ("a: " + "9" * 5000, "1:4: a whole number of 5,000 digits; 1,000 are the most"),
        ("a: !!int 0x" + "f" * 5000, "1:4: a whole number of 5,002 digits; 1,000 are the most"),
        ('a: "\\ud83d"', '1:4: "\\ud83d" holds bytes that are not UTF-8, or half a surrogate pair'),
    ],
)
def test_a_value_that_is_not_what_it_says_is_a_fault(text, expected):
    assert fault(text).startswith(f"{FILE}:{expected}")


def test_the_longest_number_can_still_be_printed():
    assert str(value("a: 0x" + "f" * (scalars.MAX_DIGITS - 2))["a"])
    assert sys.get_int_max_str_digits() > 2 * scalars.MAX_DIGITS


def test_a_directive_cannot_change_the_schema():
    expected = f"{FILE}:2:1: %YAML 1.1 above: a graph file is YAML 1.2; remove that line"
    assert fault("%YAML 1.1\n---\na: yes\nb: 012\n") == expected
    assert "1, 3" in fault("%YAML 1.3\n---\na: 1")


def test_the_directive_of_yaml_1_2_is_accepted():
    assert value("%YAML 1.2\n---\na: yes\nb: 012\n") == {"a": "yes", "b": 12}


# ---- variables


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${N}", 64),
        ("'${N}'", "64"),
        ('"${N}"', "64"),
        ("|-\n  ${N}", "64"),
        ("${N}ms", "64ms"),
        ("${GONE:-64}", 64),
        ("${GONE:-}", None),
        ("'${GONE:-}'", ""),
        ("${GONE:-1.5}", 1.5),
        ("${YES}", True),
        ("!!str ${N}", "64"),
        ("!!int '${N}'", 64),
        ("${N:-1}", 64),
        ("${EMPTY}", None),
        ("'${EMPTY}'", ""),
        ("${EMPTY:-x}", "x"),
        ("s3://${WORD}/${GONE:-m}.joblib", "s3://word/m.joblib"),
        ("${N}${N}", 6464),
        ("$${N}", "${N}"),
        ("$${N", "${N"),
        ("$$${N}", "$${N}"),
        ("$N $$ $", "$N $$ $"),
        ("${NEST}", "${N}"),
        ("${GONE:-$N}", "$N"),
        ("${GONE:-a: b # c}", "a: b # c"),
        ("'${GONE:-it''s}'", "it's"),
        ('"${GONE:-\\"q\\"}"', '"q"'),
        ("${EVIL}", ENVIRONMENT["EVIL"]),
        ("'${EVIL}'", ENVIRONMENT["EVIL"]),
        ("{b: ${N}, c: ${GONE:-x, y}}", {"b": 64, "c": "x, y"}),
        ("[${N}, ${GONE:-[]}, 's${N}', $${N}]", [64, "[]", "s64", "${N}"]),
        ('{"b":${N},"c":"${N}"}', {"b": 64, "c": "64"}),
    ],
)
def test_variables_are_filled_in_before_a_value_is_typed(text, expected):
    assert value(f"a: {text}\n") == {"a": expected}


@pytest.mark.parametrize("text", ['"$\\U0010FF00N\\U0010ff01"', "'$\U0010ff00N\U0010ff01'"])
def test_characters_that_stand_in_for_braces_are_not_mistaken_for_them(text):
    assert value(f"a: {text}\nb: ${{N}}") == {"a": "$\U0010ff00N\U0010ff01", "b": 64}
    assert "quote what starts with this ${" in fault(f"a: [{text}, ${{N}}]")


def test_variables_in_keys_comments_and_anchors_are_left_alone():
    assert value("${GONE}: 1 # ${LOST}\n") == {"${GONE}": 1}
    assert value("{${GONE:-x}: 1}") == {"${GONE:-x}": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: ${GONE}", "1:4: GONE is not set; set it, or give it a default: ${GONE:-…}"),
        ("a:\n  b: {c: 'x ${GONE}'}", "2:10: GONE is not set; set it, or give it a default: ${GONE:-…}"),
        ("a: [&x '${GONE}', *x]", "1:5: GONE is not set; set it, or give it a default: ${GONE:-…}"),
        ("a: ${N", '1:4: "${N" has no closing }; a literal ${ is written $${'),
        ("a: 'x ${'", '1:4: "${" has no closing }; a literal ${ is written $${'),
        ("a: ${}", '1:4: "${}" is not ${NAME} or ${NAME:-default}'),
        ("a: ${1}", '1:4: "${1}" is not ${NAME} or ${NAME:-default}'),
        ("a: ${N-1}", '1:4: "${N-1}" is not ${NAME} or ${NAME:-default}'),
        ("a: ${N:?no}", '1:4: "${N:?no}" is not ${NAME} or ${NAME:-default}'),
        ("a: ${GONE:-${N}}", '1:4: "${GONE:-${N}" is not ${NAME} or ${NAME:-default}, where default is plain text'),
        ("a: !!int ${WORD}", '1:4: "word" is not what its tag says, !!int'),
    ],
)
def test_a_variable_that_cannot_be_filled_in_is_a_fault(text, expected):
    assert fault(text).startswith(f"{FILE}:{expected}")


def test_an_environment_value_that_is_no_utf_8_is_a_fault():
    with pytest.raises(GraphFaults, match=r"graph.yaml:1:4: .* holds bytes that are not UTF-8"):
        read("a: ${X}", {"X": b"\xff".decode("utf-8", "surrogateescape")})


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(texts)
def test_what_a_variable_holds_is_never_structure(text):
    for form in ("'${X}'", '"${X}"', '{b: "${X}"}', "!!str ${X}", "[!!str ${X}]"):
        found = plain(read(f"a: {form}\nz: 1", {"X": text}))
        assert found in ({"a": text, "z": 1}, {"a": {"b": text}, "z": 1}, {"a": [text], "z": 1})

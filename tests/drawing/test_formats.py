"""Each format: the same every time, whole whatever the names hold, and without what only the owner may know."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from pipeline.drawing.catalog import format_of, formats
from pipeline.drawing.measure import fitted, width
from tests.drawing.pictures import explaining, nasty, of

FORMATS = sorted(formats())
EVERY = pytest.mark.parametrize("form", FORMATS)


def written(form, picture) -> str:
    return formats()[form].write(picture)


@EVERY
def test_the_same_picture_is_the_same_bytes_and_names_every_step(form):
    text = written(form, explaining())
    assert text == written(form, explaining())
    assert text.endswith("\n")
    for word in ("clean", "predict", "why", "audit", "headers.x-a", "answer to explain", "ask", "each rows", "300 ms"):
        assert word in text, word


@EVERY
def test_no_credential_is_drawn(form):
    assert "hidden" not in written(form, explaining())
    assert "host.example" in written(form, explaining())


@EVERY
def test_names_are_text_whatever_they_hold(form):
    text = written(form, nasty())
    assert "<script" not in text or form == "dot"  # whose quoted texts are no markup
    assert "\x00" not in text
    assert "\x1b" not in text


def test_svg_is_one_accessible_element_without_ids_or_anything_to_load():
    for picture in (explaining(), nasty(), of("steps: [app.py:f]")):
        root = ET.fromstring(written("svg", picture))
        assert root.get("role") == "img"
        assert root.get("aria-label", "").startswith("The graph ")
        assert root[0].tag.endswith("title")
        assert [own for own in root.iter() if own.get("id") or own.get("href") or own.tag.endswith("script")] == []
        assert "prefers-color-scheme" in written("svg", picture)


def test_svg_shows_handles_dashed_and_detached_steps_outlined_so():
    text = written("svg", explaining())
    assert text.count('class="line handle"') == 1
    assert text.count('class="card away"') == 1
    assert "<title>why calls predict</title>" in text


def test_every_statement_of_dot_is_whole():
    token = r'"(?:[^"\\]|\\.)*"'
    for picture in (explaining(), nasty()):
        bare = re.sub(token, "Q", written("dot", picture))
        assert '"' not in bare
        head, *lines, end = bare.splitlines()
        assert (head, end) == ("digraph Q {", "}")
        assert all(re.fullmatch(r"  (Q( -> Q)?( \[.*\])?|label=.*|node \[.*\]|edge \[.*\]);", line) for line in lines)


def test_every_line_of_mermaid_is_one_of_the_language():
    label = r'"[\w .,:/→…()#;<>-]*"'
    forms = [
        "flowchart TD", rf"  n\d+(\(\[{label}\]\)|\[{label}\]|>{label}\])", rf"  n\d+ (-->|-\.->)(\|{label}\|)? n\d+",
        r"  classDef kind_\w+ [\w:#, -]+", r"  class n\d+ kind_\w+",  # "call" by itself is a word of the language
    ]  # fmt: skip
    for picture in (explaining(), nasty()):
        for line in written("mermaid", picture).splitlines():
            assert any(re.fullmatch(form, line) for form in forms), line


@pytest.mark.parametrize(
    ("name", "form"),
    [("g.svg", "svg"), ("G.SVG", "svg"), ("g.dot", "dot"), ("g.gv", "dot"), ("g.mmd", "mermaid"), ("g.md", "markdown")],
)
def test_the_ending_says_the_format(name, form):
    assert format_of(name) == form


def test_an_unknown_ending_lists_those_there_are():
    with pytest.raises(ValueError, match=r"ends in \.dot, \.gv, \.markdown, \.md, \.mermaid, \.mmd and \.svg"):
        format_of("g.png")


@pytest.mark.parametrize("text", ["", "short", "x" * 5000, "界" * 90, "app.py:a_rather_long_name_of_a_function"])
def test_a_text_that_is_fitted_fits(text):
    assert width(fitted(text, 120, 12), 12) <= 120
    assert fitted(text, 10**6, 12) == text or len(text) > 2000

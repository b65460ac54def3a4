"""Pictures to lay out and to write: of graph files, and of steps with words of every kind."""

from __future__ import annotations

from dataclasses import replace

from pipeline.drawing.picture import Card, Link, Picture, picture
from pipeline.graph.spec import Reference
from tests.graph.checking import graph_of


def of(text: str) -> Picture:
    return picture(graph_of(text), {})


def step(name: str, inputs: str) -> str:
    return f"  {name}: {{run: app.py:{name}, inputs: {inputs}}}\n"


def explaining() -> Picture:
    """Handles, a detached step, and a call whose URL has what nobody may see."""
    text = (
        "output: {explain: why}\nsteps:\n" + step("clean", "request") + step("predict", "clean") + step("why", "clean")
    )
    graph = graph_of(text)
    by_name = {own.name: own for own in graph.steps}
    url = "https://me:hidden@host.example/models/m?token=hidden#hidden"
    steps = (
        by_name["clean"],
        replace(by_name["predict"], action="call", target=url, each="rows", timeout=0.3),
        replace(by_name["why"], handles={"ask": Reference("predict", None, None)}),
        replace(by_name["predict"], name="audit", detached=True, inputs=(Reference("headers", "x-a", None),)),
    )
    return picture(replace(graph, steps=steps), {})


NASTY = '"><script>alert(1)</script>\\\n]]>--> `x` #quot; %%{init}%% \x00\x1b ' + "é界" * 500


def nasty() -> Picture:
    cards = (
        Card("request", "request", NASTY),
        Card("a", "run", NASTY, NASTY, (NASTY,)),
        Card("end", "strange", NASTY, NASTY, (), detached=True),
    )
    return Picture(
        NASTY, NASTY, cards, (Link("request", "a", (NASTY,), NASTY), Link("a", "end", to=NASTY, handle=True))
    )

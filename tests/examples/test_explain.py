"""The explain example: which measurement mattered, asked of the model through its handle, in process."""

from __future__ import annotations

import re

import pytest

from pipeline_serve import InvalidInput, Pipeline
from tests.examples.readme import trained
from tests.serving import ROOT, run

EXAMPLE = ROOT / "examples" / "explain"
pytestmark = pytest.mark.usefixtures("imports")


def test_hundreds_of_questions_are_one_line_of_the_timings() -> None:
    ended = run(ROOT, "run", "--verb", "explain", str(trained(EXAMPLE) / "graph.yaml"), str(EXAMPLE / "request.json"))
    assert ended.returncode == 0
    assert re.search(r"predict.*501", ended.stderr), ended.stderr


@pytest.mark.parametrize(
    ("row", "species", "mattered"),
    [
        ([5.1, 3.5, 1.4, 0.2], "setosa", "petal length"),
        ([6.7, 3.0, 5.2, 2.3], "virginica", "petal width"),
    ],
)
async def test_the_measurement_that_mattered_is_named(row: list[float], species: str, mattered: str) -> None:
    async with Pipeline.from_file(trained(EXAMPLE) / "graph.yaml") as iris:
        answer = await iris.infer({"rows": [row]}, verb="explain")
    (explanation,) = answer["why"]["explanations"]
    assert (explanation["species"], explanation["mattered"]) == (species, mattered)
    assert explanation["lost"][mattered] == max(explanation["lost"].values())


async def test_what_the_model_cannot_take_is_the_callers_mistake_through_the_handle_too() -> None:
    async with Pipeline.from_file(trained(EXAMPLE) / "graph.yaml") as iris:
        with pytest.raises(InvalidInput, match="rows"):
            await iris.infer({"rows": [[5.1, None, 1.4, 0.2]]}, verb="explain")

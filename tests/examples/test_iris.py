"""The iris example: rows in centimetres or millimetres in, species out; what is no row is a 400 that says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.examples.readme import trained
from tests.serving import ROOT, Server, run, serving

EXAMPLE = ROOT / "examples" / "iris"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("served"), graphs=[str(trained(EXAMPLE) / "graph.yaml")]) as server:
        yield server


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [[5.1, 3.5, 1.4, 0.2]]}, {"predictions": ["setosa"]}),
        ({"instances": [[51, 35, 14, 2], [6.7, 3.0, 5.2, 2.3]]}, {"predictions": ["setosa", "virginica"]}),
        ({"inputs": [[6.0, 2.7, 4.2, 1.3]]}, {"outputs": ["versicolor"]}),
    ],
)
def test_iris_names_the_species_of_rows_in_centimetres_and_in_millimetres(server: Server, body, answer) -> None:
    assert server.post("/v1/models/iris:predict", body).json() == answer


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"instances": [[5.1, 3.5, 1.4]]}, "FP64[n,4]"),
        ({"instances": [["a", "b", "c", "d"]]}, "rows"),
        ({"instances": [[5.1, 3.5, 1.4, 0.2], [1]]}, "row 1"),
        ({"instances": [[5.1, None, 1.4, 0.2]]}, 'input "rows" does not suit step "predict"'),
    ],
)
def test_iris_refuses_what_is_no_row_of_four_numbers(server: Server, body, says) -> None:
    reply = server.post("/v1/models/iris:predict", body)
    assert reply.status_code == 400
    assert says in reply.json()["error"]


def test_the_metadata_of_iris_says_what_it_takes_and_gives(server: Server) -> None:
    body = server.get("/v2/models/iris").json()
    assert body["inputs"] == [{"name": "rows", "datatype": "FP64", "shape": [-1, 4]}]
    assert body["outputs"] == [{"name": "species", "datatype": "BYTES", "shape": [-1]}]


def test_iris_tells_what_each_step_took() -> None:
    ended = run(ROOT, "run", str(EXAMPLE / "graph.yaml"), str(EXAMPLE / "request.json"))
    assert [line.split()[0] for line in ended.stderr.splitlines()] == ["preprocess", "predict", "postprocess", "total"]

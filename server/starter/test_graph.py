"""The graph in process, without a port: ``pytest`` runs it as it stands."""

from pathlib import Path

import pytest

from pipeline_serve import InvalidInput, Pipeline

GRAPH = Path(__file__).with_name("graph.yaml")


def test_each_row_gets_the_kind_whose_mean_is_nearest() -> None:
    with Pipeline.from_file(GRAPH).blocking() as model:
        response = model.infer({"rows": [[1.4, 0.2], [4.5, 1.5], [61.0, 23.0]]})
    assert response["label"].tolist() == [b"setosa", b"versicolor", b"virginica"]


def test_a_row_without_its_width_is_refused() -> None:
    with Pipeline.from_file(GRAPH).blocking() as model, pytest.raises(InvalidInput, match="rows"):
        model.infer({"rows": [[1.4]]})

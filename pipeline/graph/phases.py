"""Which part each step plays in KServe's words: preprocess, predict or postprocess.

KServe's models have these three hooks and its dashboards three histograms. A graph has steps; the one named
``predict``, else the model, is the predictor, what it needs is preprocessing and the rest is postprocessing. A graph
with neither is all prediction.
"""

from __future__ import annotations

import networkx as nx

from pipeline.graph.dag import Graph

PHASES = ("preprocess", "predict", "postprocess")


def phases(graph: Graph) -> dict[str, str]:
    """Step name → one of PHASES."""
    names = [step.name for step in graph.steps]
    models = [step.name for step in graph.steps if step.action == "model"]
    predictors = ["predict"] if "predict" in names else models
    if not predictors:
        return dict.fromkeys(names, "predict")
    before = set[str]().union(*(nx.ancestors(graph.dag, name) for name in predictors))
    found = {name: "preprocess" if name in before else "postprocess" for name in names}
    return found | dict.fromkeys(predictors, "predict")

"""Which part each step plays in KServe's words: preprocess, predict, postprocess or explain.

KServe's models have these hooks and its dashboards a histogram for each. A graph has steps; the one named ``predict``,
else the model, else the server that is called, is the predictor, what it needs is preprocessing and the rest is
postprocessing. A graph with none of them is all prediction. What only an explanation needs explains.
"""

from __future__ import annotations

import networkx as nx

from pipeline.graph.dag import Graph

PHASES = ("preprocess", "predict", "postprocess")


def phases(graph: Graph) -> dict[str, str]:
    """Step name → one of PHASES, or explain."""
    needed = {verb: _needed(graph, verb) for verb in graph.output}
    explains = set[str]().union(*needed.values()) - needed["predict"]
    return _predicting(graph) | dict.fromkeys(sorted(explains), "explain")


def _needed(graph: Graph, verb: str) -> set[str]:
    answers = {reference.source for reference in graph.output[verb]}
    return answers.union(*(nx.ancestors(graph.dag, name) for name in answers))


def _predicting(graph: Graph) -> dict[str, str]:
    names = [step.name for step in graph.steps]
    models = [step.name for step in graph.steps if step.action == "model"]
    calls = [step.name for step in graph.steps if step.action == "call"]
    predictors = ["predict"] if "predict" in names else models or calls
    if not predictors:
        return dict.fromkeys(names, "predict")
    before = set[str]().union(*(nx.ancestors(graph.dag, name) for name in predictors))
    found = {name: "preprocess" if name in before else "postprocess" for name in names}
    return found | dict.fromkeys(predictors, "predict")

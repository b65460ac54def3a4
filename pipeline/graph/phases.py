"""Which part each step plays in KServe's words: preprocess, predict, postprocess or explain.

KServe's models have these hooks and its dashboards a histogram for each. A graph has steps; the one named ``predict``,
else the model, else the server that is called, is the predictor, what it needs is preprocessing and the rest is
postprocessing. A graph with none of them is all prediction. What only an explanation needs explains.
"""

from __future__ import annotations

from pipeline.graph.dag import Graph, needed_by
from pipeline.graph.order import with_all_before

PHASES = ("preprocess", "predict", "postprocess")


def phases(graph: Graph) -> dict[str, str]:
    """Step name → one of PHASES, or explain."""
    needed = {verb: needed_by(graph.reads, own) for verb, own in graph.output.items()}
    explains = set[str]().union(*needed.values()) - needed["predict"]
    return _predicting(graph) | dict.fromkeys(sorted(explains), "explain")


def _predicting(graph: Graph) -> dict[str, str]:
    names = [step.name for step in graph.steps]
    # A step that only handles call, or that nobody waits for, is no part of the way from question to answer.
    waited = [step for step in graph.planned if not step.detached]
    models = [step.name for step in waited if step.action == "model"]
    calls = [step.name for step in waited if step.action == "call"]
    predictors = ["predict"] if "predict" in (step.name for step in waited) else models or calls
    if not predictors:
        return dict.fromkeys(names, "predict")
    before = with_all_before(predictors, graph.reads)
    found = {name: "preprocess" if name in before else "postprocess" for name in names}
    return found | dict.fromkeys(predictors, "predict")

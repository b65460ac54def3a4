"""What a warm-up saves the first request: of a PyTorch program, and of a function that imports pandas when called.

    python -m benchmarks.warmup

A server process each time, with warm-up and without in turns; PyTorch is that of `.peers/torch`. Prints milliseconds
of the first request and the median of the next five, and how many times longer the first took.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.peers import environment
from tests.serving import ROOT, serving

ROUNDS = 5
PROGRAM = """
import torch
layers = [layer for _ in range(3) for layer in (torch.nn.Linear(256, 256), torch.nn.GELU())]
program = torch.export.export(torch.nn.Sequential(*layers), (torch.zeros(2, 256),),
                              dynamic_shapes=({0: torch.export.Dim("n")},))
torch.export.save(program, "m.pt2")
"""
APP = """
def means(input):
    import pandas
    return pandas.DataFrame(input).mean(axis=1).to_numpy()
"""
CASES = {
    "an exported program": "name: m\nsteps: {m: {model: m.pt2, warmup: WORD}}\n",
    "an import": """
name: m
schema: {inputs: {input: 'FP32[n,256]'}}
steps: {m: {run: app.py:means, warmup: WORD}}
""",
}
GIVEN = {"inputs": [{"name": "input", "shape": [1, 256], "datatype": "FP32", "data": [0.5] * 256}]}


def measured(folder: Path, graph: str, packages: Path) -> tuple[float, float]:
    """Milliseconds of the first request, and the median of the next five."""
    # After our own packages: what both have is ours.
    last = f"import sys\nsys.path.append({str(packages)!r})\n"
    files = {"graph.yaml": graph, "app.py": APP, "sitecustomize.py": last}
    spent = []
    with serving(folder, files, env={"PYTHONPATH": f"{ROOT}:{folder}"}) as server, server.client() as client:
        for _ in range(6):
            start = time.perf_counter()
            client.post("/v2/models/m/infer", json=GIVEN).raise_for_status()
            spent.append((time.perf_counter() - start) * 1e3)
    return spent[0], statistics.median(spent[1:])


def report(name: str, rounds: list[dict[str, tuple[float, float]]]) -> None:
    print(name)
    for word in rounds[0]:
        pairs = [own[word] for own in rounds]
        ratios = [first / later for first, later in pairs]
        spread = f"{statistics.median(ratios):.1f} × ({min(ratios):.1f} to {max(ratios):.1f})"
        first, later = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"  warmup: {word:5}  first {first:7.1f} ms, later {later:5.1f} ms; {spread}")
    saved = statistics.median(own["false"][0] / own["true"][0] for own in rounds)
    print(f"  the first request without a warm-up takes {saved:.1f} × the time of one after it")


def main() -> None:
    python = environment.python("torch")
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        subprocess.run([python, "-W", "ignore", "-c", PROGRAM], cwd=folder, check=True)
        for name, graph in CASES.items():
            graphs = {word: graph.replace("WORD", word) for word in ("false", "true")}
            rounds = [{word: measured(folder, own, packages) for word, own in graphs.items()} for _ in range(ROUNDS)]
            report(name, rounds)


if __name__ == "__main__":
    main()

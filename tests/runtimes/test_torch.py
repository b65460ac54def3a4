"""TorchScript modules and exported programs by PyTorch itself, which has an environment of its own: it is large."""

from __future__ import annotations

import importlib
import io
import sys
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pipeline.blueprint import from_model_file
from pipeline.runtimes.catalog import CannotOpen, Misfit
from pipeline.runtimes.torch import open_model
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Json, Tensor, tensor
from pipeline_serve import GraphFaults, Pipeline
from storage import Storage
from tests.peers import environment
from tests.peers.environment import NotInstalled

_NOT_OFFERED = ("No matching distribution", "no version of torch", "unsatisfiable")


@pytest.fixture(scope="module")
def torch() -> Iterator[Any]:
    try:
        made = environment.python("torch")
    except NotInstalled as error:
        if any(words in str(error) for words in _NOT_OFFERED):
            pytest.skip("no build of PyTorch for CPUs is offered here for this Python")
        raise
    (packages,) = made.parents[1].glob("lib/python*/site-packages")
    # Last: what both have is ours.
    sys.path.append(str(packages))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own making
        yield importlib.import_module("torch")
    sys.path.remove(str(packages))


@pytest.fixture(scope="module")
def files(torch, tmp_path_factory):
    """Small programs, each in the form that its file's ending says; made once, for tracing takes seconds."""
    folder = tmp_path_factory.mktemp("programs")

    class Sum(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 3)
            torch.nn.init.ones_(self.linear.weight)
            torch.nn.init.zeros_(self.linear.bias)

        def forward(self, x, y):
            return self.linear(x) + y

    class Many(torch.nn.Module):
        def forward(self, x):
            return x + 1, x * 2

    class Named(torch.nn.Module):
        def forward(self, x):
            return {"twice": x * 2}

    class Writes(torch.nn.Module):
        def forward(self, x):
            return x.add_(1)

    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = torch.nn.Embedding(3, 2)

        def forward(self, ids):
            return self.rows(ids)

    class Text(torch.nn.Module):
        def forward(self, x: str):
            return x

    one, rows = torch.zeros(2), (torch.zeros(2, 4), torch.zeros(2, 3))
    Text.forward.__annotations__["x"] = str
    torch.jit.script(Text()).save(folder / "text.pt")
    torch.jit.trace(Sum(), rows).save(folder / "sum.pt")
    torch.jit.trace(Many(), one).save(folder / "many.pth")
    torch.jit.trace(Named(), one, strict=False).save(folder / "named.pt")
    torch.jit.trace(Writes(), one).save(folder / "writes.pt")
    torch.jit.trace(Table(), torch.zeros(2, dtype=torch.int64)).save(folder / "table.pt")
    size = torch.export.Dim("n")
    torch.export.save(torch.export.export(Sum(), rows, dynamic_shapes=({0: size}, {0: size})), folder / "sum.pt2")
    torch.export.save(torch.export.export(Many(), (one,)), folder / "many.pt2")
    torch.export.save(torch.export.export(Named(), (one.to(torch.bfloat16),)), folder / "named.pt2")
    torch.save(Sum().state_dict(), folder / "weights.pt")
    torch.save(Sum().state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    (folder / "garbage.pt").write_bytes(b"garbage")
    (folder / "garbage.pt2").write_bytes(b"garbage")
    return folder


def opened(files, name, **params):
    return open_model(files / name, "m", params, 1)


def rows(dtype=np.float32, size=2):
    return {"x": tensor(np.ones((size, 4), dtype)), "y": tensor(np.ones((size, 3), np.float32))}


@pytest.mark.parametrize("name", ["sum.pt", "sum.pt2"])
@pytest.mark.parametrize("size", [0, 1, 3])
def test_inputs_go_by_name_and_the_output_is_named_as_the_step(files, name, size):
    answer = opened(files, name).predict(dict(reversed(rows(size=size).items())))
    assert {key: own.array.tolist() for key, own in answer.items()} == {"m": [[5.0] * 3] * size}
    assert not answer["m"].array.flags.writeable


def test_an_exported_program_tells_what_it_takes_and_gives(files):
    known = opened(files, "sum.pt2").signature
    assert {name: str(spec) for name, spec in known.inputs.items()} == {"x": "FP32[-1,4]", "y": "FP32[-1,3]"}
    assert {name: str(spec) for name, spec in known.outputs.items()} == {"m": "FP32[-1,3]"}
    known = opened(files, "many.pt2").signature
    assert {name: str(spec) for name, spec in known.outputs.items()} == {"m_0": "FP32[2]", "m_1": "FP32[2]"}
    assert opened(files, "sum.pt").signature.inputs == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("many.pth", {"m_0": [2, 3], "m_1": [2, 4]}), ("many.pt2", {"m_0": [2, 3], "m_1": [2, 4]}),
     ("named.pt", {"twice": [2, 4]})],
)  # fmt: skip
def test_a_tuple_is_several_outputs_and_a_dict_has_their_names(files, name, expected):
    answers = opened(files, name).predict({"any": tensor(np.array([1, 2], np.float32))})
    assert {key: own.array.tolist() for key, own in answers.items()} == expected


def test_bfloat16_goes_in_and_comes_out_by_its_bits(files):
    sent = Tensor(Datatype.BF16, np.array([0x3F80, 0xC000], np.uint16).view(Datatype.BF16.dtype))
    answer = opened(files, "named.pt2").predict({"x": sent})["twice"]
    assert (answer.datatype, answer.numbers.tolist()) == (Datatype.BF16, [2.0, -4.0])


def test_fp64_goes_in_as_the_weights_are_where_a_module_does_not_tell_what_it_takes(files):
    assert opened(files, "sum.pt").predict(rows(np.float64))["m"].datatype is Datatype.FP32
    with pytest.raises(Misfit, match=r'^"x" is FP64\[2,4\]; the model takes FP32\[-1,4\]$'):
        opened(files, "sum.pt2").predict(rows(np.float64))


def test_a_module_that_writes_into_its_input_changes_a_copy(files):
    own = np.zeros(2, np.float32)
    assert opened(files, "writes.pt").predict({"x": tensor(own)})["m"].array.tolist() == [1, 1]
    assert own.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("name", "inputs", "says"),
    [
        ("sum.pt", {**rows(), "x": tensor(np.ones((2, 5), np.float32))}, '"x" is refused by the model: mat1 and mat2'),
        ("sum.pt2", {**rows(), "x": tensor(np.ones((2, 5), np.float32))}, r'"x" is FP32\[2,5\]; the model takes FP32'),
        ("sum.pt2", {**rows(), "y": tensor(np.ones((3, 3), np.float32))}, '"x" is refused by the model: Guard failed'),
        ("sum.pt", {"x": rows()["x"]}, '"y" is missing; there is "x"'),
        ("table.pt", {"ids": tensor(np.array([7]))}, '"ids" is refused by the model: index out of range'),
        ("sum.pt", {**rows(), "y": tensor(np.array(["a"]))}, r'"y" is BYTES\[1\]; the model takes numbers'),
        ("sum.pt", {**rows(), "y": Json([[1], []])}, r'"y" is JSON \(list\); the model takes numbers'),
    ],
)
def test_what_a_program_refuses_is_told_without_its_traceback(files, name, inputs, says):
    with pytest.raises(Misfit, match=f"^{says}") as caught:
        opened(files, name).predict(inputs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("weights.pt", {}, "is of torch.save, a state dict or a pickled class, and no program: torch.export.save"),
        ("old.pth", {}, "is of torch.save, and has no program: torch.export.save"),
        ("garbage.pt", {}, "is no TorchScript module"),
        ("garbage.pt2", {}, "is no exported program that this torch can load"),
        ("text.pt", {}, 'forward takes "x" as str, and a request has tensors'),
        ("sum.pt", {"device": "cuda:7"}, "params.device 'cuda:7' is none that is here"),
        ("sum.pt", {"threads": "two"}, "params.threads is a whole number"),
    ],
)
def test_what_cannot_be_opened_says_why(files, name, params, says):
    with pytest.raises(CannotOpen) as caught:
        opened(files, name, **params)
    assert says in str(caught.value)


def test_code_in_a_pickle_of_a_program_is_not_run(files, tmp_path):
    evil = io.BytesIO()
    with zipfile.ZipFile(files / "sum.pt2") as own, zipfile.ZipFile(tmp_path / "evil.pt2", "w") as made:
        for name in own.namelist():
            made.writestr(name, own.read(name))
        with zipfile.ZipFile(evil, "w") as inner:
            inner.writestr("x/data.pkl", b"cos\nsystem\n(S'touch ran'\ntR.")
            inner.writestr("x/version", "3")
        made.writestr("sum/data/weights/weight_9.pt", evil.getvalue())
    with pytest.raises(CannotOpen, match=r"evil\.pt2 holds a pickle of more than tensors, sum/data/weights/weight_9"):
        opened(tmp_path, "evil.pt2")


def test_a_call_computes_in_as_many_threads_as_it_is_given(torch, files):
    opened(files, "sum.pt").predict(rows())
    assert torch.get_num_threads() == 1
    opened(files, "sum.pt", threads=2).predict(rows())
    assert torch.get_num_threads() == 2


async def test_a_program_by_itself_is_a_model_and_is_warm(files):
    told = []
    model = Pipeline.from_blueprint(from_model_file(files / "sum.pt2", Storage({})))
    model.observers.append(told.append)
    async with model:
        answer = await model.infer({"x": [[1, 1, 1, 1]], "y": [[0, 0, 0]]})
    assert answer["predict"].tolist() == [[4.0] * 3]
    assert [(own.step, own.reason) for own in told if type(own).__name__ == "StepWarmed"] == [("predict", None)]


async def test_a_program_that_contradicts_the_graph_does_not_open(files, write):
    folder = write("app.py", "import numpy as np\nfrom typing import Annotated\n"
                   "def pre(x, y) -> Annotated[dict, 'FP64[n,4]']: return {'x': x, 'y': y}\n"
                   "def post(m: Annotated[np.ndarray, 'FP64[n,3]']): return m\n")  # fmt: skip
    write("graph.yaml", f"steps:\n  predict: {{model: {files / 'sum.pt2'}}}\n  post: app.py:post\n")
    with pytest.raises(GraphFaults, match=r'graph.yaml:3:9: step "post".*; so says the model of step "predict"'):
        await Pipeline.from_file(folder / "graph.yaml").__aenter__()

"""scikit-learn's estimators as they are: asked for what they know, and told apart from the values they refuse."""

import pickle
import sys

import joblib
import networkx as nx
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pipeline.errors import InvalidInput, NotInstalled, WrongAnswer
from pipeline.pipeline import State
from pipeline.runtimes.catalog import CannotOpen
from pipeline.runtimes.sklearn import open_model
from pipeline.tensors.tensor import Json
from pipeline_serve import Pipeline, Step

X = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
Y = np.array([0, 1, 0, 1])
WORDS = np.array(["zero", "one"])[Y]
TEXTS = ["good fine", "bad poor", "fine", "poor"]


def classifier(labels=Y):
    return LogisticRegression().fit(X, labels)


def multi_output():
    return MultiOutputClassifier(LogisticRegression()).fit(X, np.stack([Y, 1 - Y], axis=1))


def text():
    return make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, WORDS)


def model_of(tmp_path, estimator, *before, **step):
    joblib.dump(estimator, tmp_path / "m.joblib")
    dag = nx.DiGraph()
    dag.add_node("m", step=Step(model="m.joblib", **step))
    for function in before:
        dag.add_node("before", step=Step(run=function))
        dag.add_edge("before", "m")
    return Pipeline("p", dag, folder=tmp_path)


def told(specs):
    return {name: str(spec) for name, spec in specs.items()}


KNOWN = [
    (classifier, {}, {"X": "FP64[-1,2]"}, {"m": "INT64[-1]"}),
    (lambda: classifier(WORDS), {}, {"X": "FP64[-1,2]"}, {"m": "BYTES[-1]"}),
    (classifier, {"method": "predict_proba"}, {"X": "FP64[-1,2]"}, {"m": "FP64[-1,2]"}),
    (classifier, {"method": "decision_function"}, {"X": "FP64[-1,2]"}, {"m": "FP64[-1]"}),
    (lambda: StandardScaler().fit(X), {"method": "transform"}, {"X": "FP64[-1,2]"}, {"m": "FP64[-1,2]"}),
    (lambda: OneHotEncoder().fit([[1], [2]]), {"method": "transform"}, {"X": "FP64[-1,1]"}, {"m": "FP64[-1,2]"}),
    (lambda: LinearRegression().fit(X, X), {}, {"X": "FP64[-1,2]"}, {"m": "FP64[-1,2]"}),
    (multi_output, {}, {"X": "FP64[-1,2]"}, {"m": "INT64[-1,2]"}),
    (multi_output, {"method": "predict_proba"}, {"X": "FP64[-1,2]"}, {"m_0": "FP64[-1,2]", "m_1": "FP64[-1,2]"}),
    (text, {}, {}, {}),
]


@pytest.mark.parametrize(("make", "params", "inputs", "outputs"), KNOWN)
@pytest.mark.parametrize("dump", [joblib.dump, lambda model, path: path.write_bytes(pickle.dumps(model))])
def test_an_estimator_tells_what_it_takes_and_gives(tmp_path, make, params, inputs, outputs, dump):
    dump(make(), tmp_path / "m.pkl")
    opened = open_model(tmp_path / "m.pkl", "m", params, 1)
    assert told(opened.signature.inputs) == inputs
    assert told(opened.signature.outputs) == outputs


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.int8, np.uint8, np.bool_])
async def test_an_estimator_takes_numbers_of_every_datatype_under_any_name(tmp_path, dtype):
    async with model_of(tmp_path, classifier()) as model:
        assert told(model.signature.inputs) == {"X": "FP64[-1,2]"}
        assert (await model.infer({"whatever": X[:2].astype(dtype)}))["m"].tolist() == [0, 1]


async def test_text_goes_in_and_comes_out(tmp_path):
    async with model_of(tmp_path, text()) as model:
        assert (await model.infer({"t": ["fine", "bad"]}))["m"].tolist() == [b"zero", b"one"]
        for wrong in ([1.0], [["fine"], ["bad"]]):
            with pytest.raises(InvalidInput, match='input "t" does not fit: the model reads one text per row'):
                await model.infer({"t": wrong})
        with pytest.raises(InvalidInput, match="not UTF-8"):
            await model.infer({"t": [b"\xff"]})


async def test_features_by_name_are_a_tensor_each_in_any_order_or_all_in_one(tmp_path):
    pandas = pytest.importorskip("pandas")
    estimator = LogisticRegression().fit(pandas.DataFrame(X, columns=["a", "b"]), Y)
    async with model_of(tmp_path, estimator) as model:
        assert told(model.signature.inputs) == {"a": "FP64[-1]", "b": "FP64[-1]"}
        for inputs in ({"b": X[:, 1], "a": X[:, 0]}, {"a": X[:, :1], "b": X[:, 1:]}, {"rows": X}):
            assert (await model.infer(inputs))["m"].tolist() == Y.tolist()
        for inputs, says in [
            ({"a": [1.0], "c": [1.0]}, 'input "b" cannot be read: the feature "b" is missing from "a", "c"'),
            ({"a": [1.0], "b": [1.0], "bb": [1.0]}, 'input "bb" is no feature of the model; did you mean "b"'),
            ({"a": [1.0], "b": [float("nan")]}, 'input "b" has NaN or infinity'),
            ({"a": [1.0], "b": [1.0, 2.0]}, "expected columns of equal length"),
            ({"a": [1.0], "b": ["x"]}, 'input "b" is text, which the model does not take; it takes numbers'),
        ]:
            with pytest.raises(InvalidInput, match=says):
                await model.infer(inputs)


def test_rows_of_objects_without_pandas_are_the_servers_fault(tmp_path, monkeypatch):
    joblib.dump(LogisticRegression().fit(X, Y), tmp_path / "m.joblib")
    model = open_model(tmp_path / "m.joblib", "m", {}, 1)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(NotInstalled, match="This server lacks pandas"):
        model.predict({"x": Json([{"a": 1.0, "b": 2.0}])})


async def test_a_column_of_text_is_read_by_name_and_unknown_words_are_the_callers(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"age": [1.0, 2.0, 3.0, 4.0], "city": ["Köln", "Bonn", "Köln", "Bonn"]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    async with model_of(tmp_path, make_pipeline(encoder, LogisticRegression()).fit(frame, Y)) as model:
        assert told(model.signature.inputs) == {}, "what it reads is no table of numbers"
        assert (await model.infer({"age": [1.0, 4.0], "city": ["Köln", "Bonn"]}))["m"].tolist() == [0, 1]
        with pytest.raises(InvalidInput, match=r"refused by the model: Found unknown categories \['Mars'\]"):
            await model.infer({"age": [1.0], "city": ["Mars"]})


REFUSED = [
    ([[1.0, 2.0, 3.0]], r"does not fit: expected \[-1,2\], got \[1,3\]"),
    ([1.0, 2.0], r"does not fit: expected \[-1,2\], got \[2\]"),
    ([[[1.0, 2.0]]], r"does not fit: expected \[-1,2\], got \[1,1,2\]"),
    ([[1.0, float("nan")]], "has NaN or infinity, which the model does not take"),
    ([[1.0, float("inf")]], "has NaN or infinity, which the model does not take"),
    (np.zeros((0, 2)), r"has no rows \(\[0,2\]\); the model takes at least one"),
    ([["a", "b"]], "is text, which the model does not take; it takes numbers"),
    ({"a": 1}, "is JSON; the model reads a tensor"),
]


@pytest.mark.parametrize(("sent", "says"), REFUSED)
async def test_what_the_model_cannot_take_is_the_callers_fault_or_the_steps_before_it(tmp_path, sent, says):
    async with model_of(tmp_path, classifier()) as model:
        with pytest.raises(InvalidInput, match=f'^input "rows" {says}'):
            await model.infer({"rows": sent})
        with pytest.raises(InvalidInput, match="expected one tensor"):
            await model.infer({"a": X, "b": X})
        with pytest.raises(InvalidInput, match='input "X" is missing'):
            await model.infer({})
    returned = np.array(sent) if isinstance(sent, list) else sent
    async with model_of(tmp_path, classifier(), lambda x: returned) as model:
        with pytest.raises(WrongAnswer, match=f'^step "m": its input "before" {says}'):
            await model.infer({"x": 1})


async def test_a_model_that_takes_nan_or_was_never_fitted_is_not_second_guessed(tmp_path):
    async with model_of(tmp_path, DummyClassifier().fit(X, Y)) as model:
        assert (await model.infer({"x": [[np.nan, 1.0]]}))["m"].tolist() == [0]
    async with model_of(tmp_path, LogisticRegression()) as model:
        with pytest.raises(Exception, match="is not fitted yet") as caught:
            await model.infer({"x": X})
        assert type(caught.value).__name__ == "NotFittedError"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"nonsense", "is no joblib or pickle file, or was cut short: KeyError: 110"),
        (pickle.dumps(LinearRegression())[:-9], "is no joblib or pickle file, or was cut short: "),
        (b"cos\nnothing\n.", "cannot be opened: AttributeError: "),
        (b"cgone\nApp\n.", "cannot be opened: ModuleNotFoundError: "),
        (b"cjson\nloads\n(S'{'\ntR.", "cannot be opened: JSONDecodeError: "),
    ],
)
def test_a_file_that_cannot_be_read_is_told_from_code_that_fails(tmp_path, data, says):
    (tmp_path / "m.joblib").write_bytes(data)
    with pytest.raises(CannotOpen, match=f"m.joblib {says}"):
        open_model(tmp_path / "m.joblib", "m", {}, 1)


GARBAGE = [
    b"",
    b"garbage",
    b"\x80\x04",
    b"\x80\x05K\x01.",
    pickle.dumps({"a": 1}),
    b"cos\nnothing\n.",
    b"cgone\nApp\n.",
    b"\x78\x9c\x00",
    b"\x1f\x8b\x08\x00",
    b"BZh9",
    b"(dp0\nI1\nI2\n",
    b"cposix\n_exit_\n.",
    b"csys\nexit\n(I3\ntR.",
    bytes(range(256)),
]


@pytest.mark.parametrize("data", GARBAGE, ids=repr)
def test_a_file_that_is_no_model_is_one_clear_error(tmp_path, data):
    file = tmp_path / "m.joblib"
    file.write_bytes(data)
    with pytest.raises(
        CannotOpen,
        match=r"m\.joblib (cannot be opened: |is no joblib or pickle .*: |is a \w+, which has no method)",
    ):
        open_model(file, "m", {}, 1)


def test_a_method_that_is_not_there_is_named_with_the_near_one(tmp_path):
    joblib.dump(classifier(), tmp_path / "m.joblib")
    says = 'm.joblib is a LogisticRegression, which has no method "predict_probs"; did you mean "predict_proba"'
    with pytest.raises(CannotOpen, match=says):
        open_model(tmp_path / "m.joblib", "m", {"method": "predict_probs"}, 1)


@pytest.mark.parametrize("package", ["sklearn", "joblib"])
def test_a_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch, package):
    joblib.dump(classifier(), tmp_path / "m.joblib")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(CannotOpen, match=r'm.joblib needs scikit-learn: pip install "pipeline-serve\[sklearn\]"'):
        open_model(tmp_path / "m.joblib", "m", {}, 1)


async def test_a_model_file_that_goes_away_fails_its_model_and_says_where_it_was_looked_for(tmp_path):
    model = model_of(tmp_path, classifier())
    (tmp_path / "m.joblib").unlink()
    with pytest.raises(OSError, match=r'there is no model at "m.joblib"; looked at .*m.joblib'):
        await model.__aenter__()
    assert model.state is State.FAILED

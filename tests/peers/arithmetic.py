"""What the parts of a chain compute, the same in KServe's models and in our steps: plain functions of numpy arrays.

``NAME_before`` is a transformer's preprocess, ``NAME`` the predictor, ``NAME_after`` the transformer's postprocess.
Arrays go in by name and come out by name; texts are object arrays of UTF-8 bytes.
"""

import numpy as np


def numbers_before(x):
    return {"x": x * 2}


def numbers(x):
    return {"y": x + 1}


def numbers_after(y):
    return {"y": y * 3}


def texts_before(x):
    return {"x": _each(bytes.strip, x)}


def texts(x):
    return {"y": _each(lambda text: text + b"!", x)}


def texts_after(y):
    return {"y": _each(lambda text: b"<" + text + b">", y)}


def flags_before(x):
    return {"x": ~x}


def flags(x):
    return {"y": x[::-1]}


def flags_after(y):
    return {"y": y & True}


def pair_before(a, b):
    return {"a": a + 1, "b": b * 2}


def pair(a, b):
    return {"total": a + b, "product": a * b}


def pair_after(total, product):
    return {"total": total * 2, "product": product - 1}


def scaled_before(x):
    return {"x": x + 1}


def scaled(x, factor=1):
    """``factor`` is a parameter of the request."""
    return {"y": x * factor}


def scaled_after(y):
    return {"y": y - 1}


def same(x):
    """What a transformer does that is there for its predictor alone."""
    return {"x": x}


def same_after(y):
    return {"y": y}


def squares(x):
    """What is explained."""
    return {"y": x * x}


def influence(predicted, shifted):
    """The explanation: how much the prediction grows with its input."""
    return (np.asarray(shifted) - np.asarray(predicted)).tolist()


# ---- rows that are objects and form no tensor


def objects_before(rows):
    return [{"name": row["name"].lower(), "scores": sorted(row["scores"])} for row in rows]


def objects(rows):
    return [{"name": row["name"], "best": row["scores"][-2:]} for row in rows]


def objects_after(rows):
    return [{"name": row["name"], "best": [score * 10 for score in row["best"]]} for row in rows]


def _each(function, texts):
    made = np.empty(texts.shape, np.object_)
    made.flat = [function(text) for text in texts.flat]
    return made

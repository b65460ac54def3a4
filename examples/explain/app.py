"""Which species, and which of the four measurements made the model say so. No import from pipeline-serve."""

from collections.abc import Callable

import numpy as np

SPECIES = np.array(["setosa", "versicolor", "virginica"])
FEATURES = ("sepal length", "sepal width", "petal length", "petal width")
# What flowers measure, in centimetres: the range of each feature in the data set.
SMALLEST = np.array([4.3, 2.0, 1.0, 0.1])
LARGEST = np.array([7.9, 4.4, 6.9, 2.5])


def species(probabilities: np.ndarray) -> np.ndarray:
    """n × 3 probabilities → the n names of the likeliest species."""
    return SPECIES[probabilities.argmax(axis=1)]


def why(rows: np.ndarray, predict: Callable[[np.ndarray], np.ndarray], samples: int) -> dict[str, list]:
    """How much of its certainty the model loses, on average, when it is told another flower's value of a feature.

    ``predict`` is the model of the graph: each of the ``samples`` calls asks it for all rows, one feature changed.
    """
    certain = predict(rows)
    said = certain.argmax(axis=1)
    each = np.arange(len(rows))
    random = np.random.default_rng(seed=0)
    lost = np.zeros((len(rows), len(FEATURES)))
    for number in range(samples):
        feature = number % len(FEATURES)
        other = rows.copy()
        other[:, feature] = random.uniform(SMALLEST[feature], LARGEST[feature])
        lost[:, feature] += certain[each, said] - predict(other)[each, said]
    lost /= samples / len(FEATURES)
    return {
        "explanations": [
            {
                "species": str(SPECIES[one]),
                "mattered": FEATURES[drops.argmax()],
                "lost": {name: round(float(drop), 2) + 0.0 for name, drop in zip(FEATURES, drops, strict=True)},
            }
            for one, drops in zip(said, lost, strict=True)
        ]
    }

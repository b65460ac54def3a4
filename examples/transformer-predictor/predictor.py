"""The model: it knows measurements in centimetres and numbers of classes, and nothing of who asks."""

import numpy as np

# The mean flower of each class of the iris data set: length and width of sepal and petal.
MEANS = np.array([[5.006, 3.428, 1.462, 0.246], [5.936, 2.770, 4.260, 1.326], [6.588, 2.974, 5.552, 2.026]])


def probabilities(rows: np.ndarray) -> np.ndarray:
    """Rows × 4 measurements → rows × 3 probabilities, the higher the nearer a class's mean flower is."""
    squares = ((rows[:, None, :] - MEANS) ** 2).sum(axis=2)
    weights = np.exp(squares.min(axis=1, keepdims=True) - squares)
    return weights / weights.sum(axis=1, keepdims=True)

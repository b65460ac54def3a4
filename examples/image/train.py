"""Trains the model of this example on the digits that ship with scikit-learn, and writes model.joblib."""

from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

KEPT_OUT = 100
"""The last pictures are not trained on: three.png and seven.png are two of them."""


def train(path: Path) -> None:
    pictures, digits = load_digits(return_X_y=True)
    model = KNeighborsClassifier(10, weights="distance").fit(pictures[:-KEPT_OUT], digits[:-KEPT_OUT])
    joblib.dump(model, path)


if __name__ == "__main__":
    target = Path(__file__).with_name("model.joblib")
    train(target)
    print(f"wrote {target}")

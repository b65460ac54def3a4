"""Trains the model of this example on the iris data set that ships with scikit-learn, and writes model.joblib."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


def train(path: Path) -> None:
    measurements, classes = load_iris(return_X_y=True)
    joblib.dump(LinearDiscriminantAnalysis().fit(measurements, classes), path)


if __name__ == "__main__":
    target = Path(__file__).with_name("model.joblib")
    train(target)
    print(f"wrote {target}")

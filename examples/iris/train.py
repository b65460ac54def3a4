"""Trains the model of this example on the iris data set that ships with scikit-learn, and writes model.joblib."""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train(path: Path) -> None:
    measurements, classes = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(measurements, classes)
    joblib.dump(model, path)


if __name__ == "__main__":
    target = Path(__file__).with_name("model.joblib")
    train(target)
    print(f"wrote {target}")

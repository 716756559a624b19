"""scikit-learn's MLPClassifier, an epoch at a time."""

from __future__ import annotations

import numpy as np
from sklearn.neural_network import MLPClassifier

from tests.benchmarks.nets import CLASSES, Data, Net


class Classifier:
    """An MLPClassifier without momentum and weight decay."""

    def __init__(self, net: Net, data: Data) -> None:
        self.x, self.y = data.standardized().reshape(len(data.x), -1), data.y
        sizes = [layer["Linear"]["out_features"] for layer in net.model if "Linear" in layer]
        self.model = MLPClassifier(
            sizes[:-1],
            solver=net.optimizer.lower(),
            learning_rate_init=net.lr,
            batch_size=net.batch,
            alpha=0.0,
            momentum=0.0,
            nesterovs_momentum=False,
        )
        self.model.partial_fit(self.x[: net.batch], self.y[: net.batch], classes=np.arange(CLASSES))
        weights = net.weights()
        self.model.coefs_[:] = [np.ascontiguousarray(weight.T) for weight in weights[::2]]
        self.model.intercepts_[:] = weights[1::2]
        del self.model._optimizer  # the next call makes one anew, whose averages start at 0

    def epoch(self) -> float:
        """The mean loss of an epoch of training."""
        return float(self.model.partial_fit(self.x, self.y).loss_)


def contenders(net: Net) -> dict[str, type[Classifier]]:
    """It knows dense networks alone."""
    return {"sklearn MLPClassifier": Classifier} if net.dense else {}

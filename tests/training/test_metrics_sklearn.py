"""Every metric against scikit-learn's, or the textbook's where it has none, on random outputs in random batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from registered import names, of, rows

from dlcli.training.metrics import metrics

BATCHES = st.lists(st.integers(0, 12), max_size=3).map(sorted)
"""Where to cut the samples into batches."""


@st.composite
def classified(draw: Any) -> tuple[Any, Any]:
    """Scores with many ties and the classes of a few samples, of which some classes may have none."""
    k, n = draw(st.integers(2, 5)), draw(st.integers(1, 12))
    scores = draw(arrays(np.float64, (n, k), elements=st.integers(-2, 2) | st.floats(-8, 8, width=32)))
    return scores, draw(arrays(np.int64, n, elements=st.integers(0, k - 1)))


@st.composite
def valued(draw: Any) -> tuple[Any, Any]:
    """Outputs and targets of one or more columns."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    numbers = arrays(np.float64, shape, elements=st.floats(-100, 100, width=32))
    return draw(numbers), draw(numbers)


def softmax(scores: Any) -> Any:
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def top_k(scores: Any, targets: Any, k: int = 2) -> float:
    """Mirrored, because in scikit-learn's ties the higher class wins, beside a class that never comes first."""
    last = scores.shape[1] - 1
    mirrored = np.column_stack([scores[:, ::-1], np.full(len(scores), -1e9)])
    return sk.top_k_accuracy_score(last - targets, mirrored, k=k, labels=np.arange(last + 2))


def calibration(scores: Any, targets: Any, n_bins: int = 15) -> float:
    """Equations (1), (2) and (5) of Guo et al. 2017, one bin after the other; scikit-learn has no such figure."""
    p = softmax(scores)
    confidence, right, error = p.max(axis=1), scores.argmax(axis=1) == targets, 0.0
    for m in range(n_bins):
        inside = (confidence > m / n_bins) & (confidence <= (m + 1) / n_bins)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(error)


def averaged(score: Any) -> Any:
    return lambda o, t, average="macro": score(t, o.argmax(axis=1), average=average, zero_division=0)


def of_classes(score: Any, **options: Any) -> Any:
    return lambda o, t: score(t, softmax(o), labels=np.arange(o.shape[1]), **options)


TWINS: dict[str, Any] = {
    "accuracy": lambda o, t: sk.accuracy_score(t, o.argmax(axis=1)),
    "error_rate": lambda o, t: sk.zero_one_loss(t, o.argmax(axis=1)),
    "top_k_accuracy": top_k,
    "balanced_accuracy": lambda o, t: sk.balanced_accuracy_score(t, o.argmax(axis=1)),
    "precision": averaged(sk.precision_score),
    "recall": averaged(sk.recall_score),
    "f1": averaged(sk.f1_score),
    "confusion_matrix": lambda o, t: sk.confusion_matrix(t, o.argmax(axis=1), labels=np.arange(o.shape[1])),
    "log_loss": of_classes(sk.log_loss),
    "brier": of_classes(sk.brier_score_loss, scale_by_half=False),
    "calibration_error": calibration,
    "mse": lambda o, t: sk.mean_squared_error(t, o),
    "rmse": lambda o, t: sk.root_mean_squared_error(t.ravel(), o.ravel()),
    "mae": lambda o, t: sk.mean_absolute_error(t, o),
    "r2": lambda o, t: sk.r2_score(t, o),
}
"""Each metric of all samples at once, with the metric's own options."""


def test_every_metric_has_its_twin() -> None:
    assert set(TWINS) == set(names("metrics"))


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:'k' .* greater than or equal to 'n_classes'")
@pytest.mark.parametrize(("name", "example"), rows("metrics"))
@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(drawn=st.data(), cuts=BATCHES)
def test_equals_its_twin(name: str, example: Any, drawn: Any, cuts: list[int]) -> None:
    metric = of("metrics", name, example)
    outputs, targets = drawn.draw(classified() if metric.task == "classification" else valued())
    if name == "r2":
        assume((targets.std(axis=0) > 0.1).all())
    batches = zip(np.split(outputs, cuts), np.split(targets, cuts), strict=True)
    sums = np.sum([metric.sums(o, t) for o, t in batches if len(t)], axis=0)
    wanted = TWINS[name](outputs, targets, **example.options)
    np.testing.assert_allclose(metric.value(sums), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["top_k_accuracy", "precision", "recall", "f1", "calibration_error"])
def test_options_make_a_difference(name: str) -> None:
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(40, 4)), np.minimum(rng.integers(0, 9, 40), 3)
    values = [TWINS[name](outputs, targets, **example.options) for example in metrics.get(name).examples]
    assert len(set(values)) > 1

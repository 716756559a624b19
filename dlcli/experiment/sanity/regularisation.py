"""The check that regularisation costs something."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcli.core.arena import Array
from dlcli.experiment.assemble import augmenter, learned, load_learned
from dlcli.experiment.sanity.bench import Bench
from dlcli.experiment.sanity.finding import Finding, skipped
from dlcli.experiment.sanity.fitting import Fit, own_fit
from dlcli.experiment.sanity.guesses import mean_loss
from dlcli.nn.network import Network, walk
from dlcli.training.mixup import MixUp

DRAWS = 10
"""How often a loss that is drawn is measured."""

PULLS, SHRUNK = 200, 0.9
"""Steps by weight decay alone, at most, and the size of the parameters at which they end."""

SLACK = 0.99
"""What counts as no lower, since a loss that is drawn, or not quite at its least, may come out lower by chance."""


@np.errstate(all="ignore")
def regularisation(bench: Bench) -> Finding:
    """What is learned by heart without regularisation fits less well with it: the loss of these samples rises.

    Each kind that the config names is taken by itself, on the network that `overfit` has trained: noise and dropout
    switched on, label smoothing, augmented and mixed samples, and steps by weight decay alone.

    Source: CS231n, "Neural networks part 3", https://cs231n.github.io/neural-networks-3/#sanitycheck
    """
    fit = bench.once(own_fit)
    expected = "a higher loss with it"
    if fit is None or not fit.reached:
        return skipped(expected, "the network did not learn a few samples by heart")
    base, found = _loss(bench, fit.network, *_samples(bench, fit)), dict(_losses(bench, fit))
    if not found:
        return skipped(expected, "the config names no regularisation")
    text = f"{base:.3g} -> " + ", ".join(f"{loss:.3g} ({name})" for name, loss in found.items())
    lower = [name for name, loss in found.items() if not loss >= SLACK * base]
    if lower:
        advice = f"{lower[0]} makes the loss smaller: it does not what it should"
        return Finding(expected, text, "failed", advice)
    idle = [name for name, loss in found.items() if loss == base]
    if idle:
        return Finding(expected, text, "warning", f"{idle[0]} has no effect: raise it, or leave it out")
    return Finding(expected, text)


def _losses(bench: Bench, fit: Fit) -> Iterator[tuple[str, float]]:
    """The loss of the samples with each kind of regularisation that the config has."""
    config, (x, y) = bench.config, _samples(bench, fit)
    noisy = sorted({type(layer).__name__ for _, layer in walk(fit.network.root) if layer.stochastic})
    if noisy:
        network = _twin(bench, fit, quiet=False)
        yield ", ".join(noisy), float(np.mean([_loss(bench, network, x, y, step) for step in range(DRAWS)]))
    if config.loss.options.get("label_smoothing"):
        network = _twin(bench, fit)
        yield "label_smoothing", mean_loss(bench.loss(network), network.forward(x, training=True), y)
    augment = augmenter(config, bench.normalizer)
    if augment is not None:
        network, raw = _twin(bench, fit), bench.train.inputs[fit.rows]
        varied = (augment(raw, fit.rows, epoch) for epoch in range(DRAWS))
        scaled = (bench.normalizer.apply(images, np.empty_like(x)) for images in varied)
        yield "augment", float(np.mean([_loss(bench, network, images, y) for images in scaled]))
    if config.train.mixup is not None:
        yield "mixup", _mixed(bench, _twin(bench, fit), config.train.mixup.alpha, x, y)
    if config.optimizer.options.get("weight_decay"):
        yield "weight_decay", _loss(bench, _decayed(bench, fit), x, y)


def _samples(bench: Bench, fit: Fit) -> tuple[Array, Array]:
    x, y = bench.gathered(fit.rows)
    return x.copy(), y.copy()


def _twin(bench: Bench, fit: Fit, quiet: bool = True) -> Network:
    """A network that has learned the same."""
    network = bench.network(quiet)
    load_learned(network, learned(fit.network))
    return network


def _loss(bench: Bench, network: Network, x: Array, y: Array, step: int = 0) -> float:
    network.draws.step = step
    return mean_loss(bench.loss(network, plain=True), network.forward(x, training=True), y)


def _mixed(bench: Bench, network: Network, alpha: float, x: Array, y: Array) -> float:
    loss = bench.loss(network, plain=True)
    mixup = MixUp(loss, alpha, bench.config.seed)
    values = []
    for batch in range(DRAWS):
        outputs = network.forward(mixup.inputs(x, batch), training=True)
        values.append(loss.sums(mixup.forward(outputs, y), y)[0] / (loss.count(y) or 1))
    return float(np.mean(values))


def _decayed(bench: Bench, fit: Fit) -> Network:
    """The network after steps with a gradient of 0, by weight decay alone, until its parameters are a tenth smaller."""
    network = _twin(bench, fit)
    optimizer = bench.config.optimizer.build()
    optimizer.bind(network.arena)
    values = network.arena.values
    size = float(np.linalg.norm(values))
    for _ in range(PULLS):
        network.arena.grads[:] = 0
        optimizer.step()
        if not SHRUNK * size <= float(np.linalg.norm(values)):
            break
    return network

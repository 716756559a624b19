"""From a checked config to objects: data, network, loss, metrics, and the trainer over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.arena import Array
from dlcli.core.workers import Workers
from dlcli.data.augment.augmentation import Scale
from dlcli.data.augment.pipeline import Augmenter
from dlcli.data.batches import Batches, Normalizer
from dlcli.data.dataset import DataInfo
from dlcli.experiment.data import Splits
from dlcli.nn.loss import Loss
from dlcli.nn.network import Network
from dlcli.optim.schedule import Span
from dlcli.training.ema import Ema
from dlcli.training.evaluate import Evaluation, Evaluator
from dlcli.training.layerwise import Layerwise
from dlcli.training.loop import EpochDone, Plan, Trainer
from dlcli.training.metrics import Metric, better
from dlcli.training.stopping import Monitor

MEANS = {"loss", "grad_norm"}
"""The running means of an epoch that are no metrics: (sum, count) each."""


EMA = "ema."
"""What stands before the name of an average in a checkpoint."""


def build_network(config: Config, info: DataInfo) -> Network:
    """The network of a config, with the values that its seed draws."""
    layers = [layer.build() for layer in config.model]
    return Network(layers, info.input_shape or (), dtype=config.dtype, seed=config.seed)


def learned(network: Network, prefix: str = "") -> dict[str, Array]:
    """The parameters and layer state of a network by their names in a checkpoint, as views."""
    return {prefix + name: view for name, view in {**network.params, **network.state}.items()}


def load_learned(network: Network, arrays: Mapping[str, Array], prefix: str = "") -> None:
    """Copy parameters and layer state from the arrays of a checkpoint, which fit."""
    for name, view in learned(network, prefix).items():
        np.copyto(view, arrays[name])


def build_metrics(config: Config) -> dict[str, Metric]:
    """The metrics of a config by name that give a number; `eval` shows the confusion matrix in any case."""
    built = {metric.name: metric.build() for metric in config.metrics}
    return {name: metric for name, metric in built.items() if metric.scalar}


@dataclass
class Experiment:
    """Everything that trains: the objects of one config on its data."""

    config: Config
    splits: Splits
    normalizer: Normalizer
    network: Network
    loss: Loss
    metrics: dict[str, Metric]
    trainer: Trainer
    monitor: Monitor

    def arrays(self) -> dict[str, Array]:
        """All arrays of a checkpoint by name, as views: what is learned, averages, optimizer slots, normalisation."""
        ema = self.trainer.ema
        return {
            **learned(self.network),
            **(learned(ema.averaged, EMA) if ema is not None else {}),
            **{f"optim.{name}": view for name, view in self.trainer.optimizer.arrays().items()},
            "data.mean": self.normalizer.mean,
            "data.std": self.normalizer.std,
        }

    def observe(self, done: EpochDone) -> bool:
        """Take the monitored figure of an epoch and tell whether it is the best so far."""
        value = done.figures[self.monitor.metric]
        if self.trainer.schedule is not None:
            self.trainer.schedule.observe(value, self.monitor.better)
        return self.monitor.observe(value, done.step)

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Go to the state of a checkpoint whose arrays fit; ValueError, among others, for a state that no run has."""
        load_learned(self.network, arrays)
        if self.trainer.ema is not None:
            load_learned(self.trainer.ema.averaged, arrays, EMA)
        slots = {name.removeprefix("optim."): a for name, a in arrays.items() if name.startswith("optim.")}
        trainer, state = self.trainer, self.trainer.state
        trainer.optimizer.load(meta["optimizer_t"], slots)
        state.step, state.epoch, state.batch = meta["step"], meta["epoch"], meta["batch_in_epoch"]
        state.partial = {k: np.array([float.fromhex(v) for v in row]) for k, row in meta["partial"].items()}
        self.monitor.restore(meta["monitor"])
        if trainer.schedule is not None:
            trainer.schedule.restore(meta["schedule"])
        steps = state.epoch * trainer.per_epoch + -(-state.batch // trainer.plan.accumulate)
        if state.step != steps or state.batch > len(trainer.batches) or state.epoch > trainer.plan.epochs:
            raise ValueError(f"step {state.step} is not at batch {state.batch} of epoch {state.epoch}")
        if not 0 <= trainer.optimizer.t <= state.step:
            raise ValueError(f"the optimizer is at step {trainer.optimizer.t}")
        sums = {*MEANS, *trainer.metrics} if state.batch else set()
        finite = all(np.isfinite(row).all() for row in state.partial.values())
        if state.partial.keys() != sums or not finite or any(state.partial[k].shape != (2,) for k in sums & MEANS):
            raise ValueError("the sums of the running epoch are not those of this config")
        trainer.running()


def assemble(config: Config, splits: Splits, threads: int) -> Experiment:
    """The objects that train `config` on `splits`, which the config doctor has found to fit."""
    network, loss, metrics = build_network(config, splits.info), config.loss.build(), build_metrics(config)
    normalizer = Normalizer.fit(config.data.normalize, splits.train.inputs, splits.info.image)
    network.use(Workers(threads))
    data, train = config.data, config.train
    batches = Batches(
        splits.train,
        normalizer,
        config.dtype,
        data.batch_size,
        seed=config.seed,
        shuffle=data.shuffle,
        drop_last=data.drop_last,
        augment=augmenter(config, normalizer),
    )
    trainer = Trainer(
        network,
        loss,
        config.optimizer.build(),
        config.schedule.build() if config.schedule else None,
        batches,
        metrics,
        Plan(
            train.epochs,
            train.accumulate,
            train.clip_grad_norm,
            train.clip_grad_value,
            train.mixup.alpha if train.mixup is not None else None,
        ),
        ema=Ema(network, train.ema.decay, train.ema.warmup) if train.ema is not None else None,
    )
    if splits.val is not None:
        evaluated = trainer.ema.averaged if trainer.ema is not None else network
        evaluator = Evaluator(evaluated, loss, metrics, splits.val, normalizer, threads)
        trainer.validate = lambda: figures(evaluator.run(), "val")
    if train.log_layers is not None:
        trainer.layerwise = Layerwise(network, max(1, trainer.span.length(train.log_layers)))
    return Experiment(config, splits, normalizer, network, loss, metrics, trainer, monitor(config, trainer.span))


def monitor(config: Config, span: Span) -> Monitor:
    """What follows the monitored figure, and ends the run early where the config asks for it."""
    figure, stopping = str(config.train.monitor), config.train.early_stopping
    if stopping is None:
        return Monitor(figure, better(figure))
    return Monitor(figure, better(figure), span.length(stopping.patience), stopping.min_delta)


def augmenter(config: Config, normalizer: Normalizer) -> Augmenter | None:
    """What varies the training samples of a config, where it names any augmentation."""
    parts = [component.build() for component in config.data.augment]
    return Augmenter(parts, config.seed, Scale(normalizer.mean, normalizer.std), config.dtype) if parts else None


def figures(evaluation: Evaluation, split: str) -> dict[str, float]:
    """The loss and metrics of an evaluation by their full names."""
    return {f"{split}.loss": evaluation.loss} | {f"{split}.{k}": v for k, v in evaluation.values.items()}

"""dlcli as `dlcli train` runs it: a config assembled into the trainer, bytes normalised batch by batch."""

from __future__ import annotations

import json
import os

from tests.benchmarks.nets import CLASSES, SHAPE, Data, Net


class Training:
    """The real loop on data in memory, with a thread for each core."""

    def __init__(self, net: Net, data: Data) -> None:
        from dlcli.config.load import parse_config
        from dlcli.data.dataset import DataInfo, Samples
        from dlcli.experiment.assemble import assemble
        from dlcli.experiment.data import Splits
        from dlcli.experiment.plugins import load_components

        load_components()
        config = {
            "data": {"dataset": "mnist", "batch_size": net.batch, "validation": 0, "normalize": "standardize"},
            "model": net.model,
            "loss": "CrossEntropyLoss",
            "optimizer": {net.optimizer: {"lr": net.lr}},
            "train": {"epochs": 1_000_000},
        }
        info = DataInfo(SHAPE, CLASSES, (), len(data.x), 0, image=True)
        splits = Splits(info, Samples(*data), None, None, {}, None)
        experiment = assemble(parse_config(json.dumps(config), "benchmark"), splits, os.cpu_count() or 1)
        for param, value in zip(experiment.network.params.values(), net.weights(), strict=True):
            param[...] = value
        self.facts = experiment.trainer.run()

    def epoch(self) -> float:
        """The mean loss of an epoch of training."""
        for done in self.facts:
            if hasattr(done, "figures"):
                return float(done.figures["train.loss"])
        raise RuntimeError("training has ended")


def contenders(net: Net) -> dict[str, type[Training]]:
    """The one loop there is."""
    return {"dlcli": Training}

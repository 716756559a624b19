"""The engine of `data preview`: a picture of training samples as they are, and as the network sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcli.config.schema import Config
from dlcli.core.arena import Array
from dlcli.core.errors import UsageError
from dlcli.core.fsio import write_atomic
from dlcli.data.dataset import Access
from dlcli.data.png import COLOURS, encode
from dlcli.data.statistics import extremes
from dlcli.experiment.assemble import assemble
from dlcli.experiment.data import load_data

EPOCHS = 5
"""Epochs that are shown below each other."""

LARGE = 96
"""Smaller images are drawn as many times as large as fits into this many pixels."""

GAP = 128
"""The grey of the line between two images."""


@np.errstate(all="ignore")
def preview(config: Config, access: Access, path: Path, first: int, count: int) -> int:
    """Write a PNG of training samples to `path`: a row of originals, and one for each of 5 epochs from `first` on.

    Epochs count from 1. Where nothing is augmented there is the row of originals only. Returns the number of samples:
    `count`, or all where there are fewer; what is no number is drawn black. UsageError for samples that are no images.
    """
    splits = load_data(config, access)
    shape = splits.train.inputs.shape[1:]
    if len(shape) != 3 or shape[0] not in COLOURS:
        raise UsageError(
            f"got samples of shape {shape}, expected images of 1 or 3 channels; "
            "dlcli data show CONFIG prints samples of any shape"
        )
    experiment = assemble(config, splits, threads=1)
    normalizer, batches = experiment.normalizer, experiment.trainer.batches
    rows = np.arange(min(count, len(splits.train.targets)))
    kinds = [splits.train.inputs[rows].astype(np.float64)]
    for epoch in range(first - 1, first - 1 + EPOCHS if config.data.augment else 0):
        seen, _ = batches.gather(rows, epoch)
        kinds.append(seen * normalizer.std + normalizer.mean)
    low, high = (float(a.item()) for a in extremes(splits.train.inputs, 1))
    grey = np.clip(np.nan_to_num((np.stack(kinds) - low) * (255 / ((high - low) or 1.0))), 0, 255)
    write_atomic(path, encode(grid(np.rint(grey).astype(np.uint8))))
    return len(rows)


def grid(images: Array) -> Array:
    """(rows, columns, channels, height, width) as one image (height, width, channels), with lines between."""
    rows, columns, channels, height, width = images.shape
    zoom = max(1, LARGE // max(height, width))
    images, height, width = images.repeat(zoom, axis=3).repeat(zoom, axis=4), height * zoom, width * zoom
    drawn = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), GAP, np.uint8)
    for i, row in enumerate(images):
        for j, image in enumerate(row):
            top, left = i * (height + 1), j * (width + 1)
            drawn[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return drawn

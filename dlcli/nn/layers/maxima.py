"""The maximum of several arrays, element by element, with who won: the kernel of max pooling and maxout.

In the tests a loop over every window is the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcli.core.arena import Array


def keep_largest(parts: Sequence[Array], out: Array, wins: Array) -> None:
    """out = the largest of `parts`, by the real part; wins[:, j] = whether part j + 1 exceeds all parts before it.

    parts and out (n, *shape), wins (n, parts - 1, *shape). The last part that wins is the largest one, and of equal
    ones the first: so it is in PyTorch.
    """
    top = parts[0]
    for j, part in enumerate(parts[1:]):
        np.greater(part.real, top.real, out=wins[:, j])
        if out.dtype.kind == "c":  # maximum would compare the imaginary parts where the real parts are equal
            np.copyto(out, np.where(wins[:, j], part, top))
        else:
            np.maximum(top, part, out=out)
        top = out
    if top is not out:
        np.copyto(out, top)


def give_back(d: Array, targets: Sequence[Array], wins: Array, spare: Array | None) -> None:
    """Give each number of d (n, *shape) to the target of the part that won, and 0 to the others; d is used up.

    Without `spare` the targets are set. Where they overlap it is room like d: the last is set, the others added to.
    """
    for j in range(len(targets) - 1, 0, -1):
        added = spare is not None and j < len(targets) - 1
        share = np.multiply(d, wins[:, j - 1], out=spare if added else targets[j])
        if added:
            targets[j] += share
        np.subtract(d, share, out=targets[0] if spare is None and j == 1 else d)
    if len(targets) == 1:
        np.copyto(targets[0], d)
    elif spare is not None:
        targets[0] += d

"""Small batches in pieces: cut into lanes and blocks, as long ones are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dlcli.core import workers

SIZES = ("GRAIN", "BLOCK", "BAND", "TERMS")
"""What modules call the least numbers or columns that are worked on at a time."""


@contextmanager
def in_pieces(most: int) -> Iterator[None]:
    """Layers that are set up inside the block work in up to `most` lanes, on one sample at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "MOST", most)
        for name, module in list(sys.modules.items()):
            for size in SIZES if module is workers or name.startswith("dlcli.nn.") else ():
                if hasattr(module, size):
                    patch.setattr(module, size, 1)
        workers.lanes.cache_clear()  # it remembers how longer ones were cut
        try:
            yield
        finally:
            workers.lanes.cache_clear()

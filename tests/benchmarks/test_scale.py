"""The benchmark of scale runs, fits its lines and draws them; its times are for people, not for a busy machine."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.benchmarks import scale


def test_every_series_is_measured_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--small", "--largest", "1000", "--steps", "2", "--epochs", "10"]
    scale.main([*few, "--svg", str(tmp_path / "s.svg"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [(s["what"], s["dtype"]) for s in found["series"]] == [
        (what, dtype) for dtype in ("float32", "float64") for what in ("samples", "batch", "width", "depth")
    ]
    assert all(seconds > 0 for s in found["series"] for seconds in s["seconds"])
    assert len(found["growth"]) == 10
    points = [e for e in ElementTree.parse(tmp_path / "s.svg").iter() if e.tag.endswith("circle")]
    assert len(points) == sum(len(s["sizes"]) for s in found["series"])


def test_the_line_is_found_again() -> None:
    line = scale.series("batch", "float32", [1, 10, 100, 1000], lambda n: 3e-4 + 2e-6 * n)
    np.testing.assert_allclose([line.fixed, line.slope, line.apart], [3e-4, 2e-6, 0], rtol=1e-9, atol=1e-12)

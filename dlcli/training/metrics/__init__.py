"""The built-in metrics, one family a file; importing this package registers them all."""

from importlib import import_module
from pathlib import Path

from dlcli.training.metric import Metric, better, metric_of, metrics
from dlcli.training.report import wilson

__all__ = ["Metric", "better", "metric_of", "metrics", "wilson"]

for _file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
    import_module(f"{__name__}.{_file.stem}")

"""Gradient checking: what `backward` says against what `forward` does."""

from dlcli.nn.gradcheck.as_trained import check_as_trained
from dlcli.nn.gradcheck.check import check_layer, check_loss, check_network
from dlcli.nn.gradcheck.report import Report, Row, verdict
from dlcli.nn.gradcheck.settings import THRESHOLD, Settings
from dlcli.nn.gradcheck.tutorial import gradient_check, gradient_check_weights

__all__ = [
    "THRESHOLD",
    "Report",
    "Row",
    "Settings",
    "check_as_trained",
    "check_layer",
    "check_loss",
    "check_network",
    "gradient_check",
    "gradient_check_weights",
    "verdict",
]

"""The checks that practitioners make before training: each says what is expected, and where it fails, the cause."""

from dlcli.experiment.sanity.checklist import examine
from dlcli.experiment.sanity.finding import Finding, Report

__all__ = ["Finding", "Report", "examine"]

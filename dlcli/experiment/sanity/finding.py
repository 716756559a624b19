"""What a check found: a line with what was expected, what was found, a verdict and an advice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["passed", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    expected: str
    found: str
    verdict: Verdict = "passed"
    advice: str = ""
    """The cause and what to change; where a check is skipped, why."""
    layers: dict[str, dict[str, float]] = field(default_factory=dict)
    """Figures of single layers by their names, where the check has any."""


def skipped(expected: str, why: str) -> Finding:
    """A check that could not be made."""
    return Finding(expected, "-", "skipped", why)


@dataclass(frozen=True)
class Report:
    """All findings by the name of their check, in the order of the checks."""

    findings: dict[str, Finding]

    def named(self, verdict: Verdict) -> list[str]:
        """The checks that came out so."""
        return [name for name, finding in self.findings.items() if finding.verdict == verdict]

    @property
    def passed(self) -> bool:
        """Whether no check failed; warnings do not count."""
        return not self.named("failed")

    def document(self) -> dict[str, Any]:
        """`{passed, checks: [{check, expected, found, verdict, advice, layers}]}`, null for no number."""
        return {"passed": self.passed, "checks": [_row(name, finding) for name, finding in self.findings.items()]}


def _row(name: str, finding: Finding) -> dict[str, Any]:
    layers = {
        layer: {key: value if abs(value) < float("inf") else None for key, value in figures.items()}
        for layer, figures in finding.layers.items()
    }
    return {"check": name, **vars(finding), "layers": layers}

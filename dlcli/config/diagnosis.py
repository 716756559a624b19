"""What the config doctor finds: problems, warnings and notes, and the shapes and sizes that follow from a config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from dlcli.config.components import Component
from dlcli.config.document import Mark, Path, dotted, fail
from dlcli.config.schema import Config
from dlcli.data.dataset import DataInfo
from dlcli.nn.layer import Shape


class LayerShape(NamedTuple):
    """One layer of the stack as its setup left it."""

    component: Component
    in_shape: Shape
    out_shape: Shape
    parameters: int
    activations: int
    """Numbers that the layer and those inside give for one sample."""


@dataclass
class Diagnosis:
    """What is known of a config without its data."""

    config: Config
    info: DataInfo
    problems: list[tuple[Mark, str]] = field(default_factory=list)
    """What cannot work, each with its place."""
    warnings: list[tuple[Mark, str]] = field(default_factory=list)
    """What is legal but unwise."""
    notes: list[str] = field(default_factory=list)
    """What could not be checked."""
    shapes: list[LayerShape] = field(default_factory=list)
    """Layer by layer as far as the shapes chain; empty where the input shape is not known."""
    train: int | None = None
    """Samples trained on, validation taken off."""
    steps_per_epoch: int | None = None

    @property
    def parameters(self) -> int:
        """All parameters of the layers in `shapes`."""
        return sum(s.parameters for s in self.shapes)

    def problem(self, path: Path, message: str) -> None:
        self.problems.append((self.config.document.mark(path), f"{dotted(path)}: {message}"))

    def warn(self, path: Path, message: str) -> None:
        self.warnings.append((self.config.document.mark(path), f"{dotted(path)}: {message}"))

    def warning_lines(self) -> list[str]:
        """`FILE:LINE:COL: key: what is unwise`, in the order of the file."""
        return [f"{mark.text}: {message}" for mark, message in sorted(self.warnings, key=lambda w: w[0][:2])]

    def check(self) -> Diagnosis:
        """This diagnosis; ConfigError with all problems where there are any."""
        fail(self.problems)
        return self

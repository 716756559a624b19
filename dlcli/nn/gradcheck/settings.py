"""How a gradient check is made."""

from __future__ import annotations

from dataclasses import dataclass

THRESHOLD = 1e-5
"""The largest relative error that passes by differences, in float64."""

COMPLEX_THRESHOLD = 1e-10
"""The same by complex step, where nothing is subtracted: correct layers stay below 1e-12."""

H = 1e-5
"""The step of central differences in float64: near the optimum (3 eps)**(1/3) between truncation and round-off."""


@dataclass(frozen=True)
class Settings:
    """The settings that `check_network`, `check_layer` and `check_loss` take by name."""

    seed: int = 0
    """Of the inputs, first values and directions."""
    batch: int = 4
    """Samples drawn for a layer or a loss alone; more of them cross more kinks and tell nothing new."""
    directions: int = 4
    """Random directions in which every tensor is moved."""
    threshold: float = THRESHOLD
    step: float = H
    """The step of central differences, relative to entries larger than 1."""
    full: bool = False
    """Compare every entry by itself instead of directions."""
    only_complex: bool = False
    """Leave out the differences; what does not take complex numbers is skipped, with the reason."""
    prove: bool = False
    """Plant errors of 0.1 % in every gradient and see that each is found."""

    def held(self, method: str) -> float:
        """The largest relative error that passes by that method."""
        return min(self.threshold, COMPLEX_THRESHOLD) if method == "complex" else self.threshold

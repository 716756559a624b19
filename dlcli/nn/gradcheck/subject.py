"""What is checked as one function, and the rows that its check gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.nn.gradcheck.probe import BrokenError, Probe
from dlcli.nn.gradcheck.report import COMPLEX_THRESHOLD, Row
from dlcli.nn.gradcheck.slopes import CentralDifference, ComplexStep, Method
from dlcli.nn.gradcheck.tensors import localise, survey
from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss
from dlcli.nn.network import walk

NUDGES = 3
"""How often x and the parameters are moved away from kinks before the check gives up."""


@dataclass
class Subject:
    """What is checked as one function: a layer in float64, its twin in complex128 where allowed, and a loss."""

    label: str
    real: Layer
    twin: Layer | None
    loss: Loss
    x: Array
    target: Any
    input_name: str = "input"
    training: bool = True
    nested: bool = True
    """Whether the parameters of the layers inside belong to it."""
    both: bool = False
    """Whether differences are taken beside the complex step."""

    @property
    def mode(self) -> str:
        """`training` or `evaluation`, as rows name it."""
        return "training" if self.training else "evaluation"

    def probe(self, layer: Layer, dtype: Any) -> Probe:
        """The function of `real` or `twin`, with x in that dtype."""
        owners = [("", layer)] + [(f"{name}.", inner) for name, inner in walk(layer) if self.nested]
        params = {p + s.name: (owner.params[s.name], owner.grads[s.name]) for p, owner in owners for s in owner.specs}
        return Probe(layer, self.loss, self.x.astype(dtype), self.target, params, self.training)


@dataclass
class Check:
    """The settings of one check, and its random directions."""

    rng: np.random.Generator
    directions: int
    threshold: float

    def rows(self, subject: Subject, blame: str | None = None) -> list[Row]:
        """A row for every tensor; where x sits on kinks, at a point beside it.

        `blame` names a layer that failed before, of which a failure here is the consequence.
        """
        for nudge in range(NUDGES + 1):
            try:
                rows = self._rows(subject, blame)
            except BrokenError as error:
                return [broken(subject.label, error, subject.mode)]
            if nudge == NUDGES or not any(row.stuck for row in rows):
                break
            subject = self._beside(subject, 1e-3 * 10**nudge)
        return rows

    def _beside(self, subject: Subject, share: float) -> Subject:
        """The same function at x and parameters that are moved by that share of their size: some start on a kink."""

        def moved(tensor: Array) -> Array:
            size = float(np.sqrt(np.mean(tensor**2))) or 1.0
            return tensor + share * size * self.rng.normal(size=tensor.shape)

        twin = subject.probe(subject.twin, np.complex128).params if subject.twin is not None else {}
        for name, (values, _) in subject.probe(subject.real, np.float64).params.items():
            values[...] = moved(values)
            if name in twin:
                twin[name][0][...] = values
        return replace(subject, x=moved(subject.x))

    def _rows(self, subject: Subject, blame: str | None) -> list[Row]:
        probe = subject.probe(subject.real, np.float64)
        gradients = probe.gradients()
        central = CentralDifference(probe, gradients, self.threshold)
        if not np.isfinite(central.base):
            raise BrokenError("forward", f"the result is not finite ({central.base})")
        exact = self._complex(subject, gradients, central.base)
        methods: list[Method] = [exact] if exact else []
        if exact is None or subject.both:
            methods.append(central)
        return [self._row(subject, name, m, central, blame) for m in methods for name in probe.tensors]

    def _row(self, subject: Subject, name: str, method: Method, central: Method, blame: str | None) -> Row:
        error, kinks = survey(method, name, self.rng, self.directions)
        held = self.threshold
        if method is not central:
            held = min(held, COMPLEX_THRESHOLD)
            if error > held:  # on a kink the complex step may take the other side: do differences see one?
                differences, kinks = survey(central, name, self.rng, self.directions)
                error = differences if kinks and np.isinf(differences) else error
        tensor = subject.input_name if name == "input" else name
        row = Row(subject.label, tensor, error, method.name, held, subject.mode, kinks)
        if row.stuck:
            row.hint = f"{kinks} directions cross a kink, too many to prove anything"
        elif not row.passed and blame is not None:
            row.hint = f"see {blame}"
        if row.passed or row.hint:
            return row
        worst = localise(row, method, name, self.rng)
        if method is not central and central.slope(name, worst, np.ones(1)).error <= self.threshold:
            row.hint = "differences do not show it; is forward analytic? if not, set complex_step = False"
        return row

    def _complex(self, subject: Subject, gradients: dict[str, Array], base: float) -> ComplexStep | None:
        """The complex step, if the twin computes the same function with complex numbers."""
        if subject.twin is None:
            return None
        probe = subject.probe(subject.twin, np.complex128)
        try:
            same = abs(probe.value() - base) <= 1e-9 * max(1.0, abs(base))
        except BrokenError:
            return None
        return ComplexStep(probe, gradients) if same else None


def broken(label: str, error: BrokenError, mode: str = "training") -> Row:
    """The row of a layer that breaks the contract."""
    return Row(label, error.what, float("inf"), "contract", 0.0, mode, hint=error.reason)


def analytic(layer: Layer) -> bool:
    """Whether a layer, and all inside it, take complex numbers."""
    return layer.complex_step and all(inner.complex_step for _, inner in walk(layer))

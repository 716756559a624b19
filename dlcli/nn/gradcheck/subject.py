"""What is checked as one function, and the rows that its check gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlcli.core.arena import Array
from dlcli.core.rng import stream
from dlcli.nn.gradcheck.probe import BrokenError, Probe
from dlcli.nn.gradcheck.report import Row
from dlcli.nn.gradcheck.settings import Settings
from dlcli.nn.gradcheck.slopes import CentralDifference, ComplexStep, Method
from dlcli.nn.gradcheck.tensors import every, localise, proof, survey
from dlcli.nn.layer import Layer
from dlcli.nn.loss import Loss
from dlcli.nn.network import walk

NUDGES = 3
"""How often x and the parameters are moved away from kinks before the check gives up."""


@dataclass
class Subject:
    """What is checked as one function: a layer in float64, its twin in complex128, and a loss."""

    label: str
    real: Layer
    twin: Layer | str
    """Or why there is none."""
    loss: Loss
    x: Array
    target: Any
    input_name: str = "input"
    training: bool = True
    nested: bool = True
    """Whether the parameters of the layers inside belong to it."""

    @property
    def mode(self) -> str:
        """`training` or `evaluation`, as rows name it."""
        return "training" if self.training else "evaluation"

    def probe(self, layer: Layer, dtype: Any) -> Probe:
        """The function of `real` or `twin`, with x in that dtype."""
        owners = [("", layer)] + [(f"{name}.", inner) for name, inner in walk(layer) if self.nested]
        params = {p + s.name: (owner.params[s.name], owner.grads[s.name]) for p, owner in owners for s in owner.specs}
        return Probe(layer, self.loss, self.x.astype(dtype), self.target, params, self.training)


class Check:
    """One check: its settings, and its random directions."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rng = stream(settings.seed, "gradcheck")

    def rows(self, subject: Subject, blame: str | None = None) -> list[Row]:
        """Rows for every tensor, in training mode and, where that gives another output, in evaluation mode.

        `blame` names a layer that failed before, of which a failure here is the consequence.
        """
        rows = self._nudged(subject, blame)
        if rows[0].method == "contract":
            return rows
        other = replace(subject, training=False)
        try:
            trained, evaluated = (s.probe(s.real, np.float64).output().copy() for s in (subject, other))
        except BrokenError as error:
            return [*rows, broken(subject.label, error, other.mode)]
        same = np.array_equal(trained, evaluated, equal_nan=True)
        return rows if same else rows + self._nudged(other, blame)

    def _nudged(self, subject: Subject, blame: str | None) -> list[Row]:
        """A row for every tensor and method; where x sits on kinks, at a point beside it."""
        met = 0
        for nudge in range(NUDGES + 1):
            try:
                rows = self._rows(subject, blame)
            except BrokenError as error:
                return [broken(subject.label, error, subject.mode)]
            if nudge == NUDGES or not any(row.stuck for row in rows):
                break
            met += sum(row.kinks for row in rows)
            subject = self._beside(subject, 1e-3 * 10**nudge)
        rows[0].kinks += met
        return rows

    def _beside(self, subject: Subject, share: float) -> Subject:
        """The same function at x and parameters that are moved by that share of their size: some start on a kink."""

        def moved(tensor: Array) -> Array:
            size = float(np.sqrt(np.mean(tensor**2))) or 1.0
            return tensor + share * size * self.rng.normal(size=tensor.shape)

        twin = {} if isinstance(subject.twin, str) else subject.probe(subject.twin, np.complex128).params
        for name, (values, _) in subject.probe(subject.real, np.float64).params.items():
            values[...] = moved(values)
            if name in twin:
                twin[name][0][...] = values
        return replace(subject, x=moved(subject.x))

    def _rows(self, subject: Subject, blame: str | None) -> list[Row]:
        probe = subject.probe(subject.real, np.float64)
        if not np.isfinite(subject.x).all():
            raise BrokenError("input", "what comes in is not finite")
        value = float(probe.value())
        if not np.isfinite(value):
            raise BrokenError("forward", f"the result is not finite ({value})")
        if value != float(probe.value()):
            raise BrokenError("forward", "a second run gives another result; draw random numbers from self.rng()")
        gradients = probe.gradients()
        central = CentralDifference(probe, gradients, self.settings)
        exact = self._complex(subject, gradients, central.base)
        methods: list[Method] = [exact] if isinstance(exact, ComplexStep) else []
        if not self.settings.only_complex:
            methods.append(central)
        elif isinstance(exact, str):
            return [Row(subject.label, "all", float("nan"), "skipped", 0.0, subject.mode, hint=exact)]
        return [self._row(subject, name, m, central, blame) for m in methods for name in probe.tensors]

    def _row(self, subject: Subject, name: str, method: Method, central: Method, blame: str | None) -> Row:
        error, kinks = self._survey(method, name)
        held = self.settings.held(method.name)
        if method is not central and error > held:
            # on a kink the complex step may take the other side: do differences see one?
            differences, kinks = self._survey(central, name)
            error = differences if kinks and np.isinf(differences) else error
        tensor = subject.input_name if name == "input" else name
        row = Row(subject.label, tensor, error, method.name, held, subject.mode, kinks)
        row.entries = method.probe.tensors[name].size if self.settings.full else 0
        if row.stuck:
            what = "entries" if row.entries else "directions"
            row.hint = f"{kinks} {what} cross a kink, too many to prove anything"
        elif not row.passed and blame is not None:
            row.blame, row.hint = blame, f"see {blame}"
        elif not row.passed:
            worst = localise(row, method, name, self.rng)
            if method is not central and central.slope(name, worst, np.ones(1)).error <= self.settings.threshold:
                row.hint = "differences do not show it; is forward analytic? if not, set complex_step = False"
        elif self.settings.prove:
            row.proof = proof(method, name, self.rng, self.settings.directions, held)
            missed = f"an error of 0.1 % planted in this gradient passes a threshold of {held:g}"
            row.hint = None if row.passed else missed
        return row

    def _survey(self, method: Method, name: str) -> tuple[float, int]:
        """(largest relative error, kinks) of one tensor."""
        if self.settings.full:
            return every(method, name)
        return survey(method, name, self.rng, self.settings.directions)

    def _complex(self, subject: Subject, gradients: dict[str, Array], base: float) -> ComplexStep | str:
        """The complex step, if the twin computes the same function with complex numbers; else why not."""
        if isinstance(subject.twin, str):
            return subject.twin
        probe = subject.probe(subject.twin, np.complex128)
        try:
            same = abs(probe.value() - base) <= 1e-9 * max(1.0, abs(base))
        except BrokenError as error:
            return f"with complex numbers {error.reason}"
        return ComplexStep(probe, gradients) if same else "with complex numbers forward gives another result"


def broken(label: str, error: BrokenError, mode: str = "training") -> Row:
    """The row of a layer that breaks the contract."""
    return Row(label, error.what, float("inf"), "contract", 0.0, mode, hint=error.reason)


def real_only(layer: Layer) -> str | None:
    """Why a layer does not take the complex step: the first in it that is not declared analytic; None if it does."""
    for inner in (layer, *(inner for _, inner in walk(layer))):
        if not inner.complex_step:
            return not_analytic(inner)
    return None


def not_analytic(part: Layer | Loss) -> str:
    """Why a layer or loss that is not declared analytic does not take the complex step."""
    return f"{type(part).__name__} does not set complex_step = True: forward may not be analytic"

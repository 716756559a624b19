"""The mutants whose gradients are right all the same, each with its reason; one that is found, or gone, is an error."""

from __future__ import annotations

EQUIVALENT: dict[str, tuple[str, ...]] = {
    "differs only on the kink itself, where either slope will do": (
        "exponential: x.real > 0 -> x.real >= 0",
        "clipped: x.real >= high -> x.real > high",
        "clipped: x.real <= low -> x.real < low",
        "Cornered.rounded: abs(d.real) > width -> abs(d.real) >= width",
        "Cornered.rounded: d / width if width else 0 -> d / width if width else 1",
    ),
    "two formulas of a function meet here, and both hold on the edge": (
        "erfc: x.real < 0 -> x.real <= 0",
        "Softsign.curve: x.real < 0 -> x.real <= 0",
    ),
    "two formulas of a function, of which each holds everywhere but only one cannot overflow": (
        "softplus: x.real > 0 -> x.real <= 0",
        "softplus: x.real > 0 -> x.real >= 0",
        "softplus: x.real > 0 -> x.real > 1",
        "below_top: np.subtract(x, np.maximum.reduce(x.real, axis=1, keepdims=True), out=out)"
        " -> np.add(x, np.maximum.reduce(x.real, axis=1, keepdims=True), out=out)",
    ),
    "a value that the other side of a choice replaces": (
        "exponential: np.where(above, 0, x) -> np.where(above, 1, x)",
        "Hardswish.curve: self.side > 0 -> self.side >= 0",
    ),
    "changes y alone, after what is kept has been made in the same memory": (
        "GroupNorm.forward: np.multiply(h, self.params['weight'], out=y) -> pass",
        "GroupNorm.forward: np.multiply(h, self.params['weight'], out=y) -> np.divide(h, self.params['weight'], out=y)",
        "GroupNorm.forward: y += self.params['bias'] -> y -= self.params['bias']",
        "GroupNorm.forward: y += self.params['bias'] -> pass",
        "LayerNorm.forward: np.multiply(h, self.params['weight'].reshape(-1), out=y) -> pass",
        "LayerNorm.forward: np.multiply(h, self.params['weight'].reshape(-1), out=y)"
        " -> np.divide(h, self.params['weight'].reshape(-1), out=y)",
        "LayerNorm.forward: y += self.params['bias'].reshape(-1) -> y -= self.params['bias'].reshape(-1)",
        "LayerNorm.forward: y += self.params['bias'].reshape(-1) -> pass",
        "Conv2d._forward: self.patches.multiply(matrix, weight, self.band.pixels(y[block])) -> pass",
        "Conv2d._forward_winograd: winograd.forward(self.x[block], self.kernels, bias, y[block]) -> pass",
        "Winograd.forward: np.copyto(y, pixels[:y.shape[1], :y.shape[2]].transpose(2, 0, 1, 3)) -> pass",
        "Winograd.forward: np.matmul(a.T, lines.transpose(0, 2, 1, 3),"
        " out=pixels.reshape(len(pixels), self.u, STEP, -1)) -> pass",
        "Flatten.forward: self._copy(x_rows, x) -> pass",
        "keep_largest: np.copyto(out, top) -> pass",
    ),
    "changes the running statistics alone": ("BatchNorm.forward: self._track(self.mean, var) -> pass",),
    "a difference that is squared": (
        "BatchNorm._moments: np.subtract(self.x[rows], mean, out=self._spare(rows))"
        " -> np.subtract(mean, self.x[rows], out=self._spare(rows))",
    ),
    "a first estimate of a mean, which the next line makes good, or what that finds, round-off alone": (
        "BatchNorm._moments: counts * means -> counts / means",
        "BatchNorm._moments: counts * means -> means",
        "BatchNorm._moments: counts * (means - self._repeated(mean)) -> means - self._repeated(mean)",
        "BatchNorm._moments: self._sum(counts * means) / self.places -> self._sum(counts * means) * self.places",
        "BatchNorm._moments: self._sum(counts * (means - self._repeated(mean))) / self.places"
        " -> self._sum(counts * (means - self._repeated(mean))) * self.places",
        "BatchNorm._moments: self._sum(counts * means) / self.places -> self._sum(counts * means)",
        "BatchNorm._moments: self._sum(counts * (means - self._repeated(mean))) / self.places"
        " -> self._sum(counts * (means - self._repeated(mean)))",
        "BatchNorm._moments: mean += self._sum(counts * (means - self._repeated(mean))) / self.places"
        " -> mean -= self._sum(counts * (means - self._repeated(mean))) / self.places",
        "BatchNorm._moments: mean += self._sum(counts * (means - self._repeated(mean))) / self.places -> pass",
    ),
    "a copy where a view would do": ("Flatten.backward: if self.row_major -> if not self.row_major",),
    "weights without a second axis come to the same by broadcasting": (
        "PReLU._slopes: ndim > 1 -> ndim > 2",
        "PReLU._slopes: ndim > 1 -> ndim >= 1",
    ),
    "of complex numbers only the value is taken, never the gradient": (
        "keep_largest: np.copyto(out, np.where(wins[:, j], part, top)) -> pass",
        "keep_largest: np.where(wins[:, j], part, top) -> np.where(wins[:, j], top, part)",
    ),
    "cuts the same work into other lanes": ("Linear._product: max(1, columns // BAND) -> max(2, columns // BAND)",),
    "works on columns again that another lane gives, to the same numbers": (
        "Linear._product: columns * part.start -> part.start",
    ),
    "matters for one value that is never drawn: p or a probability of 1, all weights 0": (
        "Dropout.forward: LEVELS - 1 -> LEVELS + 1",
        "Dropout.forward: LEVELS - 1 -> LEVELS",
        "Dropout.forward: LEVELS - 1 -> LEVELS - 2",
        "FocalLoss.forward: -1 -> -2",
        "FocalLoss.forward: miss != 0 -> miss != 1",
        "Loss.divisor: count or 1 -> count or 2",
    ),
}

NAMES = {name for names in EQUIVALENT.values() for name in names}

TOO_SMALL = {"erfc: x.real < 0 -> x.real < 1"}
"""What the complex step finds, but no difference: a mistake of at most 1e-5 of the value, near 1."""

"""The layer contract: what a layer declares, computes and differentiates, and how it works alone or in a network."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from dlcli.core.annotations import checked
from dlcli.core.arena import Array, Parameter, Scratch, Views
from dlcli.core.component import Checked
from dlcli.core.errors import ConfigError, ShapeError, quote
from dlcli.core.options import Example, NonNegative
from dlcli.core.registry import Registry
from dlcli.core.rng import Seed, stream
from dlcli.nn.initializers import Initializer, as_mapping, fans

Shape = tuple[int, ...]
layers: Registry[Layer] = Registry("layer", "layers", adapt=lambda cls: _adapt(cls))


class Spec(NamedTuple):
    """A parameter as `setup` declares it."""

    name: str
    shape: Shape
    initializer: Initializer
    fans: tuple[int, int]
    decays: bool


@dataclass
class Draws:
    """Where the stochastic layers of one network draw from: a stream for each (seed, step, layer)."""

    seed: int
    step: int = 0


_standalone = itertools.count()
_standalone_seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def manual_seed(seed: int) -> None:
    """Make layers and models that are set up outside a config from here on draw the same values in every process.

    Raises ConfigError where the seed is no whole number from 0 to 2**64 - 1.
    """
    global _standalone, _standalone_seed
    _standalone, _standalone_seed = itertools.count(), checked("manual_seed", "seed", Seed, seed)


def next_seed() -> int:
    """A seed for something that draws values outside a config: another one at every call, repeated by `manual_seed`."""
    return int(stream(_standalone_seed, "standalone", next(_standalone)).integers(1 << 63))


@dataclass(kw_only=True, eq=False)
class Layer(Scratch, metaclass=Checked):
    """One layer: y = f(x; parameters), with x (N, *in_shape) and y (N, *out_shape).

    Read x, own y, consume dy: `forward` never writes x, `backward` may overwrite dy, and it *sets* the gradients
    (it does not add to them). The dataclass fields are the options that a config may set.

    Outside a network a layer sets itself up at its first `forward`, in float64, takes integers, returns fresh arrays
    and leaves x and dy alone; `training` is then False unless given.
    """

    name: str | None = None
    """A label for tables and messages."""
    trainable: bool = True
    """Whether the optimizer changes the parameters."""
    lr_mult: NonNegative = 1.0
    """Factor on the learning rate."""
    weight_decay_mult: NonNegative | None = None
    """Factor on the weight decay; by default 1 for parameters with two axes or more, 0 for biases and norms."""
    init: Initializer | dict[str, Initializer] | None = None
    """An initializer for `weight`, or a mapping such as {weight: ..., bias: ...}."""

    examples: ClassVar[tuple[Example, ...]] = ()
    complex_step: ClassVar[bool] = False
    """Whether forward and backward stay analytic, or branch on the real part, when x is complex."""
    stochastic: ClassVar[bool] = False
    """Whether `forward` draws random numbers in training."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self._begin()
        return self

    def _begin(self) -> None:
        self.params, self.grads, self.state = Views(), Views(), Views()
        self.specs: list[Spec] = []
        self.in_shape: Shape | None = None
        self.out_shape: Shape | None = None
        self.needs_input_grad = True
        self.draws, self.index = Draws(0), 0
        self._rows: int | None = None  # of the last batch outside a network

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for method, guard in (("setup", _setup), ("forward", _forward), ("backward", _backward)):
            if method in vars(cls):
                setattr(cls, method, guard(vars(cls)[method]))

    def setup(self, in_shape: Shape) -> Shape:
        """The shape of y for one sample x of `in_shape`; declares the parameters and allocates nothing.

        Raises ShapeError, with the way out, where the layer cannot take that shape.
        """
        return in_shape

    def forward(self, x: Array, training: bool) -> Array:
        """y = f(x), keeping what `backward` needs."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array | None:
        """Set the gradients and return dx, or None where `needs_input_grad` is False."""
        raise NotImplementedError

    def branch(self) -> Array | None:
        """The branch that the last forward took at every element (a ReLU's mask); None for a layer without kinks."""
        return None

    def children(self) -> dict[str, Layer]:
        """The layers inside this one, by the part of their name that stands in checkpoints."""
        return {}

    def learns(self) -> bool:
        """Whether anything in here is changed by an optimizer."""
        return (bool(self.specs) and self.trainable) or any(c.learns() for c in self.children().values())

    def flops(self) -> int:
        """Floating-point operations of one sample's forward pass, a multiply-add counted as two."""
        return math.prod(self.out_shape or ())

    def declare(
        self,
        name: str,
        shape: Shape,
        initializer: Initializer,
        *,
        fan_in: int | None = None,
        decays: bool | None = None,
    ) -> None:
        """Announce a parameter from `setup`; `decays` is by default whether it has two axes or more."""
        fan = fans(shape)
        self.specs.append(
            Spec(
                name,
                shape,
                as_mapping(self.init).get(name, initializer),
                fan if fan_in is None else (fan_in, fan[1]),
                len(shape) >= 2 if decays is None else decays,
            )
        )

    def parameters(self, prefix: str) -> list[Parameter]:
        """The declared parameters as the arena takes them."""
        return [
            Parameter(
                prefix + s.name,
                s.shape,
                self.trainable,
                self.lr_mult,
                float(s.decays) if self.weight_decay_mult is None else self.weight_decay_mult,
            )
            for s in self.specs
        ]

    def bind(self, params: Views, grads: Views, dtype: Any, draws: Draws, index: int) -> None:
        """Take memory and identity from a network."""
        self.params, self.grads = params, grads
        self.dtype = np.dtype(dtype)
        self.state = Views({name: array.astype(self.dtype, copy=False) for name, array in self.state.items()})
        self.draws, self.index = draws, index
        self.scratch = {}

    def reset(self, seed: int, purpose: str, *indices: int) -> None:
        """Draw the first values of every parameter, each from its own stream."""
        for i, s in enumerate(self.specs):
            rng = stream(seed, purpose, *indices, i)
            np.copyto(self.params[s.name], s.initializer.draw(s.shape, *s.fans, rng), casting="same_kind")

    def rng(self) -> np.random.Generator:
        """The stream of this layer at this step."""
        return stream(self.draws.seed, "layer", self.draws.step, self.index)

    def _alone(self, x: Any, training: bool) -> Array:
        """Prepare a layer outside a network for this x, a copy in float64 at least: parameters at the first call."""
        x = np.asarray(x)
        x = x.astype(np.result_type(x.dtype, np.float64))
        self.dtype = x.dtype
        if x.ndim < 2 or not x.size:
            raise ShapeError(f"{type(self).__name__}: got x of shape {x.shape}, expected a batch (N, ...) with N >= 1")
        if self._rows is None or self.in_shape != x.shape[1:]:
            before = [s[:2] for s in self.specs]
            self.setup(x.shape[1:])
            if self._rows is None:
                self.params = Views({s.name: np.zeros(s.shape) for s in self.specs})
                self.grads = Views({s.name: np.zeros(s.shape) for s in self.specs})
                self.draws = Draws(_standalone_seed)
                self.index = next(_standalone)
                self.reset(_standalone_seed, "standalone", self.index)
            elif before != [s[:2] for s in self.specs]:
                raise ShapeError(
                    f"{type(self).__name__}: got x of shape {x.shape}, which needs other parameters; make a new layer"
                )
        if training:
            self.draws.step += 1
        return x


def _setup(inner: Callable[..., Shape]) -> Callable[..., Shape]:
    @functools.wraps(inner)
    def setup(self: Layer, in_shape: Shape) -> Shape:
        self.specs = []
        self.out_shape = tuple(inner(self, tuple(in_shape)))
        self.in_shape = tuple(in_shape)
        return self.out_shape

    return setup


def _forward(inner: Callable[..., Array]) -> Callable[..., Array]:
    told = "training" in inspect.signature(inner).parameters

    @functools.wraps(inner)
    def forward(self: Layer, x: Array, training: bool = False) -> Array:
        alone = self.scratch is None
        if alone:
            x = self._alone(x, training)
            self._rows = len(x)
        y = inner(self, x, training) if told else inner(self, x)
        return np.array(y) if alone else y  # a copy: the layer may keep its own y for backward

    return forward


def _backward(inner: Callable[..., Array | None]) -> Callable[..., Array | None]:
    @functools.wraps(inner)
    def backward(self: Layer, dy: Array) -> Array | None:
        if self.scratch is None:
            if self._rows is None:
                raise RuntimeError(f"{type(self).__name__}: backward before forward; call forward(x) first")
            dy = np.array(dy, dtype=np.result_type(np.asarray(dy).dtype, np.float64))
            wanted = (self._rows, *(self.out_shape or ()))
            if dy.shape != wanted:
                raise ShapeError(f"{type(self).__name__}: got dy of shape {dy.shape}, expected {wanted}, as y")
        return inner(self, dy)

    return backward


Layer.setup = _setup(Layer.setup)  # type: ignore[method-assign]
layers.base = Layer


class PlainLayer(Layer):
    """A user's plain class with `forward(x)` and `backward(dy)`, made to work as a layer that keeps the shape."""

    wraps: ClassVar[type]

    def __init__(self, *args: Any, **options: Any) -> None:
        common = {name: options.pop(name) for name in Layer.__dataclass_fields__ if name in options}
        Layer.__init__(self, **common)
        self.inner = self.wraps(*args, **options)
        self._told = "training" in inspect.signature(self.inner.forward).parameters

    def forward(self, x: Array, training: bool) -> Array:
        y = self.inner.forward(x, training) if self._told else self.inner.forward(x)
        return np.asarray(y)

    def backward(self, dy: Array) -> Array | None:
        return np.asarray(self.inner.backward(dy))


def _adapt(cls: type) -> type[Layer]:
    for method in ("forward", "backward"):
        if not callable(getattr(cls, method, None)):
            raise ConfigError(f"class {quote(cls.__name__)} cannot be a layer: it has no method {method}")
    body = {
        "wraps": cls,
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
        "examples": getattr(cls, "examples", ()),
    }
    return type(cls.__name__, (PlainLayer,), body)

"""The layer contract: what a layer declares, computes and differentiates."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np

from dlcli.core.arena import Array, Parameter, Scratch, Views
from dlcli.core.component import Checked
from dlcli.core.errors import ConfigError, quote
from dlcli.core.options import Example, NonNegative
from dlcli.core.registry import Registry
from dlcli.core.rng import Draws, stream
from dlcli.core.workers import Workers, lanes
from dlcli.nn.constraints import Constraint
from dlcli.nn.initializers import Initializer, as_mapping, fans
from dlcli.nn.standalone import guard

Shape = tuple[int, ...]
PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""A parameter's name, which becomes a part of its name in checkpoints."""

layers: Registry[Layer] = Registry("layer", "layers", adapt=lambda cls: plain_layer(cls))


def plain_layer(cls: type) -> type[Layer]:
    """A layer made of a user's plain class."""
    from dlcli.nn.plain import PlainLayer, adapted

    return adapted(cls, PlainLayer, "layer")


class Spec(NamedTuple):
    """A parameter as `setup` declares it."""

    name: str
    shape: Shape
    initializer: Initializer
    fans: tuple[int, int]
    decays: bool


@dataclass(kw_only=True, eq=False)
class Layer(Scratch, metaclass=Checked):
    """One layer: y = f(x; parameters), with x (N, *in_shape) and y (N, *out_shape).

    Read x, own y, consume dy: `forward` never writes x, `backward` may overwrite dy, and it sets the gradients
    (it does not add to them). The dataclass fields are the options that a config may set.

    Outside a network a layer sets itself up at its first `forward`, in float64, takes integers, returns fresh arrays
    and leaves x and dy alone; `training` is then False unless given (`dlcli.nn.standalone` sees to that).
    """

    name: Annotated[str | None, "a label for tables and messages"] = None
    trainable: Annotated[bool, "whether the optimizer changes the parameters"] = True
    lr_mult: Annotated[NonNegative, "factor on the learning rate"] = 1.0
    weight_decay_mult: Annotated[
        NonNegative | None, "factor on the weight decay; by default 1 for weights, 0 for biases and norms"
    ] = None
    init: Annotated[
        Initializer | dict[str, Initializer] | None,
        "how `weight` starts, or {weight: ..., bias: ...}; by default as in PyTorch",
    ] = None
    constraint: Annotated[
        Constraint | dict[str, Constraint] | None,
        "what `weight` keeps to after every step, or {weight: ..., bias: ...}",
    ] = None

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
        self.in_shape: Shape = ()  # of one sample, once it is set up
        self.out_shape: Shape = ()
        self.needs_input_grad = True
        self.draws, self.index = Draws(0), 0
        self.workers = Workers()
        self.rows: int | None = None  # of the last batch outside a network
        self.fewest = 1  # samples in a batch, at least, to train on; setup may raise it

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        guard(cls)

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
        return self.trainable and (bool(self.specs) or any(c.learns() for c in self.children().values()))

    def flops(self) -> int:
        """Floating-point operations of one sample's forward pass, a multiply-add counted as two."""
        return math.prod(self.out_shape)

    def backward_flops(self) -> int:
        """Floating-point operations of one sample's backward pass: those of forward for dx, and again for gradients.

        Exact for Linear and Conv2d, whose passes are products of one size: y, dx, dweight. Without a parameter there is
        only dx, where it is needed, and below the first layer that learns nothing at all.
        """
        reached = self.needs_input_grad or self.learns()
        return self.flops() * (self.needs_input_grad + (reached and bool(self.specs)))

    def activations(self) -> int:
        """How many numbers of one sample's y are held in memory of its own, the layers inside not counted."""
        return math.prod(self.out_shape)

    def declare(
        self,
        name: str,
        shape: Shape,
        initializer: Initializer,
        *,
        fan_in: int | None = None,
        decays: bool | None = None,
    ) -> None:
        """Announce a parameter from `setup`; `decays` is by default whether it has two axes or more.

        ConfigError for a name that no checkpoint can hold, or that is taken, and for a size that no array has.
        """
        if not (isinstance(name, str) and PARAMETER.fullmatch(name)) or any(s.name == name for s in self.specs):
            raise ConfigError(
                f"{type(self).__name__}: declares a parameter {quote(name)}, expected another name for each, of 1 to "
                "64 of A-Z a-z 0-9 _ . -"
            )
        if not all(isinstance(size, (int, np.integer)) and size >= 1 for size in shape):
            raise ConfigError(f"{type(self).__name__}: declares {name} of shape {shape}, expected whole numbers >= 1")
        fan = fans(shape)
        initializer = as_mapping(self.init).get(name, initializer)
        initializer.check(shape)
        self.specs.append(
            Spec(
                name,
                shape,
                initializer,
                fan if fan_in is None else (fan_in, fan[1]),
                len(shape) >= 2 if decays is None else decays,
            )
        )

    def keep(self, name: str, value: Array) -> None:
        """Announce, from `setup`, an array of `state`, which is saved but not trained, with its first value."""
        self.state = Views({**self.state, name: np.asarray(value)})

    def share(self, rows: int, size: int, work: Callable[[int, slice], None]) -> None:
        """Call work(lane, its rows) for every lane of a batch whose rows have `size` numbers to work on.

        The lanes run side by side where the network has threads: `work` must touch nothing that another lane writes.
        """
        self.workers.each(work, lanes(rows, size))

    def parameters(self, prefix: str) -> list[Parameter]:
        """The parameters in here as the arena takes them; a container's options act on top of those inside."""
        on, lr, decay = self.trainable, self.lr_mult, self.weight_decay_mult
        own = [
            Parameter(prefix + s.name, s.shape, on, lr, float(s.decays) if decay is None else decay) for s in self.specs
        ]
        inside = [p for part, child in self.children().items() for p in child.parameters(f"{prefix}{part}.")]
        factor = 1.0 if decay is None else decay
        return own + [Parameter(p.name, p.shape, on and p.trainable, lr * p.lr_mult, factor * p.decay) for p in inside]

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
            drawn = np.asarray(s.initializer.draw(s.shape, *s.fans, rng))
            if drawn.shape not in (s.shape, ()) or drawn.dtype.kind not in "uif":
                got = f"{type(s.initializer).__name__}: draw gave {drawn.dtype} of shape {drawn.shape}"
                raise ConfigError(f"{got}, expected real numbers of shape {s.shape}")
            np.copyto(self.params[s.name], drawn, casting="same_kind")

    def constrain(self) -> None:
        """Project every parameter that has a constraint."""
        for name, constraint in as_mapping(self.constraint).items():
            constraint.project(self.params[name])

    def rng(self) -> np.random.Generator:
        """The stream of this layer at this step."""
        return stream(self.draws.seed, "layer", self.draws.step, self.index)


guard(Layer)
layers.base = Layer

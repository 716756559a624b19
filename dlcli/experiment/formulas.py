"""What a docstring says of one layer or loss: its formulas, forward and backward, with its own sizes and numbers.

The formula stands first, up to an empty line. Below it, a sentence that names a gradient (`dx = ...`, `dL/dz = ...`)
is backward; one that begins with the option that it is about (`With ...`) counts where that option is set; arrays are
told as `weight (out, in)`, and a capital in their shapes stands for the same size in the formulas.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from dlcli.core.component import constructor
from dlcli.core.options import MISSING
from dlcli.nn.layer import Shape

SENTENCES = re.compile(r"(?<=[^.][.])\s+|(?<=;)\s{2,}")
CLAUSES = re.compile(r"(?<=[:;,])\n")
"""Ends of lines that are ends of clauses too, which two spaces part within a line."""

SHAPED = re.compile(r"((?:[a-z]\w*(?:, | and ))*[a-z]\w*) \(([^()]*,[^()]*)\)")
"""Names with the shape that they share: `x and y (N, *shape)`."""
SYMBOL = re.compile(r"[A-Z]'?")
DIVIDED = re.compile(r" / (?:N|number of elements|sum over the batch of w_t)\b")
"""What makes a mean of a sum, in the formula of a loss."""

PASSING = ("x", "y", "dx", "dy")
"""What goes from layer to layer; a parameter that happens to be shaped like it is another thing."""

OF_LOSS = re.compile(r"\bdL/d(y_pred|[a-z])")


class Formula(NamedTuple):
    """Both directions of a layer or loss, each in one line whose clauses two spaces part."""

    forward: str
    backward: str


def formula(part: Any, arrays: Mapping[str, Shape]) -> Formula:
    """The formulas of a layer or loss whose arrays have these shapes; empty where its docstring has none."""
    first, _, rest = _doc(part).partition("\n\n")
    sizes = dict(_sizes(f"{first} {rest}", arrays)) | {
        "number of elements": str(math.prod(next(iter(arrays.values()))))
    }
    sizes |= {
        name: f"{value:g}"
        for name, value in settings(part).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    slopes = "|".join(re.escape(name) for name in arrays if name != "y")
    gradient = re.compile(rf"\bd(?:L/d\w+|{slopes})\b")
    forward, backward = [], []
    absent = tuple(f"d{name} =" for name in _absent(part, arrays))
    for i, paragraph in enumerate((first, rest)):
        for sentence in SENTENCES.split(CLAUSES.sub("  ", paragraph).replace("\n", " ")):
            said = re.match(r"With (`.*?),", sentence)
            if said and not set(re.findall(r"`(\w+)", said[1])) & set(settings(part, changed=True)):
                continue
            if gradient.search(sentence):
                clauses = [clause for clause in re.split(r" {2,}", sentence) if not clause.startswith(absent)]
                backward.append("  ".join(clauses))
            elif said or i == 0:
                forward.append(sentence)
    texts = ("  ".join(found).strip().rstrip(".,;") for found in (forward, backward))
    if getattr(part, "reduction", "mean") == "sum":
        texts = (DIVIDED.sub("", text).replace("L = mean over", "L = sum over") for text in texts)
    return Formula(*(_put(text, sizes) for text in texts))


def settings(part: Any, changed: bool = False) -> dict[str, Any]:
    """The options of its own that a layer or loss has, `changed` those that are not at their defaults."""
    holders = (part, getattr(part, "inner", None))  # a user's plain class keeps its options inside
    cls: Any = type(part)
    found = {}
    for option in constructor(cls).options.values():
        value = next((getattr(h, option.name) for h in holders if hasattr(h, option.name)), MISSING)
        if value is not MISSING and not option.common and not (changed and value == option.default):
            found[option.name] = value
    return found


def sides(loss: Any) -> tuple[str, str]:
    """What the formula of a loss calls predictions and targets, such as z and t."""
    text = _doc(loss)
    named = OF_LOSS.search(text)
    return named[1] if named else "y_pred", "t" if re.search(r"\bt\b", text) else "y_true"


def shapes(arrays: Mapping[str, Shape], part: Any = None) -> str:
    """`x (4, 64), weight (32, 64), bias (32,), y (4, 32)`, and `x and y (4, 64)` of neighbours that share a shape.

    Parameters that the docstring of `part` knows, but that it has not got, are told too: `no bias`.
    """
    groups = [
        (list(names), shape) for (_, shape), names in groupby(arrays, lambda name: (name in PASSING, arrays[name]))
    ]
    absent = _absent(part, arrays)
    told = [f"{' and '.join(names)} {shape}" for names, shape in groups]
    return ", ".join(told + ([f"no {' and '.join(absent)}"] if absent else []))


def _absent(part: Any, arrays: Mapping[str, Shape]) -> list[str]:
    """The parameters that the docstring of `part` knows, but that it has not got."""
    text = _doc(part)
    known = (name for found in SHAPED.finditer(text) for name in _names(found[1]))
    return [name for name in dict.fromkeys(known) if name not in arrays and re.search(rf"\bd{name}\b", text)]


def _names(text: str) -> list[str]:
    return re.split(r", | and ", text)


def _doc(part: Any) -> str:
    """The docstring without its sources; nothing where it is what `dataclass` writes in the place of one."""
    cls = type(part)
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    return "" if text.startswith((f"{cls.__name__}(", "(no description)")) else text.partition("Source:")[0].strip()


def _sizes(text: str, arrays: Mapping[str, Shape]) -> Iterator[tuple[str, str]]:
    """The size of every capital in the shapes that the text gives to these arrays."""
    for found in SHAPED.finditer(text):
        symbols = found[2].split(", ")
        shape = next((arrays[name] for name in _names(found[1]) if name in arrays), ())
        if len(symbols) == len(shape) or (symbols[-1].startswith("*") and len(symbols) <= len(shape) + 1):
            yield from (
                (symbol, str(size)) for symbol, size in zip(symbols, shape, strict=False) if SYMBOL.fullmatch(symbol)
            )


def _put(text: str, values: Mapping[str, str]) -> str:
    """The text with each name that stands alone replaced by its value."""
    names = "|".join(sorted(map(re.escape, values), key=len, reverse=True))
    return re.sub(rf"(?<![\w`']){names and f'(?:{names})'}(?![\w'`(])", lambda m: values[m[0]], text) if names else text

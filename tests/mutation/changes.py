"""The mistakes that are made in gradients, as changes of a syntax tree: signs, terms, axes, factors, operands."""

from __future__ import annotations

import ast
import copy
import operator
from collections.abc import Iterator
from typing import Any, TypeVar

Node = TypeVar("Node", bound=ast.AST)

SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
"""Operators and what is written instead of them."""

EDGE: dict[type, type] = {ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
"""Comparisons that differ on the edge alone."""

RENAMED = {
    "multiply": "divide",
    "divide": "multiply",
    "add": "subtract",
    "subtract": "add",
    "sum": "mean",
    "mean": "sum",
    "greater": "less_equal",
    "greater_equal": "less",
    "maximum": "minimum",
    "minimum": "maximum",
    "argmax": "argmin",
}
"""Functions of NumPy and what is called instead of them."""

ORDERED = {"subtract": (0, 1), "divide": (0, 1), "matmul": (0, 1), "where": (1, 2)}
"""Functions of NumPy and two arguments that may be mixed up."""

FACTORS = (-1.0, 2.0, 0.5, 1.001)
"""What a gradient is multiplied by: sign, a factor 2 too many or missing, and an error of 0.1 %."""

SIZES = {
    "buffer",
    "own",
    "reshape",
    "astype",
    "lanes",
    "blocks",
    "range",
    "room",
    "copy",
    "empty",
    "ones",
    "fill",
    "share",
}
"""Calls whose arguments are shapes and names, not numbers of a gradient."""


def nodes(root: ast.AST) -> Iterator[ast.AST]:
    """All nodes below a root that numbers come from: no shapes, no places, no messages."""
    if not of_size(root):
        yield root
    match root:
        case ast.Raise() | ast.Constant() | ast.JoinedStr():
            return
        case ast.Call(ast.Attribute(value, name)) if name in SIZES:
            yield from nodes(value)
        case ast.Subscript(value):
            yield from nodes(value)
        case ast.If(body=body, orelse=orelse) if of_size(root):
            for inner in [*body, *orelse]:  # which of two ways is faster at that size is no matter of the gradient
                yield from nodes(inner)
        case ast.FunctionDef(body=inside) | ast.With(body=inside) | ast.For(body=inside):
            iterated = [root.iter] if isinstance(root, ast.For) else []
            for inner in [*iterated, *inside]:
                yield from nodes(inner)
        case _:
            for inner in ast.iter_child_nodes(root):
                if isinstance(inner, (ast.stmt, ast.expr, ast.keyword, ast.comprehension)):
                    yield from nodes(inner)


def of_size(node: ast.AST) -> bool:
    """Whether a node is a choice by a constant in capitals, such as the least size that is cut into lanes."""
    return isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id.isupper() for n in ast.walk(node.test))


def changed(node: ast.AST, function: str) -> Iterator[ast.AST | list[ast.stmt]]:
    """What may wrongly stand in the place of a node of a function."""
    yield from operators(node)
    yield from arrays(node)
    match node:
        case ast.Constant(bool() | str() | None):
            return
        case ast.Constant(value):
            yield ast.Constant(2 * value if value else 1)
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.Return(value) if function == "backward" and value is not None and not isinstance(value, ast.Constant):
            yield from (ast.Return(scaled(value, factor)) for factor in FACTORS)
        case ast.Assign([ast.Subscript(target)] as targets, value) if is_gradients(target):
            yield from (ast.Assign(targets, scaled(value, factor), lineno=0) for factor in FACTORS)
        case ast.Expr(ast.Call(ast.Attribute(), _, keywords)):
            yield ast.Pass()
            out = next((k.value for k in keywords if k.arg == "out"), None)
            if isinstance(out, ast.Subscript) and is_gradients(out.value):
                target = ast.Subscript(out.value, out.slice, ast.Store())
                for factor in FACTORS:
                    yield [node, ast.AugAssign(target, ast.Mult(), ast.Constant(factor))]


def operators(node: ast.AST) -> Iterator[ast.AST]:
    """Another operator, a term or factor left out, operands mixed up."""
    match node:
        case ast.BinOp(left, op, right):
            if type(op) in SWAPPED:
                yield ast.BinOp(left, SWAPPED[type(op)](), right)
                yield left
            if isinstance(op, (ast.Add, ast.Mult)):
                yield right
            elif isinstance(op, ast.Sub):
                yield ast.UnaryOp(ast.USub(), right)
            elif isinstance(op, ast.MatMult):
                yield ast.BinOp(right, op, left)
        case ast.AugAssign(target, op, value):
            if type(op) in SWAPPED:
                yield ast.AugAssign(target, SWAPPED[type(op)](), value)
            yield ast.Assign([target], value, lineno=0)
            yield ast.Pass()
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.Compare(left, [op], right):
            for table in (SWAPPED, EDGE):
                if type(op) in table:
                    yield ast.Compare(left, [table[type(op)]()], right)


def arrays(node: ast.AST) -> Iterator[ast.AST]:
    """Another function of NumPy, another axis, another order of operands or axes."""
    match node:
        case ast.Attribute(value, "T"):
            yield value
        case ast.Call(ast.Attribute(ast.Name() | ast.Attribute(), "transpose") as function, [_, *_]):
            yield function.value
        case ast.Call(ast.Name("reversed"), [argument]):
            yield argument
        case ast.Subscript(value, ast.Tuple(parts)) if any(ast.unparse(part) == "::-1" for part in parts):
            yield value
        case ast.Call(ast.Attribute(owner, name), arguments, keywords):
            if name in RENAMED:
                yield ast.Call(ast.Attribute(owner, RENAMED[name], ast.Load()), arguments, keywords)
            elif ast.unparse(owner) == "np.add" and name == "reduce":
                yield ast.Call(ast.Attribute(owner.value, "mean", ast.Load()), arguments, keywords)
            if name in ORDERED and len(arguments) > ORDERED[name][1]:
                i, j = ORDERED[name]
                mixed = [arguments[{i: j, j: i}.get(at, at)] for at in range(len(arguments))]
                yield ast.Call(node.func, mixed, keywords)
            for at, given in enumerate(keywords):
                if given.arg == "axis" and isinstance(given.value, ast.Constant) and given.value.value is not None:
                    other = ast.keyword("axis", ast.Constant(int(given.value.value == 0)))
                    yield ast.Call(node.func, arguments, [*keywords[:at], other, *keywords[at + 1 :]])


def is_gradients(node: ast.AST) -> bool:
    return ast.unparse(node) == "self.grads"


def scaled(value: ast.expr, factor: float) -> ast.expr:
    return ast.BinOp(ast.Constant(factor), ast.Mult(), value)


def put(root: Node, node: ast.AST, new: ast.AST | list[ast.stmt]) -> Node:
    """A copy of a tree with `new` in the place of one of its nodes; what has not changed is shared."""

    def copied(here: Any) -> Any:
        if here is node:
            return new
        if isinstance(here, list):
            parts = [copied(inner) for inner in here]
            flat = [one for part in parts for one in (part if isinstance(part, list) else [part])]
            return here if all(map(operator.is_, here, flat)) and len(flat) == len(here) else flat
        if not isinstance(here, ast.AST):
            return here
        changed = {name: part for name, old in ast.iter_fields(here) if (part := copied(old)) is not old}
        if not changed:
            return here
        other = copy.copy(here)
        vars(other).update(changed)
        return other

    return copied(root)

"""What is wrong with a command line, each in one line that names the option, what was got and what was expected."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from dlcli.core.errors import UsageError, escape, nearest, quote


def check(command: Any, arguments: list[str]) -> list[Any]:
    """The contexts of the commands on the line.

    UsageError for what the parser lets pass: an option given twice, of which it drops one, and an empty value.
    """
    contexts = []
    for context, values, given in _parsed(command, arguments):
        contexts.append(context)
        for parameter in given:
            if given.count(parameter) > 1 and not (parameter.multiple or parameter.is_flag):
                raise UsageError(f"{_name(parameter)}: given {given.count(parameter)} times, expected once")
            value = values[parameter.name]
            if value == "" or (isinstance(value, (list, tuple)) and "" in value):
                raise UsageError(f"{_name(parameter)}: got an empty text; give it a value or leave it out")
    return contexts


def message(error: Any, command: Any, arguments: list[str]) -> str:
    """What the parser found wrong, in one line."""
    kind, context = type(error).__name__, getattr(error, "ctx", None)
    path = context.command_path if context is not None else "dlcli"
    help_hint = f"see '{path} --help'"
    if kind == "NoSuchOption":
        hint = _near_option(error.option_name, context.command) if context is not None else ""
        return f"unknown option {quote(error.option_name)}; {hint or help_hint}"
    if kind == "MissingParameter":
        return f"{path}: missing argument {_name(error.param) if error.param is not None else ''}; {help_hint}"
    if kind == "BadParameter" and context is not None and error.param is not None:
        for inner, values, _ in _parsed(command, arguments):
            if inner.command is context.command:
                got = values[error.param.name]
                got = ", ".join(got) if isinstance(got, list) else got
                expected = _expected(context.command, error.param)
                return f"{_name(error.param)}: got {quote(got)}, expected {expected}; {help_hint}"
    text = escape(" ".join(error.format_message().split())).rstrip(".")
    if text.startswith("No such command") and context is not None:
        wrong = text.split("'")[1]
        near = nearest(wrong, context.command.list_commands(context))
        return f"unknown command {quote(wrong)}; {help_hint if near is None else f'did you mean {quote(near)}?'}"
    return f"{text[:1].lower()}{text[1:]}; {help_hint}"


def _parsed(command: Any, arguments: list[str]) -> Iterator[tuple[Any, dict[str, Any], list[Any]]]:
    """Each command on the line: its context, the raw values by parameter name, the parameters in the order given."""
    context = command.context_class(command, info_name="dlcli", **command.context_settings)
    while command is not None:
        values, rest, given = command.make_parser(context).parse_args(list(arguments))
        yield context, values, given
        commands = getattr(command, "commands", {})
        command = commands.get(rest[0]) if rest else None
        if command is not None:
            context = command.context_class(command, info_name=rest[0], parent=context, **command.context_settings)
            arguments = rest[1:]


def _name(parameter: Any) -> str:
    """`--name` of an option, `CONFIG` of an argument."""
    first: str = parameter.opts[0]
    return first if first.startswith("-") else (parameter.metavar or first).strip("[]").upper()


def _expected(command: Any, parameter: Any) -> str:
    """What an option takes, in words, from the annotation of the command's function."""
    from dlcli.core.annotations import expected, members

    annotation = typing.get_type_hints(command.callback, include_extras=True)[parameter.name]
    inner, declared = annotation.__origin__, annotation.__metadata__[0]
    (inner,) = [m for m in members(inner) if m is not type(None)]
    inner = typing.get_args(inner)[0] if typing.get_origin(inner) is list else inner
    limits = [f"{sign} {limit}" for sign, limit in ((">=", declared.min), ("<=", declared.max)) if limit is not None]
    return " ".join([expected(inner), " and ".join(limits)]).rstrip()


def _near_option(wrong: str, command: Any) -> str:
    """The option that is meant, or the config key, which `--set` changes; empty where none is near."""
    known = {o: o for o in ("--help", *(o for p in command.params for o in p.opts)) if o.startswith("--")}
    if "--set" in known:
        from dlcli.config.overrides import usual_keys

        for name, key in usual_keys().items():
            known.setdefault(f"--{name.replace('_', '-')}", f"--set {key}=VALUE")
    near = nearest(wrong, known)
    return f"did you mean {quote(known[near])}?" if near is not None else ""

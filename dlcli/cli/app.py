"""The entry point: one boundary around everything, where each error becomes its lines and its exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import tempfile
import traceback
from typing import Any, NoReturn

from dlcli.core.errors import EXIT_CODES, DlcliError, OutputError, ResourceError, UsageError, escape, quote, suggest

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""What tells a BLAS its threads; all are set to 1 before NumPy is imported, whatever the environment says."""

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def main() -> NoReturn:
    """Run the command line and end the process: with a documented exit code, or by the signal that ended training."""
    stdout_closed = _open_standard_streams()
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT) and _default_unless_ignored(signal.SIGINT))
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    code = _guarded(stdout_closed)
    _flush()
    os._exit(code) if code else sys.exit(0)


def _guarded(stdout_closed: bool) -> int:
    from dlcli.cli import render

    try:
        _require_versions()
        if stdout_closed:
            _refuse_stdout()
        return run(sys.argv[1:])
    except DlcliError as error:
        for line in error.lines():
            render.err(line)
        return error.code
    except BrokenPipeError:
        _die_by(signal.SIGPIPE)
    except MemoryError:
        render.err("error: out of memory; make the model, the batch or the data smaller")
        return ResourceError.code
    except RecursionError as error:
        return _bug(error)
    except OSError as error:
        kind = ResourceError if error.errno in OUT_OF_RESOURCES else OutputError
        where = f"{escape(str(error.filename))}: " if error.filename else ""
        render.err(f"error: {where}{(error.strerror or str(error)).lower()}"[:400])
        return kind.code if error.errno is not None else _bug(error)
    except Exception as error:
        if "can't start new thread" in str(error):
            render.err("error: the system allows no more threads; lower --threads")
            return ResourceError.code
        return _bug(error)
    return 0


def run(arguments: list[str]) -> int:
    """Parse and execute one command line; the exit code, or an exception of the family."""
    from typer import Exit, TyperException
    from typer.main import get_command

    from dlcli.cli.commands import app

    if sum(map(len, arguments)) > 100_000 or len(arguments) > 5_000:
        raise UsageError(f"got {len(arguments)} arguments of {sum(map(len, arguments)):,} characters, which is too long")
    command = get_command(app)
    try:
        result = command.main(arguments, prog_name="dlcli", standalone_mode=False)
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        raise UsageError(_usage(error)) from None
    return result if isinstance(result, int) else 0


def _usage(error: Any) -> str:
    """What the parser found wrong, in one line."""
    kind, context = type(error).__name__, getattr(error, "ctx", None)
    path = context.command_path if context is not None else "dlcli"
    help_hint = f"see '{path} --help'"
    if kind == "NoSuchOption":
        known = [o for p in context.command.params for o in p.opts if o.startswith("--")] if context else []
        hint = suggest(error.option_name, known)
        return f"unknown option {quote(error.option_name)}; {hint if hint.startswith('did') else help_hint}"
    if kind == "MissingParameter":
        name = (error.param.metavar or error.param.name or "").upper() if error.param is not None else ""
        return f"{path}: missing argument {name}; {help_hint}"
    message = escape(" ".join(error.format_message().split())).rstrip(".")
    if message.startswith("No such command") and context is not None:
        wrong = context.args[0] if context.args else message.split("'")[1]
        wrong = message.split("'")[1] if "'" in message else wrong
        hint = suggest(wrong, context.command.list_commands(context))
        return f"unknown command {quote(wrong)}; {hint if hint.startswith('did') else help_hint}"
    return f"{message[:1].lower()}{message[1:]}; {help_hint}"


def _require_versions() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - a copy of the source may meet an older Python
        raise ResourceError(f"needs Python >= 3.11, found {sys.version.split()[0]}; install a newer Python")


def _bug(error: BaseException) -> int:
    """One line for what should not have happened; the traceback goes to a file, or to stderr with DLCLI_DEBUG=1."""
    from dlcli.cli import render

    text = "".join(traceback.format_exception(error))
    if os.environ.get("DLCLI_DEBUG") == "1":
        render.err(text.rstrip())
    where = ""
    try:
        handle, path = tempfile.mkstemp(prefix="dlcli-", suffix=".txt")
        os.write(handle, text.encode("utf-8", "backslashreplace"))
        os.close(handle)
        where = f"; the traceback is in {path}"
    except OSError:
        pass
    reason = escape(f"{type(error).__name__}: {error}")[:200]
    render.err(f"error: this is a bug in dlcli: {reason}{where}")
    return 1


def _open_standard_streams() -> bool:
    """Point closed standard descriptors at nothing, lest a file takes their number; whether stdout was closed."""
    closed = False
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            closed = closed or descriptor == 1
    return closed


def _default_unless_ignored(number: int) -> Any:
    """Outside training, Ctrl-C ends the process by the signal itself; one that is ignored stays ignored."""
    return signal.SIG_IGN if signal.getsignal(number) is signal.SIG_IGN else signal.SIG_DFL


def _die_by(number: int) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass


def exit_codes() -> str:
    """The table of exit codes for `--help`."""
    return "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

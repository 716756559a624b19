"""The entry point: one boundary around everything, where each error becomes its lines and its exit code."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from dlcli.core.errors import DlcliError, OutputError, ResourceError, UsageError, escape, reason, shorten

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""What tells a BLAS its threads; all are set to 1 before NumPy is imported, whatever the environment says."""

COLLECTIONS = (100_000, 20, 20)
"""How rarely Python looks for cycles: what imports make stays, and looking through it takes a tenth of the start."""

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def main() -> NoReturn:
    """Run the command line and end the process: with a documented exit code, or by the signal that ended training."""
    _open_standard_streams()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # outside training, Ctrl-C ends the process by the signal itself
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    gc.set_threshold(*COLLECTIONS)
    code = _guarded()
    _flush()
    os._exit(code)  # at once: an ordinary exit would try again to flush a stdout that is full or gone


def _guarded() -> int:
    """The exit code of this command line, with every error told in its lines."""
    from dlcli.cli import render, show

    warnings.showwarning = show.warning
    try:
        _require_versions()
        if not {"-h", "--help"}.intersection(sys.argv):  # the parser prints help itself, and then runs no command
            render.keep_stdout()
        return run(sys.argv[1:])
    except DlcliError as error:
        for line in error.lines():
            render.err(line)
        return error.code
    except BrokenPipeError:
        _flush()
        return _die_by(signal.SIGPIPE)
    except MemoryError:
        render.err("error: out of memory; make the model, the batch or the data smaller")
        return ResourceError.code
    except BaseException as error:
        return _judged(error)


def _judged(error: BaseException) -> int:
    """The exit code of what no class of errors stands for: a mistake in the user's code, the system's, or a bug."""
    from dlcli.cli import render
    from dlcli.core.blame import user_error

    own = user_error(error)
    if own is not None:
        _debug(error)
        render.err(own.lines()[0])
        return own.code
    if isinstance(error, OSError) and error.errno is not None:
        where = escape(str(error.filename)) if error.filename else "output"
        render.err(shorten(f"error: {where}: {reason(error)}"))
        return ResourceError.code if error.errno in OUT_OF_RESOURCES else OutputError.code
    if "can't start new thread" in str(error):
        render.err("error: the system allows no more threads; lower --threads")
        return ResourceError.code
    return _bug(error)


def run(arguments: list[str]) -> int:
    """Parse and execute one command line; the exit code, or an exception of the family."""
    from typer import Exit, TyperException
    from typer.main import get_command

    from dlcli.cli import parameters, usage
    from dlcli.cli.commands import app

    if sum(map(len, arguments)) > 100_000 or len(arguments) > 5_000:
        raise UsageError(
            f"got {len(arguments)} arguments of {sum(map(len, arguments)):,} characters, which is too long"
        )
    command = get_command(app)
    try:
        for context in usage.check(command, arguments):
            parameters.lighten(context.command.get_params(context))
        # Not `command.main`: it would turn a broken pipe into exit code 1.
        with command.make_context("dlcli", list(arguments)) as context:
            result = command.invoke(context)
    except Exit as end:
        return end.exit_code
    except TyperException as error:
        raise UsageError(usage.message(error, command, arguments)) from None
    return result if isinstance(result, int) else 0


def _require_versions() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - a copy of the source may meet an older Python
        raise ResourceError(f"needs Python >= 3.11, found {sys.version.split()[0]}; install a newer Python")


def _bug(error: BaseException) -> int:
    """One line for what should not have happened; the traceback goes to a file, or to stderr with DLCLI_DEBUG=1."""
    import tempfile

    from dlcli.cli import render
    from dlcli.core.fsio import write_atomic

    text = _debug(error)
    where = ""
    with suppress(DlcliError, OSError):
        path = Path(tempfile.gettempdir()) / f"dlcli-{os.getpid()}.txt"
        write_atomic(path, text.encode("utf-8", "backslashreplace"))
        where = f"; the traceback is in {path}"
    render.err(f"error: this is a bug in dlcli: {escape(f'{type(error).__name__}: {error}')[:200]}{where}")
    return 1


def _debug(error: BaseException) -> str:
    """The traceback, which stderr shows with DLCLI_DEBUG=1."""
    import traceback

    from dlcli.cli import render

    text = "".join(traceback.format_exception(error))
    if os.environ.get("DLCLI_DEBUG") == "1":
        render.err(text.rstrip())
    return text


def _open_standard_streams() -> None:
    """Point closed standard descriptors at nothing, lest a file takes their number; what is printed there is lost."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _die_by(number: int) -> int:
    """End the process by a signal; the code is for a system on which that does not work."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()

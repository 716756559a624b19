"""The record of evaluations in their runs, above all of the openings of the test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dlcli import runs
from dlcli.core.errors import DlcliError, OutputError
from dlcli.experiment.opened import Opened
from dlcli.experiment.session import Note
from dlcli.training import journal


@contextmanager
def recorded(rows: Sequence[tuple[Opened, dict[str, Any]]], split: str, note: Note) -> Iterator[None]:
    """Appends a row to the evals.jsonl of each checkpoint's run before anything is shown: so the openings count.

    Where that fails it is shown all the same; then OutputError for the test split, a warning for the others.
    """
    failures = []
    for opened, row in rows:
        if opened.run is None:
            note(f"{opened.path}: lies in no run directory, so this evaluation is recorded nowhere")
            continue
        try:
            with journal.Journal(opened.run.evals_file) as file:
                place = {"checkpoint": str(opened.path), "split": split}
                file.append({"time": runs.now(), **place, **row, "step": opened.snapshot.step})
                file.sync()
        except DlcliError as error:
            failures.append(f"{error}; this evaluation is not recorded")
            if split != "test":
                note(f"warning: {failures[-1]}")
    yield
    if failures and split == "test":
        raise OutputError(*failures)

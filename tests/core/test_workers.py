"""Lanes and the threads that share them."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import threading
import time
import warnings

import numpy as np
import pytest

from dlcli.core.workers import GRAIN, MOST, Workers, lanes


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (7, GRAIN), (64, 784), (64, 40_000), (500, 10**6), (3, 10**7)])
def test_lanes_cover_the_batch_once_in_order(rows: int, size: int) -> None:
    cut = lanes(rows, size)
    assert [i for i, _ in cut] == list(range(len(cut)))
    assert [r for _, part in cut for r in range(rows)[part]] == list(range(rows))
    assert 1 <= len(cut) <= min(MOST, rows)


def test_small_work_stays_in_one_lane() -> None:
    assert len(lanes(64, 784)) == 1
    assert len(lanes(64, 200_000)) == MOST


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_every_part_is_worked_on_once(threads: int) -> None:
    seen: list[int] = []
    Workers(threads).each(lambda i, part: seen.append(i), lanes(64, 10**6))
    assert sorted(seen) == list(range(MOST))


def test_parts_run_side_by_side() -> None:
    met = threading.Barrier(2, timeout=10)
    Workers(2).each(lambda i, part: met.wait(), lanes(2, 10**6))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_reaches_the_caller_after_all_have_ended(threads: int) -> None:
    def work(i: int, part: slice) -> None:
        if i == 1:
            raise ValueError("lane 1")

    workers = Workers(threads)
    with pytest.raises(ValueError, match="lane 1"):
        workers.each(work, lanes(64, 10**6))
    workers.each(lambda i, part: None, lanes(64, 10**6))


def test_workers_do_not_warn_about_floats() -> None:
    overflow = np.full(4, 1e38, np.float32)
    with np.errstate(all="ignore"):
        Workers(2).each(lambda i, part: overflow * overflow, lanes(64, 10**6))


def test_a_copy_has_one_thread() -> None:
    workers = Workers(4)
    assert [w.threads for w in (copy.deepcopy(workers), pickle.loads(pickle.dumps(workers)))] == [1, 1]


def test_threads_end_with_their_workers() -> None:
    before = set(threading.enumerate())
    workers = Workers(3)
    workers.each(lambda i, part: None, lanes(64, 10**6))
    others = set(threading.enumerate()) - before
    assert len(others) == 2
    del workers
    for thread in others:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_a_forked_process_starts_threads_of_its_own() -> None:
    workers = Workers(2)
    workers.each(lambda i, part: None, lanes(64, 10**6))
    with warnings.catch_warnings():  # newer versions of Python warn of any fork beside threads
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        workers.each(lambda i, part: None, lanes(64, 10**6))
        os._exit(3)
    ended, limit = (0, 0), time.monotonic() + 10
    while not ended[0] and time.monotonic() < limit:
        ended = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 3

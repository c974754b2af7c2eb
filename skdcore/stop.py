"""How a run is asked to stop at its next step: by a signal, or because its time is over."""

import signal
import threading
import time
from contextlib import contextmanager

from skdcore.errors import Stopped

ASKED = set()  # the sweeps whose runs were asked to stop, in the process of a Dask worker


def ask(sweep):
    """Asks the runs of a sweep to stop that this process trains or would train."""
    ASKED.add(sweep)


def _heard(*names):
    """The signals that this thread can have handlers for; not a SIGHUP that `nohup` has the process ignore."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [name for name in names if name != signal.SIGHUP or signal.getsignal(name) != signal.SIG_IGN]


@contextmanager
def interrupts():
    """For a block in a main thread: SIGTERM and SIGHUP are a KeyboardInterrupt, as SIGINT is."""
    names = _heard(signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, signal.default_int_handler) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def stop_signals(deadline, sweep=None):
    """Yields a function that gives the reason to stop, or None; `deadline` is a time of the monotonic clock.

    A signal that comes too late for the block to stop raises `Stopped` after it.  `sweep`: the one that the run is of.

    SIGINT, SIGTERM and SIGHUP are reasons where handlers can be set (a main thread).  A Dask worker's thread is asked
    by its sweep.
    """
    caught = []
    names = _heard(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, lambda number, _: caught.append(number)) for name in names}

    def reason():
        if caught:
            return f"stopped by {signal.Signals(caught[0]).name}"
        if sweep in ASKED:
            return "its sweep was stopped"
        return "the time budget is used up" if time.monotonic() > deadline else None

    try:
        yield reason
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    if caught:  # after the final step, when nobody asked any more
        raise Stopped(f"{reason()}, after the record was written")

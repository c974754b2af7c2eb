"""How a run is asked to stop at its next step: by a signal, or because its time is over."""

import signal
import threading
import time
from contextlib import contextmanager

from skdcore.errors import Stopped


@contextmanager
def stop_signals(deadline):
    """Yields a function that gives the reason to stop, or None; `deadline` is a time of the monotonic clock.

    A signal that comes too late for the block to stop raises `Stopped` after it.

    SIGINT and SIGTERM are reasons where handlers can be set (a main thread); elsewhere, as in a Dask
    worker, there are only periodic checkpoints.
    """
    caught = []
    names = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {name: signal.signal(name, lambda number, _: caught.append(number)) for name in names}

    def reason():
        if caught:
            return f"stopped by {signal.Signals(caught[0]).name}"
        return "the time budget is used up" if time.monotonic() > deadline else None

    try:
        yield reason
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    if caught:  # after the final step, when nobody asked any more
        raise Stopped(f"{reason()}, after the record was written")

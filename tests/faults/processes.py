"""Processes that are killed, stopped or asked to stop at a random moment of a sweep."""

import signal
import time

STOPPED = 3  # the exit status of a sweep that can be resumed


def _tries(world, tries, chance, fault):
    """Disturbs sweeps of one folder after the other until their runs are complete, and compares the records.

    `fault(sweep)` disturbs a sweep at a random moment; it gives the exit statuses that are right then.
    """
    results = world.folder()
    for left in reversed(range(tries)):
        sweep = world.sweep(results)
        sweep.wait(chance.uniform(0.5, 8 + world.seconds / 2))
        problem = sweep.problem({0, *fault(sweep)})
        complete = sweep.process.returncode == 0
        if problem is None and not (complete or left):
            problem = world.sweep(results).problem({0})
        if complete or not left:
            problem = problem or world.difference(results)
            results = world.folder()
        yield problem


def killed_worker(world, tries, chance):
    """SIGKILL of a worker, also while it starts"""

    def fault(sweep):
        if workers := sweep.workers():
            chance.choice(workers).kill()
        return {0}

    yield from _tries(world, tries, chance, fault)


def killed_sweep(world, tries, chance):
    """SIGKILL of the sweep"""

    def fault(sweep):
        sweep.signal(signal.SIGKILL)
        return {-signal.SIGKILL}

    yield from _tries(world, tries, chance, fault)


def asked_to_stop(world, tries, chance):
    """SIGTERM, SIGHUP, one Ctrl-C or two"""

    def fault(sweep):
        kind = chance.choice(["SIGTERM", "SIGHUP", "SIGINT", "SIGINT SIGINT"])
        for number, name in enumerate(kind.split()):
            time.sleep(number * chance.uniform(0.05, 1))
            sweep.signal(signal.Signals[name], group=name == "SIGINT")
        return {STOPPED, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT}  # by the signal itself while Python starts

    yield from _tries(world, tries, chance, fault)


def frozen(world, tries, chance, seconds=30):
    """SIGSTOP of a worker or of all processes for 30 seconds"""

    def fault(sweep):
        chosen = sweep.workers()[:1] if chance.random() < 0.5 else [sweep.tree, *sweep.children()]
        for process in chosen:
            process.suspend()
        time.sleep(seconds)
        for process in chosen:
            process.resume()
        return {0}

    yield from _tries(world, tries, chance, fault)

"""Sweeps beside each other, and on a scheduler and workers that were started by hand."""

import re
import shutil
import signal
import time

from world import start


class Cluster:
    """A Dask scheduler on loopback, and workers of one thread, each a process."""

    def __init__(self, folder):
        self.log = open(folder / "scheduler.log", "w+")  # noqa: SIM115  it lives as long as the cluster
        how = "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"
        self.processes = [start("-m", "distributed.cli.dask_scheduler", *how, stdout=self.log, stderr=self.log)]
        end = time.monotonic() + 60
        while not (found := re.search(r"tcp://127\.0\.0\.1:\d+", (folder / "scheduler.log").read_text())):
            assert time.monotonic() < end, "the scheduler does not start"
            time.sleep(0.1)
        self.address = found[0]

    def worker(self):
        how = self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"
        self.processes.append(start("-m", "distributed.cli.dask_worker", *how, stdout=self.log, stderr=self.log))
        return self.processes[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.log.close()


def late_worker(world, tries, chance):
    """A worker that joins late, and one that leaves"""
    for _ in range(tries):
        results = world.folder()
        with Cluster(results.with_suffix("")) as cluster:
            first = cluster.worker()
            sweep = world.sweep(results, "--scheduler", cluster.address)
            sweep.wait(chance.uniform(5, 12))
            cluster.worker()
            sweep.wait(chance.uniform(4, 10))
            first.kill()
            yield sweep.problem({0}) or world.difference(results)


def killed_scheduler(world, tries, chance):
    """SIGKILL of the scheduler of a cluster"""
    for _ in range(tries):
        results = world.folder()
        with Cluster(results) as cluster:
            for _ in range(2):
                cluster.worker()
            sweep = world.sweep(results, "--scheduler", cluster.address)
            sweep.wait(chance.uniform(4, 12))
            cluster.processes[0].kill()
            problem = sweep.problem({0, 1, 2, 3})
        yield problem or world.sweep(results).problem({0}) or world.difference(results)


def two_sweeps(world, tries, chance):
    """Two sweeps of the same runs at once"""
    for _ in range(tries):
        results = world.folder()
        first = world.sweep(results, workers=2)
        first.wait(chance.uniform(0, 6))
        second = world.sweep(results, workers=2)
        yield first.problem({0}) or second.problem({0}) or world.difference(results)


def removed(world, tries, chance):
    """The results folder is removed in the middle"""
    for _ in range(tries):
        results = world.folder()
        sweep = world.sweep(results)
        sweep.wait(chance.uniform(5, 9))
        shutil.rmtree(results, ignore_errors=True)
        problem = sweep.problem({0, 1, 2})
        yield problem or world.sweep(results).problem({0}) or world.difference(results)

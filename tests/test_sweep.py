"""Many runs on Dask: the same records as one after the other; a worker that dies; budgets and failures."""

import multiprocessing
import os
import re
import signal
import threading
import time
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from conftest import files, timeless

from skdcore import records
from skdcore import sweep as module
from skdcore.errors import Broken, Stopped
from skdcore.stop import interrupts
from skdcore.sweep import sweep
from skdcore.train import Run, train

pytest.importorskip("distributed")


@pytest.fixture
def runs(folder):
    """Two methods and two seeds on the image folder, which other processes can read too."""

    def runs(epochs):
        where = f"folder:{folder}", "resnet10_w16"
        return [Run(*where, method, seed, epochs) for seed in (0, 1) for method in ("vanilla", "drg+dsr")]

    return runs


def test_a_sweep_on_two_workers_gives_the_records_of_one_run_after_the_other(runs, tmp_path, capfd):
    asked = runs(2)
    before = train(asked[0], "cpu", results=tmp_path / "dask", progress=False)  # one is there already
    ended = sweep([*asked, asked[0]], results=tmp_path / "dask", device="cpu", workers=2)
    alone = [train(run, "cpu", results=tmp_path / "alone", progress=False) for run in asked]
    assert [timeless(record) for record in ended] == [timeless(record) for record in alone]
    assert ended[0] == before and files(tmp_path / "dask") == files(tmp_path / "alone")
    assert all(record["provenance"]["threads"] == 1 for record in ended)
    assert "3 of 3 runs ended, 0 running" in capfd.readouterr().err
    assert not multiprocessing.active_children(), "no worker outlives its sweep"


def test_a_cell_whose_worker_is_killed_is_ended_by_another(runs, tmp_path):
    """Its worker dies while it trains; on a cluster given by address."""
    from distributed import Client, LocalCluster

    asked = [runs(40)[0], runs(40)[1]]
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=None) as cluster,
        Client(cluster) as client,
    ):
        workers = client.run(os.getpid)
        victims = []

        def kill():
            while not victims:
                time.sleep(0.05)
                if list(tmp_path.rglob("*.lock")):
                    busy = [worker for worker, keys in client.processing().items() if keys]
                    victims.append(workers[busy[0]])
                    os.kill(victims[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        ended = sweep(asked, results=tmp_path, device="cpu", scheduler=cluster.scheduler_address)
        killer.join()
        assert victims and victims[0] not in client.run(os.getpid).values()
    assert [record["state"] for record in ended] == ["finished", "finished"]
    assert [records.find(tmp_path, record["run"]) for record in ended] == ended


# What follows needs no cluster: asked run in this process, in order.


class Future:
    def __init__(self, function, run, options):
        self.key, self.status = str(run), "finished"
        try:
            with patch.object(HERE, "get_current_task", lambda: self.key):
                value = function(run, **options)
            self.result = lambda: value
        except Exception as error:
            self.status, caught = "error", error
            self.exception = lambda: caught

    def cancelled(self):
        return False


class Here:
    """As much of Dask's client as a sweep uses."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, function, runs, pure, **options):
        return [Future(function, run, options) for run in runs]

    def subscribe_topic(self, topic, handler):
        pass


HERE = SimpleNamespace(
    name="here",
    address="tcp://here",
    state=SimpleNamespace(nthreads=1),
    log_event=lambda *_: None,
    get_current_task=lambda: None,
)


@pytest.fixture
def here(monkeypatch):
    slots = []
    monkeypatch.setattr(module, "_client", lambda scheduler, workers: slots.append(workers) or Here())
    monkeypatch.setattr("distributed.as_completed", lambda futures: futures)
    monkeypatch.setattr("distributed.get_worker", lambda: HERE)
    return slots


def test_a_failed_cell_is_a_record_and_does_not_keep_the_others_from_being_trained(tiny, here, tmp_path):
    runs = [Run(tiny, "resnet10_w16", name) for name in ("dsr(beta=1e38)", "vanilla")]
    assert [r["state"] for r in sweep(runs, results=tmp_path)] == ["failed", "finished"]


def test_a_run_that_breaks_is_named_and_does_not_keep_the_others_from_being_trained(tiny, here, tmp_path, capsys):
    runs = [Run(tiny, "resnet10_w16", "vanilla", seed) for seed in range(3)]
    records.path(tmp_path, runs[1].settings()).with_suffix(".weights.pt").mkdir(parents=True)
    with pytest.raises(
        Broken, match=r"1 of 3 runs broke, the others went on: tiny .* seed 1: IsADirectoryError: .*0?1"
    ):
        sweep(runs, results=tmp_path, device="cpu")
    assert "2 of 3 runs ended" in capsys.readouterr().err
    assert [record["run"]["seed"] for record in records.under(tmp_path)] == [0, 2]


def test_a_run_that_kills_its_workers_is_named_in_plain_words():
    from distributed import KilledWorker

    assert module._reason(KilledWorker("task", "worker", 3)) == "its worker died, three times and more"
    assert module._reason(ValueError("a\nb")) == "ValueError: a b"


def test_a_worker_that_dies_while_it_starts_is_started_again():
    tries = []

    def make(**_):
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("Nanny failed to start.")
        return "a client"

    assert module._started(make, 2) == "a client" and len(tries) == 3
    tries.clear()
    with pytest.raises(RuntimeError, match="Nanny"):
        module._started(make, 2, tries=2)


SWEEP = """
import sys
from skdcore.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def sweeping(folder, python, tmp_path):
    """Starts a sweep of two long runs in a session of its own; gives the process and all that it started."""
    import psutil

    def sweeping(when):
        given = ["--dataset", f"folder:{folder}", "--model", "resnet10_w16", "--method", "vanilla", "--seed", 0, 1]
        given += ["--epochs", 4000, "--device", "cpu", "--results", tmp_path, "--workers", 2]
        process = python("-c", SWEEP, "sweep", *given, start_new_session=True)
        end = time.monotonic() + 120
        while not when(process):
            assert time.monotonic() < end and process.poll() is None, process.communicate()
            time.sleep(0.05)
        return process, psutil.Process(process.pid).children(recursive=True)

    return sweeping


def survivors(processes, seconds=10):
    """Those that still run after some seconds; a zombie does not."""
    import psutil

    _, left = psutil.wait_procs(processes, seconds)
    return [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_are_a_ctrl_c_to_a_sweep(number):
    with pytest.raises(KeyboardInterrupt), interrupts():
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_signal_stops_a_sweep_at_checkpoints_and_nothing_outlives_it(sweeping, tmp_path, name):
    process, children = sweeping(lambda _: len(list(tmp_path.rglob("*.lock"))) == 2)
    time.sleep(1)
    if name == "SIGINT":  # which a terminal sends to all processes
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "2 of 2 runs are not finished" in err
    assert len(list(tmp_path.rglob("*.checkpoint.pt"))) == 2
    assert survivors(children) == []


def test_a_second_ctrl_c_ends_at_once(sweeping, tmp_path):
    process, children = sweeping(lambda _: len(list(tmp_path.rglob("*.lock"))) == 2)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err  # what Dask logs of killed workers is its own
    assert time.monotonic() - began < 20
    assert survivors(children) == []


def test_ctrl_c_while_workers_start_stops_too(sweeping, tmp_path):
    import psutil

    def a_worker_starts(process):
        try:
            children = psutil.Process(process.pid).children(recursive=True)
            return any(re.search("spawn_main|forkserver", " ".join(child.cmdline())) for child in children)
        except psutil.NoSuchProcess:  # git, which tells the commit, comes and goes
            return False

    process, _ = sweeping(a_worker_starts)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err


def test_a_budget_stops_the_cells_and_says_how_many_are_open(tiny, here, tmp_path):
    runs = [Run(tiny, "resnet10_w16", "vanilla", seed) for seed in range(3)]
    train(runs[1], "cpu", results=tmp_path, progress=False)
    with pytest.raises(Stopped, match="2 of 2 runs are not finished; the first: tiny .* seed 0: .*time budget"):
        sweep(runs, results=tmp_path, device="cpu", budget=1e-3)
    assert [record["state"] for record in sweep(runs, results=tmp_path, device="cpu")] == 3 * ["finished"]


@pytest.mark.parametrize("workers, asked, slots", [(None, 9, 4), (None, 3, 3), (2, 9, 2)])
def test_there_are_no_more_workers_than_cores_cells_or_what_is_asked_for(
    tiny, here, tmp_path, monkeypatch, workers, asked, slots
):
    monkeypatch.setattr("dask.system.CPU_COUNT", 4)
    monkeypatch.setattr(
        module, "train", lambda run, *_, **__: {"state": "failed", "run": {"method": "", "seed": 0}, "reason": ""}
    )
    sweep(
        [Run(tiny, "resnet10_w16", "vanilla", seed) for seed in range(asked)],
        results=tmp_path,
        device="cpu",
        workers=workers,
    )
    assert here == [slots]


@pytest.mark.parametrize("device, slots", [(None, 3), ("cuda", 3), ("cuda:1", 1), ("cpu", 4)])
def test_a_slot_is_a_gpu_where_there_are_some_else_a_core(monkeypatch, device, slots):
    monkeypatch.setattr("dask.system.CPU_COUNT", 4)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert module.slots(device) == slots


@pytest.mark.parametrize("device, used", [(None, "cuda:2"), ("cuda", "cuda:2"), ("cuda:1", "cuda:1"), ("cpu", "cpu")])
def test_the_workers_of_this_machine_share_out_its_gpus(monkeypatch, device, used):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(**vars(HERE) | {"name": 5}))
    monkeypatch.setattr(module, "train", lambda run, device, **_: device)
    assert module._train(None, float("inf"), device, "a sweep") == used


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_at_all_is_an_error_and_not_a_wait_for_ever(tiny, here, tmp_path, workers):
    with pytest.raises(ValueError, match=f"workers={workers}: at least 1"):
        sweep([Run(tiny, "resnet10_w16", "vanilla")], results=tmp_path, device="cpu", workers=workers)


def test_a_single_cell_is_trained_in_this_process(tiny, here, tmp_path):
    (record,) = sweep(2 * [Run(tiny, "resnet10_w16", "vanilla")], results=tmp_path, device="cpu")
    assert record["state"] == "finished" and here == []

"""The command that trains the queue of study.yml within a budget, and resumes."""

import pytest
from conftest import files

import skdcore.study.experiments
from skdcore.__main__ import main
from skdcore.study.experiments import queue
from skdcore.train import Run


@pytest.fixture
def command(tiny, tmp_path, monkeypatch, capsys):
    """Runs `queue` on its first cells, with a small network in place of ResNet18; gives (status, lines of stdout)."""

    def small(dataset, epochs, precision):
        return [Run(dataset, "resnet10_w16", cell.method, cell.seed, epochs) for cell in queue()[:3]]

    def command(*arguments):
        monkeypatch.setattr(skdcore.study.experiments, "queue", small)
        given = ["--dataset", tiny, "--epochs", "1", "--device", "cpu", "--results", str(tmp_path)]
        return main(["queue", *given, *arguments]), capsys.readouterr().out.splitlines()

    return command


def test_the_queue_stops_at_its_budget_and_resumes(command, tmp_path, stop_after):
    status, out = command()
    assert status == 0 and [line.split()[0] for line in out] == ["vanilla", "drg+dsr", "drg"]
    stop_after(0)
    assert command() == (0, out), "all have their records"
    (next(tmp_path.rglob("drg/*/0.json"))).unlink()
    assert command()[0] == 3
    stop_after(None)
    assert command() == (0, out)
    assert sum(file.endswith(".json") for file in files(tmp_path)) == 3

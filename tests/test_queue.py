"""The queue of the paper's scale: its order, and one command that trains it within a budget and goes on."""

import pytest
from conftest import files

import skdcore.study
from skdcore.__main__ import main
from skdcore.study import experiment, queue
from skdcore.train import Run


def test_the_most_valuable_cells_come_first_and_none_twice():
    cells = queue()
    first = ["vanilla", "drg+dsr", "drg", "dsr", "ls", "dlb", "ps_kd", "byot", "cs_kd", "tf_kd", "zf_ls"]
    assert cells[:11] == [Run("cifar100", "resnet18", method) for method in first]
    assert len(set(cells)) == len(cells)


def test_the_column_of_resnet18_and_the_ablations_are_complete():
    cells = set(queue())
    column = experiment("table_1").cells("cifar100", ["resnet18"], [0, 1, 2])
    ablations = [experiment(name).cells("cifar100", ["resnet18"], [0]) for name in ("table_3", "table_4", "fig_6")]
    assert cells.issuperset(column) and all(cells.issuperset(some) for some in ablations)


@pytest.fixture
def command(tiny, tmp_path, monkeypatch, capsys):
    """Runs `queue` on its first cells, with a small network in place of ResNet18; gives (status, lines of stdout)."""

    def small(dataset, epochs, precision):
        return [Run(dataset, "resnet10_w16", cell.method, cell.seed, epochs) for cell in queue()[:3]]

    def command(*arguments):
        monkeypatch.setattr(skdcore.study, "queue", small)
        given = ["--dataset", tiny, "--epochs", "1", "--device", "cpu", "--results", str(tmp_path)]
        return main(["queue", *given, *arguments]), capsys.readouterr().out.splitlines()

    return command


def test_the_queue_stops_at_its_budget_and_goes_on(command, tmp_path, stop_after):

    status, out = command()
    assert status == 0 and [line.split()[0] for line in out] == ["vanilla", "drg+dsr", "drg"]
    stop_after(0)
    assert command() == (0, out), "all have their records"
    (next(tmp_path.rglob("drg/*/0.json"))).unlink()
    assert command()[0] == 3
    stop_after(None)
    assert command() == (0, out)
    assert sum(file.endswith(".json") for file in files(tmp_path)) == 3

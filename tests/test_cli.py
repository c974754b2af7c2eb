"""The command line: what it prints, its exit status, and that bad input is one line on stderr and writes nothing."""

import re

import pytest
from conftest import files

from skdcore import records
from skdcore.__main__ import duration, main
from skdcore.errors import Stopped
from skdcore.methods import METHODS
from skdcore.train import Run, train


@pytest.fixture
def run(tiny, tmp_path, capsys):
    """Runs `train` on the tiny data set; gives (exit status, lines of stdout, lines of stderr)."""

    def run(*arguments, command="train", **changed):
        values = {"dataset": tiny, "model": "resnet10_w16", "method": "vanilla", "device": "cpu"}
        cell = [word for key, value in (values | changed).items() for word in (f"--{key}", value)]
        status = main([command, *cell, "--results", str(tmp_path / "results"), *arguments])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return run


def test_train_prints_the_final_accuracy_last_and_exits_0(run, tiny, tmp_path):
    status, out, _ = run(method="drg(k=2)+dsr")
    record = records.find(tmp_path / "results", Run(tiny, "resnet10_w16", "drg+dsr").settings() | {"batch": 20})
    assert status == 0
    assert out == [f"drg+dsr seed 0: test accuracy {record['final']['accuracy']:.2f} %"]


def test_train_trains_all_methods_of_a_seed_and_then_the_next_seed(run, tmp_path):
    status, out, _ = run("--method", "vanilla", "dsr", "--seed", "1", "0", "--epochs", "1")
    assert status == 0
    assert [line.split(":")[0] for line in out] == ["vanilla seed 1", "dsr seed 1", "vanilla seed 0", "dsr seed 0"]
    assert sum(file.endswith("e1-fp32/0.json") for file in files(tmp_path / "results")) == 2


def test_train_again_prints_the_same_and_trains_nothing(run, monkeypatch):
    first = run()
    monkeypatch.setattr("skdcore.train.Training", None)
    again = run()
    assert first[:2] == again[:2] and again[2] == [f"{first[1][0]} (recorded before, so not trained again)"]


def test_a_failed_run_exits_1_and_says_why_on_stderr(run):
    status, out, err = run("--method", "dsr(beta=1e38)", "vanilla")
    assert status == 1 and [line.split(":")[0] for line in out] == ["vanilla seed 0"], "the next cell is trained"
    assert any(re.search(r"failed: the loss is not finite at epoch 1, step \d", line) for line in err)
    assert run("--method", "dsr(beta=1e38)")[0] == 1, "also when the record is there already"


def test_a_budget_exits_3_and_the_same_command_ends_the_run(run, monkeypatch, tiny, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr("skdcore.__main__.duration", lambda text: 1e-6)
        status, out, err = run("--budget", "1s")
    assert status == 3 and out == [] and "not begun, the time budget is used up" in err[-1]
    assert run("--budget", "10m")[:2] == run()[:2] and run()[0] == 0


BAD = {
    "data set": ({"dataset": "glyfs"}, "unknown data set 'glyfs'; did you mean glyphs"),
    "folder": ({"dataset": "folder:nowhere"}, "nowhere"),
    "model": ({"model": "resnet81"}, "unknown model 'resnet81'; did you mean resnet18"),
    "method": ({"method": "dgr"}, "unknown method 'dgr'; did you mean"),
    "keyword": ({"method": "drg(alhpa=1)"}, "unknown keyword of drg 'alhpa'; did you mean alpha"),
    "code": ({"method": "drg(k=__import__('os').getpid())"}, "plain value"),
    "twice": ({"method": "drg+drg"}, "twice"),
    "labels": ({"method": "vanilla+ls"}, "label loss"),
    "k": ({"method": "drg(k=4)"}, "k=4"),
    "teacher": ({"method": "kd(teacher='vanila')"}, "unknown method 'vanila'; did you mean vanilla"),
    "own teacher": ({"method": "kd(teacher='kd')"}, "takes no teacher itself"),
    "tau": ({"method": "dsr(tau=0)"}, "tau=0"),
    "huge tau": ({"method": "drg(tau=1e300)"}, r"tau=1e\+300"),
    "epochs": ({"epochs": "0"}, "epochs=0"),
    "seed": ({"seed": "-1"}, "seed=-1"),
    "huge seed": ({"seed": "99999999999999999999999"}, "seed|verflow"),
    "device": ({"device": "cuda:77"}, "cuda:77"),
    "device name": ({"device": "gpu"}, "gpu"),
    "root": ({"dataset": "cifar100", "root": "/nowhere"}, "/nowhere"),
    "root of jpegs": ({"dataset": "tinyimagenet", "root": "/nowhere"}, "/nowhere"),
}


@pytest.mark.parametrize("changed, words", BAD.values(), ids=BAD)
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_bad_input_is_one_line_on_stderr_exits_2_and_writes_nothing(run, tmp_path, command, changed, words):
    status, out, err = run(command=command, **changed)
    assert (status, out, len(err)) == (2, [], 1) and err[0].startswith("skdcore: ") and re.search(words, err[0])
    assert not (tmp_path / "results").exists()


def test_a_machine_without_a_gpu_plans_for_a_cluster_that_has_them(run, tmp_path):
    given = {"command": "sweep", "device": "cuda", "scheduler": "tcp://127.0.0.1:9"}
    status, out, _ = run("--dry-run", **given)
    assert status == 0 and out[-1].startswith("0 of 1 runs are complete")
    status, _, err = run("--dry-run", **given | {"device": "gpu"})
    assert status == 2 and "unknown device 'gpu'" in err[0]


def test_bad_input_in_the_last_of_many_cells_is_found_before_the_first_is_trained(run, tmp_path):
    status, _, err = run("--method", "vanilla", "drg(k=9)")
    assert status == 2 and "k=9" in err[-1]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--precision", "fp16"],
        ["--epochs", "1.5"],
        ["--budget", "soon"],
        ["--budget", "0m"],
        ["--seed", "x"],
        ["--results", ""],
    ],
)
def test_words_that_are_no_values_are_refused_with_the_usage(run, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == 2 and arguments[1] in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["queue", "tenth", "--workers", "0"],
        ["queue", "tenth", "--workers", "-1"],
        ["bench", "--minutes", "nan"],
        ["bench", "--minutes", "0"],
        ["bench", "--minutes", "1e308"],
        ["show", ""],
    ],
)
def test_a_number_or_a_path_of_other_commands_is_refused_with_the_usage(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and repr(arguments[-1]) in capsys.readouterr().err.replace("an empty path", "''")


def test_a_results_folder_that_cannot_be_made_is_one_line_on_stderr(run, tmp_path):
    (tmp_path / "results").write_text("in the way")
    status, out, err = run()
    assert (status, out) == (2, []) and err[-1].startswith("skdcore: ") and str(tmp_path / "results") in err[-1]


@pytest.mark.parametrize(
    "text, seconds", [("90s", 90), ("9m", 540), ("2h", 7200), ("1h30m", 5400), ("1h1m1s", 3661), ("100m", 6000)]
)
def test_a_duration_is_hours_minutes_and_seconds(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "9", "m", "9x", "-9m", "1.5h", "30m1h", "0s", "9" * 400 + "h"])
def test_a_text_that_is_no_duration_is_refused(text):
    with pytest.raises(Exception, match="a time such as"):
        duration(text)


def test_methods_lists_every_method_with_its_keywords_defaults_and_words(capsys):
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    assert "drg(k=2, alpha=0.2, tau=1.0, detach=True)\n    Equation (10) without L_CE(p, y): L_CE(q, y)" in out
    assert (
        "dsr(beta=1.0, tau=4.0, reset=False, target='last')\n" in out
        and "ls(eps=0.1)\n" in out
        and "vanilla()\n" in out
    )
    assert all(re.search(rf"^{name}\(", out, re.M) for name in METHODS)


def test_show_prints_a_row_for_each_record(tiny, tmp_path, capsys):
    ended = [
        train(Run(tiny, "resnet10_w16", name), "cpu", results=tmp_path, progress=False)
        for name in ("drg+dsr", "dsr(beta=1e38)")
    ]
    assert main(["show", str(tmp_path)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert {"dataset", "model", "method", "seed", "state", "accuracy", "nll", "ece"} <= set(head.split())
    assert len(rows) == 2
    good, bad = sorted(rows, key=lambda row: "failed" in row)
    assert "drg+dsr" in good and "finished" in good and f"{ended[0]['final']['accuracy']:.1f}" in good
    assert "dsr(beta=" in bad and "failed" in bad


def test_show_of_an_empty_folder_and_of_none_are_no_crash(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no records under {tmp_path}\n"
    assert main(["show", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder of records" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_show_names_a_broken_record_and_prints_the_others(tiny, tmp_path, capsys):
    train(Run(tiny, "resnet10_w16", "vanilla"), "cpu", results=tmp_path, progress=False)
    (tmp_path / "0.json").write_text("{}")
    assert main(["show", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"skdcore: not counted: {tmp_path}/0.json: not a record: data must contain")
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize("command", ["train", "sweep", "show", "methods"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0 and len(capsys.readouterr().out.splitlines()) > 4


@pytest.mark.parametrize("command, words", [("methods", "drg(k=2"), ("show", "accuracy")])
def test_python_m_skdcore_in_a_process_of_its_own(python, tiny, tmp_path, command, words):
    train(Run(tiny, "resnet10_w16", "vanilla"), "cpu", results=tmp_path, progress=False)
    process = python("-m", "skdcore", command, *([tmp_path] if command == "show" else []))
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0 and words in out and err == ""


def test_sweep_reports_like_train(run, monkeypatch, tmp_path):
    """One cell is trained in this process, without Dask."""
    status, out, _ = run(command="sweep", epochs="1")
    assert status == 0 and re.fullmatch(r"vanilla seed 0: test accuracy \d+\.\d\d %", out[-1])
    assert out == run(command="train", epochs="1")[1]
    monkeypatch.setattr("skdcore.__main__.sweep", lambda *_, **__: (_ for _ in ()).throw(Stopped("2 of 3 cells")))
    assert run(command="sweep")[0] == 3


def test_outside_a_checkout_the_queue_says_that_it_needs_one_and_bench_times_every_method(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("skdcore.study.definition.FILE", tmp_path / "study.yml")
    assert main(["queue", "tenth"]) == 2
    assert "study.yml is missing: the study's experiments need a checkout" in capsys.readouterr().err
    asked = []
    monkeypatch.setattr("skdcore.bench.bench", lambda model, methods, *_: asked.extend(methods) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["bench"])
    assert asked == list(METHODS)

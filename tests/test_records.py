"""Records: their form, their path, finding the one of a run."""

import copy
import errno
import json
import re

import pytest
import torch
from conftest import files

from skdcore import records
from skdcore.train import Run, learning_rate


@pytest.fixture
def record():
    """A record of a run of two epochs."""
    settings = Run("glyphs", "resnet10_w16", "drg+dsr", epochs=2).settings()
    final = {"accuracy": 60.5, "nll": 1.5, "ece": 0.1, "entropy": 1.2, "p_true": 0.5}
    curve = {name: [1.0, 2.0] for name in ("train", "var_logits", "var_probs")}
    curve |= {
        "test": [40.0, 60.5],
        "scored": [1, 2],
        "lr": [learning_rate(settings, e) for e in (0, 1)],
        "loss": {"vanilla": [4.0, 3.0], "drg": [4.5, 3.5], "dsr": [0.1, 0.2]},
    }
    cost = dict.fromkeys("seconds_per_step seconds params_trained params_deployed peak_memory".split(), 60)
    made = dict.fromkeys("torch device code data_sha256 started ended".split(), "x") | {"threads": 1}
    return {
        "run": settings, "state": "finished", "final": final, "best": {"accuracy": 60.5, "epoch": 2},
        "curve": curve, "cost": cost, "provenance": made,
    }  # fmt: skip


@pytest.fixture
def failed(record):
    failed = {key: record[key] for key in ("run", "cost", "provenance")}
    return copy.deepcopy(failed) | {"state": "failed", "reason": "the loss is not finite at epoch 1, step 2"}


def test_a_record_is_written_and_read_back_as_it_was(record, failed, tmp_path):
    for name, written in (("one", record), ("two", failed)):
        records.write(tmp_path / "deep" / f"{name}.json", written)
        assert records.read(tmp_path / "deep" / f"{name}.json") == written
    assert files(tmp_path) == ["deep/one.json", "deep/two.json"]


def without(*keys):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        del record[keys[-1]]

    return change


def with_(value, *keys):
    def change(record):
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


BROKEN = {
    "run": without("run"),
    "state": with_("done", "state"),
    "final": without("final"),
    "best": without("best"),
    "curve": without("curve"),
    "cost": without("cost"),
    "provenance": without("provenance"),
    "run.lr": without("run", "lr"),
    "run.seed": with_(-1, "run", "seed"),
    "run must not contain .*warm_up": with_(5, "run", "warm_up"),
    "final.ece": with_(1.5, "final", "ece"),
    "final.nll must be": with_(-0.1, "final", "nll"),
    "cost.seconds ": with_(-1, "cost", "seconds"),
    "run.epochs": with_("2", "run", "epochs"),
    "run.precision": with_("fp16", "run", "precision"),
    "final.accuracy": with_(160, "final", "accuracy"),
    "final.nll": with_("low", "final", "nll"),
    "curve.loss": with_({"vanilla": ["a"]}, "curve", "loss"),
    "curve.lr": with_(3, "curve", "lr"),
    "a curve does not have one point for each of 2 epochs": with_([1.0], "curve", "train"),
    "one point for each epoch that was scored": with_([1.0], "curve", "var_probs"),
    "the final epoch was not scored": with_([1, 3], "curve", "scored"),
    "final accuracy 60 where the curve ends at 60": with_(60, "final", "accuracy"),
    "best .* is not the maximum of the curve": with_({"accuracy": 60.5, "epoch": 1}, "best"),
    "provenance.data_sha256": None,
}
BROKEN["provenance.data_sha256"] = without("provenance", "data_sha256")


@pytest.mark.parametrize("words, change", BROKEN.items(), ids=BROKEN)
def test_a_broken_record_is_neither_written_nor_read_and_the_place_is_named(record, tmp_path, words, change):
    change(record)
    file = tmp_path / "0.json"
    pattern = "0.json: not a record: .*" + re.sub(r"^\w+\.", "", words)
    with pytest.raises(ValueError, match=pattern):
        records.write(file, record)
    assert files(tmp_path) == []
    file.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=pattern):
        records.read(file)


def test_a_failed_record_must_say_why(failed):
    del failed["reason"]
    with pytest.raises(ValueError, match="here: not a record: .*reason"):
        records.check(failed, "here")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"run": {}}', b"\xff\xfe"], ids=str)
def test_a_file_that_is_no_record_is_named(tmp_path, text):
    (tmp_path / "7.json").write_bytes(text)
    with pytest.raises(ValueError, match="7.json: not a record"):
        records.read(tmp_path / "7.json")
    with pytest.warns(UserWarning, match="not counted: .*7.json: not a record"):
        assert records.under(tmp_path) == []


def test_a_record_with_a_key_twice_is_not_one(record, tmp_path):
    text = json.dumps(record).replace('"state": "finished"', '"state": "finished", "state": "finished"')
    (tmp_path / "0.json").write_text(text)
    with pytest.raises(ValueError, match="0.json: not a record: the key 'state' is there twice"):
        records.read(tmp_path / "0.json")


def test_a_record_at_the_path_of_another_run_is_named_and_left_out(record, tmp_path):
    file = records.path(tmp_path, record["run"])
    records.write(file, record)
    records.write(file.with_name("7.json"), record)
    with pytest.warns(UserWarning, match="not counted: .*7.json: the record of another run, .*/0.json"):
        assert records.under(tmp_path) == [record]


@pytest.mark.parametrize("target", ["nowhere.json", "0.json"], ids=["broken", "a loop"])
def test_a_link_that_leads_nowhere_is_named(record, tmp_path, target):
    file = records.path(tmp_path, record["run"])
    file.parent.mkdir(parents=True)
    file.symlink_to(file.with_name(target))
    with pytest.raises(ValueError, match="0.json: a link that leads nowhere"):
        records.find(tmp_path, record["run"])
    with pytest.warns(UserWarning, match="not counted: .*0.json"):
        assert records.under(tmp_path) == []


def settings(dataset="glyphs", method="drg+dsr", **others):
    return Run(dataset, "resnet10_w16", method, **others).settings()


@pytest.mark.parametrize(
    "run, file",
    [
        (settings(), "glyphs/resnet10_w16/drg+dsr/e4-fp32/0.json"),
        (settings(seed=12, epochs=200, precision="bf16"), "glyphs/resnet10_w16/drg+dsr/e200-bf16/12.json"),
        (settings(method="drg(alpha=0.1, k=1)"), "glyphs/resnet10_w16/drg(k=1,alpha=0.1)/e4-fp32/0.json"),
        (
            settings() | {"method": 'kd(teacher="a/b c")'},
            "glyphs/resnet10_w16/kd(teacher=%22a%2Fb%20c%22)/e4-fp32/0.json",
        ),
    ],
)
def test_a_run_has_a_path_that_every_file_system_takes(run, file, tmp_path):
    assert records.path(tmp_path, run).relative_to(tmp_path).as_posix() == file


def test_a_part_too_long_for_a_file_system_ends_in_a_hash_of_the_whole(record, tmp_path):
    methods = ["+".join(f"drg(tau={1 + one / 1000:.3f},alpha=0.{last})" for one in range(20)) for last in "123456789"]
    paths = {records.path(tmp_path, settings(method=method)) for method in methods}
    assert len(paths) == len(methods) and {len(path.parts[-3]) for path in paths} == {200}
    record["run"]["method"] = Run("glyphs", "resnet18", methods[0]).method
    file = records.path(tmp_path, record["run"])
    records.write(file, record)
    assert records.under(tmp_path) == [record]


def test_a_folder_is_known_by_its_name_wherever_it_lies(tmp_path):
    paths = [records.path("", settings(f"folder:{tmp_path}/{where}/my pets")).parts[0] for where in ("a", "b")]
    assert paths == ["folder-my%20pets"] * 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_record_with_a_value_that_is_not_a_number_is_neither_written_nor_read(record, tmp_path, value):
    record["final"]["nll"] = value
    with pytest.raises(ValueError, match="not JSON compliant|bigger than or equal to 0"):
        records.write(tmp_path / "0.json", record)
    assert files(tmp_path) == []
    (tmp_path / "0.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"0.json: not a record: -?(NaN|Infinity) is not a number"):
        records.read(tmp_path / "0.json")


@pytest.mark.parametrize("other", ["{}/", "{}/.", "{}/../pets"])
def test_a_folder_is_one_data_set_however_its_path_is_written(tmp_path, other):
    pets = tmp_path / "pets"
    assert Run(f"folder:{other.format(pets)}", "resnet18", "vanilla") == Run(f"folder:{pets}", "resnet18", "vanilla")


def test_runs_that_differ_have_paths_that_differ():
    runs = [
        settings(), settings(method="dsr+drg"), settings(seed=1), settings(epochs=8), settings(precision="bf16"),
        settings(method="drg"), settings("cifar100"), Run("glyphs", "resnet18", "drg+dsr").settings(),
    ]  # fmt: skip
    assert len({records.path("", run) for run in runs}) == len(runs)


def test_no_record_is_found_where_there_is_none(tmp_path):
    assert records.find(tmp_path, settings()) is None and records.find(tmp_path / "nowhere", settings()) is None


def test_the_record_of_a_run_is_found_by_its_parameters_and_data_and_not_by_its_code(record, tmp_path):
    records.write(records.path(tmp_path, record["run"]), record)
    assert records.find(tmp_path, record["run"], "x") == records.find(tmp_path, record["run"]) == record
    with pytest.raises(ValueError, match=r"0.json belongs to another run \(data_sha256 x instead of y\)"):
        records.find(tmp_path, record["run"], "y")
    with pytest.raises(ValueError, match="lr 0.05 instead of 0.1"):
        records.find(tmp_path, record["run"] | {"lr": 0.1})
    with pytest.raises(ValueError, match="batch 32 instead of 16"):
        records.find(tmp_path, record["run"] | {"batch": 16}, "x")
    assert records.find(tmp_path, record["run"] | {"batch": 16}), "the batch follows the data, which are not at hand"
    with pytest.raises(ValueError, match="warm_up None instead of 5"):
        records.find(tmp_path, record["run"] | {"warm_up": 5})


def test_records_are_read_in_the_order_of_their_paths_and_other_files_are_passed_over(record, tmp_path):
    for seed in (2, 0, 1):
        one = copy.deepcopy(record)
        one["run"]["seed"] = seed
        file = records.path(tmp_path, one["run"])
        records.write(file, one)
        file.with_suffix(".lock").touch()
        torch.save({}, file.with_suffix(".checkpoint.pt"))
    records.write(records.path(tmp_path / "teachers", record["run"]), record)  # made again for its weights
    assert [found["run"]["seed"] for found in records.under(tmp_path)] == [0, 1, 2]


def test_a_file_is_replaced_in_one_move_and_a_failure_leaves_the_one_before(tmp_path, monkeypatch):
    file = tmp_path / "file"
    records.atomically(file, b"before")

    def fail(descriptor):
        assert file.read_text() == "before"
        raise OSError(errno.EIO, "in the middle")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=f"in the middle: '{file}'"):
        records.atomically(file, b"after")
    assert file.read_text() == "before" and files(tmp_path) == ["file"]

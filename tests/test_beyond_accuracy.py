"""Calibration and disagreement: from which files they come, and that a missing or damaged file is named."""

import re

import numpy as np
import pytest

from skdcore import records
from skdcore.study import beyond_accuracy
from skdcore.study.beyond_accuracy import disagreement, means, predicted
from skdcore.study.evidence import of_regime
from skdcore.study.experiments import experiment, regime

TABLE_1 = experiment("table_1")
PREDICTED = {
    "vanilla": [[0, 1, 2, 3], [0, 1, 3, 3], [1, 1, 2, 2]],
    "drg": [[0, 1, 2, 2], [3, 2, 3, 3], [1, 1, 2, 2]],
}


@pytest.fixture
def held(ran):
    """Makes the first `seeds` records of vanilla and drg in `tenth` hold all that new ones do; gives the folder."""

    def held(seeds):
        results = ran("tenth", vanilla=[31.0, 31.5, 31.2][:seeds], drg=[32.0, 32.5, 32.1][:seeds])
        for file in results.rglob("[0-9].json"):
            record = records.read(file)
            method, seed = record["run"]["method"], record["run"]["seed"]
            record["final"] |= {"train_accuracy": 97 + seed, "nll_scaled": 2.8, "ece_scaled": 0.02, "temperature": 2.0}
            records.write(file, record)
            np.savez_compressed(file.with_suffix(".images.npz"), predicted=np.uint8(PREDICTED[method][seed]))
        return results

    return held


def rows(results):
    (one,) = of_regime(regime("tenth"), results)
    return means(TABLE_1, one, results).set_index("method")


def test_disagreement_is_the_share_of_images_with_another_class():
    one, other = np.uint8([0, 1, 2, 3, 4]), np.uint8([0, 1, 255, 3, 0])
    assert disagreement(one, other) == 100 * sum(a != b for a, b in zip(one, other, strict=True)) / 5 == 40


def test_a_method_differs_from_vanilla_of_its_seed_and_vanilla_from_its_other_seeds(held):
    frame = rows(held(3))
    assert frame.loc["drg", "differs"] == pytest.approx((25 + 50 + 0) / 3)
    assert frame.loc["vanilla", "differs"] == pytest.approx((25 + 50 + 75) / 3)
    assert frame.loc["drg", ["n", "nll", "nll_scaled", "train_accuracy"]].tolist() == pytest.approx([3, 0.5, 2.8, 98.0])


def test_one_seed_has_no_other_seed_of_vanilla(held):
    page = beyond_accuracy.tabs("table_1", held(1))
    (table,) = page.tabs["tenth"]
    assert table.frame["differs from vanilla, %"].tolist() == ["", "25.0"]
    assert table.frame.iloc[1].tolist() == [
        "`drg`",
        "1",
        "0.5000",
        "0.5000",
        "2.000",
        "2.8000",
        "0.0200",
        "97.00",
        "25.0",
    ]
    assert table.name == "tab-table-1-beyond-tenth-resnet10-w16"


def test_older_records_and_none_are_a_sentence(ran):
    missing = "No record holds these numbers yet in `paper`, `tenth-wide`, `tenth`, `fifth`, `full`."
    assert beyond_accuracy.tabs("table_1", ran())._repr_markdown_() == missing
    assert beyond_accuracy.tabs("table_1", ran("tenth", vanilla=[31.0], drg=[32.0]))._repr_markdown_() == missing


def test_a_missing_file_is_named(held):
    results = held(1)
    (file,) = results.rglob("drg/*/0.images.npz")
    file.unlink()
    table, said = beyond_accuracy.tabs("table_1", results).tabs["tenth"]
    assert "differs from vanilla, %" not in table.frame and "differ" not in table.caption
    assert said == "How many predictions differ is not known of runs without a file of predictions: `drg`, seed 0."
    with pytest.raises(FileNotFoundError, match=re.escape(str(file))):
        predicted(results, of_regime(regime("tenth"), results)[0].runs["drg"][0])


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flipped", "other"])
def test_a_damaged_file_is_named(held, damage):
    results = held(1)
    (file,) = results.rglob("drg/*/0.images.npz")
    whole = file.read_bytes()
    at = whole.index(b"predicted.npy") + len(b"predicted.npy") + 30
    flipped = whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
    kinds = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no predictions", "flipped": flipped}
    file.write_bytes(kinds.get(damage, b""))
    if damage == "other":
        np.savez(file, entropy=np.zeros(4))
    (one,) = of_regime(regime("tenth"), results)
    with pytest.raises(ValueError, match=re.escape(f"{file}: damaged, or written by other code (")):
        predicted(results, one.runs["drg"][0])

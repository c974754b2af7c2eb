"""The page of Figure 4: its ratios, what it says of networks without a benchmark, and what it counts."""

import math

import pytest

from skdcore import bench
from skdcore.models import MODELS
from skdcore.study import time_and_storage
from skdcore.study.assessment import assess
from skdcore.study.claims_page import retold
from skdcore.study.costs import stored
from skdcore.study.time_and_storage import METHODS, TimeAndStorage, finding, times

RATIOS = {"vanilla": 1.0, "byot": 1.25, "dlb": 2.0, "drg+dsr": 1.1}


@pytest.fixture
def timed(tmp_path):
    """Keeps a benchmark of RATIOS to vanilla on a network; gives the folder."""

    def timed(model, device="X 1", **more):
        columns = "over vanilla", "first quartile", "third quartile"
        steps = {
            name: dict.fromkeys(columns, over) | {"seconds a step": over / 10, "steps": 9} | more
            for name, over in RATIOS.items()
        }
        bench.keep({"model": model, "steps": steps, "provenance": {"device": device}}, tmp_path)
        return tmp_path

    return timed


def test_a_network_has_a_row_for_each_method_of_each_benchmark_and_nan_where_there_is_none(timed):
    timed("resnet18")
    frame = times(timed("resnet18", "NVIDIA Y", **{"peak memory": 100.0})).set_index(["where", "method"])
    assert len(frame) == len(METHODS) * (len(MODELS) + 1)
    assert frame.loc[("resnet18, NVIDIA Y", "dlb"), ["seconds", "over", "peak"]].tolist() == [0.2, 2.0, 100.0]
    assert frame.loc[("resnet18, X 1", "dlb"), ["seconds", "over"]].tolist() == [0.2, 2.0]
    assert math.isnan(frame.loc[("resnet18, X 1", "dlb"), "peak"]), "a CPU's is the peak of the whole process"
    assert frame.loc[("resnet18, X 1", "byot_journal"), ["seconds", "over"]].isna().all()
    assert frame.loc["resnet50, not yet measured"]["over"].isna().all()


def test_the_finding_has_shares_of_the_rivals_times_and_weights_and_names_what_is_missing(timed):
    text = finding(TimeAndStorage(results := timed("resnet18")))
    assert text.startswith(
        "**`drg+dsr` takes less time than its rivals in 2 of 2 comparisons, and less storage in 14 of 21"
    )
    shares = f"{1.1 / 1.25:.2f} of that of `byot`, {1.1 / 2:.2f} of that of `dlb` (resnet18, X 1)."
    assert f"The time of a step is {shares}" in text
    over = [stored(name, "drg+dsr")["weights"] / stored(name, "dlb")["weights"] for name in MODELS]
    assert f"{min(over):.2f} to {max(over):.2f} times those of `dlb`, over {len(MODELS)} networks." in text
    assert "Times not yet measured: `resnet50`, `resnet101`," in text and "`resnet18`" not in text
    told = retold(assess(results), "seventy-percent")
    assert (
        "×0.70. [`seventy-percent`](#claim-seventy-percent): fails on X 1 (2: ×0.88, ×0.55), not yet measured (8)."
        in told
    )


def test_a_benchmark_without_the_papers_sum_has_no_share_of_it(timed, monkeypatch):
    monkeypatch.delitem(RATIOS, "drg+dsr")
    assert "The time of a step is" not in finding(TimeAndStorage(timed("resnet18")))


def test_without_a_benchmark_there_is_storage_and_no_time(tmp_path):
    page = TimeAndStorage(tmp_path)
    text = finding(page)
    assert "in 0 of 0 comparisons" in text and "The time of a step" not in text
    told = retold(assess(tmp_path), "byot-hours")
    assert told.endswith("×1.44. [`byot-hours`](#claim-byot-hours): not yet measured (1).")
    assert time_and_storage.picture(page).alt.startswith("Time over vanilla, across the networks: not yet measured.")


def test_a_table_has_times_parameters_and_bytes_of_each_method(timed):
    page = TimeAndStorage(timed("resnet18"))
    (table,) = page.tabs["resnet18"]
    row, sizes = table.frame.set_index("method").loc["`byot`"], stored("resnet18", "byot")
    assert row["seconds a step"] == "0.125 (×1.25)" and "peak memory, MiB" not in table.frame
    assert (
        row["trained parameters"] == f"{sizes['trained']:,}" and row["weights, MB"] == f"{sizes['weights'] / 1e6:.2f}"
    )
    assert row["checkpoint, MB"] == f"{sizes['checkpoint'] / 1e6:.2f}"
    (table,) = page.tabs["resnet101"]
    assert set(table.frame["seconds a step"]) == {"not yet measured"} and "measured on" not in table.frame
    assert f"every method has vanilla's {sizes['deployed']:,} parameters" in page.tabs["resnet18"][0].caption
    assert list(page.tabs) == list(MODELS)


def test_the_picture_says_in_words_what_it_shows(timed):
    alt = time_and_storage.picture(TimeAndStorage(timed("resnet18"))).alt
    assert "Time over vanilla, across the networks: vanilla 1.00 to 1.00, byot 1.25 to 1.25," in alt
    assert "Weights over vanilla, across the networks: vanilla 1.00 to 1.00, byot 1.16 to " in alt

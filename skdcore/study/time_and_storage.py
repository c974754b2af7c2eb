"""The page of Figure 4: seconds a step and storage of BYOT, DLB and the paper's sum, on each network.

Times are those of the committed benchmarks, with 128 images a step.  Storage is counted by `costs.stored`, for 100
classes.
"""

from math import nan

import pandas

from skdcore import bench
from skdcore.models import MODELS
from skdcore.study import costs, figures
from skdcore.study.display import Picture, Table, Tabs, escaped
from skdcore.study.experiments import BASELINE, RESULTS
from skdcore.study.measured import UNMEASURED

OURS, RIVALS = "drg+dsr", ("byot", "byot_journal", "dlb")
METHODS = (BASELINE, *RIVALS, OURS)
MB = 10**6


class TimeAndStorage(Tabs):
    """A table for each network, under tabs; the frames `times` and `sizes` are for the figure and the finding."""

    def __init__(self, results=RESULTS):
        self.times, self.sizes = times(results), sizes()
        super().__init__({network: [_table(network, self.times, self.sizes)] for network in MODELS})


def times(results=RESULTS):
    """A row for each benchmark of a network and each of METHODS: `where`, `seconds` a step, how many times vanilla's.

    `peak` is the memory of a step in MiB, NaN where the benchmark does not hold it: on a CPU.  What a benchmark did not
    time is NaN, and so is the only row of a network without one.
    """
    rows = []
    for network in MODELS:
        for record in bench.kept(results, network) or [{"steps": {}, "provenance": {"device": UNMEASURED}}]:
            device = record["provenance"]["device"]
            for method in METHODS:
                step = record["steps"].get(method, {})
                row = {"network": network, "where": f"{network}, {device}", "device": device, "method": method}
                row |= {"seconds": step.get("seconds a step", nan), "over": step.get("over vanilla", nan)}
                rows.append(row | {"peak": step.get("peak memory", nan)})
    return pandas.DataFrame(rows)


def sizes():
    """A row for each network and each of METHODS: what `costs.stored` counts, and the weights over vanilla's."""
    rows = []
    for network in MODELS:
        plain = costs.stored(network, BASELINE)["weights"]
        for method in METHODS:
            stored = costs.stored(network, method)
            over = {"weights over": stored["weights"] / plain}
            rows.append({"network": network, "where": network, "method": method} | stored | over)
    return pandas.DataFrame(rows)


def finding(page):
    """How often the paper's sum takes less time and storage than its rivals, and its shares of theirs."""
    parts, timed = [], page.times.dropna(subset="over")
    for where, rows in timed.groupby("where", sort=False):
        over = rows.set_index("method")["over"]
        there = [rival for rival in RIVALS if {OURS, rival} <= set(over.index)]
        shares = ", ".join(f"{over[OURS] / over[rival]:.2f} of that of `{rival}`" for rival in there)
        parts += [f"{shares} ({escaped(where)})"] if shares else []
    time = f" The time of a step is {'; '.join(parts)}." if parts else ""
    weights = page.sizes.pivot(index="network", columns="method", values="weights")
    shares = []
    for rival in RIVALS:
        share = weights[OURS] / weights[rival]
        shares.append(f"{share.min():.2f} to {share.max():.2f} times those of `{rival}`")
    missing = [network for network in MODELS if network not in set(timed["network"])]
    absent = f" Times {UNMEASURED}: {', '.join(f'`{network}`' for network in missing)}." if missing else ""
    return (
        f"**`{OURS}` takes less time than its rivals in {_won(page.times, 'over')} comparisons, and less storage in "
        f"{_won(page.sizes, 'weights')}.**{time} Its weights in training are {', '.join(shares)}, over {len(weights)} "
        f"networks. Deployed, all methods have the weights of `{BASELINE}`. The claims on time leave out "
        f"`byot_journal`, those on storage the small networks.{absent}"
    )


def _won(frame, column):
    """In how many comparisons with a rival the paper's sum has the smaller value, of how many."""
    wide = frame.pivot(index="where", columns="method", values=column)
    less = [wide[OURS] < wide[rival] for rival in RIVALS]
    known = [wide[[OURS, rival]].notna().all(axis=1) for rival in RIVALS]
    return f"{sum(one.sum() for one in less)} of {sum(one.sum() for one in known)}"


def picture(page):
    """The picture of times and weights over those of vanilla."""
    parts = []
    for frame, column, words in ((page.times, "over", "Time"), (page.sizes, "weights over", "Weights")):
        spans = [
            f"{method} {values.min():.2f} to {values.max():.2f}"
            for method, values in frame.dropna(subset=column).groupby("method", sort=False)[column]
        ]
        parts.append(f"{words} over vanilla, across the networks: {', '.join(spans) or UNMEASURED}.")
    caption = "Seconds a step by benchmark, and weights in training by network, both over vanilla's. Less is better."
    return Picture(figures.time_and_storage(page.times, page.sizes), caption, " ".join(parts), "fig-4-costs")


def _table(network, times, sizes):
    stored, rows = sizes[sizes["network"] == network].set_index("method"), []
    for one in times[times["network"] == network].itertuples():
        size, measured = stored.loc[one.method], not pandas.isna(one.seconds)
        row = {"method": f"`{one.method}`", "measured on": one.device if measured else ""}
        row |= {"seconds a step": f"{one.seconds:.3f} (×{one.over:.2f})" if measured else UNMEASURED}
        row |= {"trained parameters": f"{size['trained']:,}"}
        row |= {f"{words}, MB": f"{size[words] / MB:.2f}" for words in ("weights", "checkpoint")}
        rows.append(row | {"peak memory, MiB": "" if pandas.isna(one.peak) else f"{one.peak:.0f}"})
    deployed = stored.loc[BASELINE]
    caption = (
        f"Time and storage on {network}. In brackets, multiples of vanilla's time. Weights: what is trained, with "
        "running statistics. Checkpoint: weights, their momenta and what the method remembers, counted. Deployed, "
        f"every method has vanilla's {deployed['deployed']:,} parameters, {deployed['deployed weights'] / MB:.2f} "
        "MB of weights."
    )
    return Table(pandas.DataFrame(rows), caption, f"tab-fig-4-{network.replace('_', '-')}")

"""One function a figure; each returns a matplotlib figure made from records."""

import matplotlib.pyplot as plt
import pandas

from skdcore.study.experiments import MISSING
from skdcore.sums import keywords_of, parse


def gains(frame):
    """Gain over vanilla of each method of a comparison (one model): ours with its interval, the paper's as a cross."""
    frame = frame[frame["method"] != "vanilla"].iloc[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(6.4, 0.8 + 0.4 * len(frame)), layout="constrained")
    axes.axvline(0, color="0.6", linewidth=1)
    for at, row in frame.iterrows():
        if not pandas.isna(row["low"]):
            axes.plot([row["low"], row["high"]], [at, at], color="C0", linewidth=2)
    label = "ours, 95 % interval" if frame["low"].notna().any() else "ours"
    axes.plot(frame["gain"].astype(float), frame.index, "o", color="C0", label=label)
    if frame["gain"].isna().all():
        axes.text(0.5, 0.5, MISSING, transform=axes.transAxes, ha="center", va="center")
    if frame["paper_gain"].notna().any():
        label = f"the paper's, on {frame['paper_model'][0]}"
        axes.plot(frame["paper_gain"].astype(float), frame.index, "x", color="C3", label=label)
    axes.set(yticks=frame.index, yticklabels=frame["method"], ylim=(-0.6, len(frame) - 0.4))
    axes.set_xlabel("gain over vanilla, percentage points")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def curves(found):
    """Learning curves of a few runs: accuracy on both parts, and each term of the loss, by epoch."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for color, record in enumerate(found):
        curve, method = record["curve"], record["run"]["method"]
        epochs = range(1, len(curve["test"]) + 1)
        left.plot(epochs, curve["test"], color=f"C{color}", label=f"{method}, test")
        left.plot(epochs, curve["train"], color=f"C{color}", linestyle=":", label=f"{method}, training")
        for style, (term, loss) in zip(("-", "--", "-.", ":"), curve["loss"].items(), strict=False):
            right.plot(epochs, loss, color=f"C{color}", linestyle=style, label=f"{method}: {term}")
    left.set(xlabel="epoch", ylabel="accuracy, %")
    right.set(xlabel="epoch", ylabel="loss, mean of the epoch", yscale="log")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize="small", frameon=False)
    return figure


def learning(found):
    """Test accuracy by epoch of many finished runs: a panel a network, a line a method, the mean over its seeds."""
    frame = pandas.DataFrame([r["run"] | {"test": r["curve"]["test"]} for r in found if r["state"] == "finished"])
    if frame.empty:
        figure, axes = plt.subplots(figsize=(6.4, 1.2), layout="constrained")
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, MISSING, ha="center", va="center")
        return figure
    models, methods = frame["model"].unique(), frame["method"].unique()
    figure, panels = plt.subplots(len(models), squeeze=False, figsize=(6.4, 4.2 * len(models)), layout="constrained")
    for model, axes in zip(models, panels.flat, strict=True):
        for at, method in enumerate(methods):
            tests = frame.loc[(frame["model"] == model) & (frame["method"] == method), "test"]
            if len(tests):
                mean = pandas.DataFrame(tests.tolist()).mean()
                style = {"color": f"C{at % 10}", "linestyle": "-" if at < 10 else "--"}
                axes.plot(mean.index + 1, mean, label=f"{method} (n = {len(tests)})", **style)
        axes.set(title=model, xlabel="epoch", ylabel="test accuracy, %")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize="small", frameon=False)
    return figure


def by_keyword(frame, keywords):
    """Accuracy of each method of a comparison (one model) along a keyword: {method: keyword}, one curve each.

    The default's value is where the method stands without the keyword; vanilla is the grey line, its standard
    deviation the band.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    ticks = set()
    for name, keyword in keywords.items():
        at = frame["method"].map(lambda method, name=name, keyword=keyword: _value(method, name, keyword))
        chosen = frame.assign(at=at.astype(float)).dropna(subset="at").sort_values("at")
        label = f"{name}, by {keyword}"
        axes.errorbar(chosen["at"], chosen["mean"], chosen["sd"].fillna(0), marker="o", capsize=3, label=label)
        ticks |= set(chosen["at"])
    (vanilla,) = frame[frame["method"] == "vanilla"].itertuples()
    if vanilla.n:
        axes.axhline(vanilla.mean, color="0.6", linewidth=1, label="vanilla")
    if vanilla.n > 1:
        axes.axhspan(vanilla.mean - vanilla.sd, vanilla.mean + vanilla.sd, color="0.92")
    axes.set_xscale("symlog", linthresh=0.05)
    axes.set_xticks(sorted(ticks), [f"{tick:g}" for tick in sorted(ticks)])
    axes.minorticks_off()
    axes.set(xlabel=" or ".join(dict.fromkeys(keywords.values())), ylabel="test accuracy, %")
    axes.legend(frameon=False)
    return figure


def _value(method, name, keyword):
    """The keyword's value in the method `name` with no other keyword than this one; None for any other method."""
    first, *more = parse(method)
    if more or first.function.__name__ != name or first.keywords.keys() - {keyword}:
        return None
    return (keywords_of(first.function) | first.keywords)[keyword]

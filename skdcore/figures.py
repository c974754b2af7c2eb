"""One function a figure; each returns a matplotlib figure made from records."""

import matplotlib.pyplot as plt
import pandas


def gains(frame):
    """Gain over vanilla of each method of a comparison (one model): ours with its interval, the paper's as a cross."""
    vanilla = frame.loc[frame["method"] == "vanilla", "paper"].astype(float)
    frame = frame[frame["method"] != "vanilla"].iloc[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(6.4, 0.8 + 0.4 * len(frame)), layout="constrained")
    axes.axvline(0, color="0.6", linewidth=1)
    for at, row in frame.iterrows():
        if row["low"] is not None and not pandas.isna(row["low"]):
            axes.plot([row["low"], row["high"]], [at, at], color="C0", linewidth=2)
    axes.plot(frame["gain"].astype(float), frame.index, "o", color="C0", label="ours, 95 % interval")
    if frame["gain"].isna().all():
        axes.text(0.5, 0.5, "not yet run", transform=axes.transAxes, ha="center", va="center")
    if frame["paper"].notna().any():
        axes.plot(frame["paper"].astype(float) - vanilla.iloc[0], frame.index, "x", color="C3", label="the paper's")
    axes.set(yticks=frame.index, yticklabels=frame["method"], xlabel="gain over vanilla, percentage points")
    axes.legend(loc="best", frameon=False)
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
        axes.legend(fontsize="small", frameon=False)
    return figure

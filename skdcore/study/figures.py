"""One function for each figure, which returns a matplotlib figure made from records, or None where there are none."""

from itertools import cycle

import matplotlib.pyplot as plt
import pandas

from skdcore.study.equal_cost import THRESHOLD
from skdcore.study.evidence import PROPOSED
from skdcore.study.experiments import BASELINE
from skdcore.study.statistics import MIN_SEEDS
from skdcore.study.tables import SIMULTANEOUS, difference
from skdcore.sums import keywords_of, parse

MARKS = [{"color": f"C{color}", "marker": marker} for color, marker in zip((0, 1, 2, 4, 5), "osD^v", strict=True)]
FEW = {"color": "white", "marker": "o", "linestyle": "none", "markersize": 3}  # on a mark, which it makes hollow


def gains(frames):
    """Gain over vanilla of each method that ran, its interval and the paper's gain: a panel for each {title: frame}.

    A hollow mark has too few seeds for an interval.
    """
    gained = {title: frame[frame["gain"].notna()].iloc[::-1].reset_index(drop=True) for title, frame in frames.items()}
    frames = {title: frame for title, frame in gained.items() if len(frame)}
    if not frames:
        return None
    heights = [len(frame) + 1 for frame in frames.values()]
    size = {"figsize": (6.4, 0.8 + 0.4 * sum(heights)), "layout": "constrained"}
    figure, panels = plt.subplots(len(frames), squeeze=False, height_ratios=heights, sharex=True, **size)
    for (title, frame), axes in zip(frames.items(), panels.flat, strict=True):
        axes.axvline(0, color="0.6", linewidth=1)
        known = frame[frame["low"].notna()]
        if len(known):
            axes.hlines(known.index, known["low"], known["high"], color="C0", linewidth=2, label=SIMULTANEOUS)
        axes.plot(frame["gain"], frame.index, "o", color="C0", label="gain")
        few = frame[frame["low"].isna()]
        axes.plot(few["gain"], few.index, **FEW)
        if frame["paper_gain"].notna().any():
            label = f"the paper's gain, {frame['paper_network'][0]}"
            axes.plot(frame["paper_gain"], frame.index, "x", color="black", label=label)
        axes.set(title=title, yticks=frame.index, yticklabels=frame["method"], ylim=(-0.6, len(frame) - 0.4))
    axes.set_xlabel("gain over vanilla, percentage points")
    _shared_legend(figure, panels, ncols=3)
    return figure


def by_keyword(frames, keywords):
    """Accuracy of methods along a keyword, {method: keyword}: a row for each {title: frame}, a panel for each keyword.

    The default's value is where the method stands without the keyword; vanilla is the grey line.  Bars and the band
    are one standard deviation over the seeds.  A hollow point has fewer than MIN_SEEDS.  Where a point is a single
    seed, no line joins the points: it would show the seeds' chance as a trend.
    """
    if not frames:
        return None
    along = {keyword: [name for name in keywords if keywords[name] == keyword] for keyword in keywords.values()}
    size = {"figsize": (6.4 if len(along) == 1 else 9, 3.8 * len(frames)), "layout": "constrained"}
    figure, panels = plt.subplots(len(frames), len(along), squeeze=False, sharey="row", **size)
    for (title, frame), row in zip(frames.items(), panels, strict=True):
        for (keyword, names), axes in zip(along.items(), row, strict=True):
            _along(axes, frame, keyword, {name: f"C{[*keywords].index(name)}" for name in names})
        row[0].set_ylabel("test accuracy, %")
        row[0].set_title(title, loc="left" if len(along) > 1 else "center")
    return figure


def _along(axes, frame, keyword, colors):
    """A panel of `by_keyword`: the methods of `colors` along one keyword."""
    ticks = set()
    axes.set_xscale("symlog", linthresh=0.05)
    for name, color in colors.items():
        at = frame["method"].map(lambda method, name=name: _value(method, name, keyword)).astype(float)
        chosen = frame.assign(at=at)[frame["n"] > 0].dropna(subset="at").sort_values("at")
        style = {"marker": "o", "capsize": 3, "linestyle": "-" if (chosen["n"] > 1).all() else "none", "color": color}
        axes.errorbar(chosen["at"], chosen["mean"], chosen["sd"].fillna(0), label=f"{name}, by {keyword}", **style)
        few = chosen[chosen["n"] < MIN_SEEDS]
        axes.plot(few["at"], few["mean"], **FEW, zorder=3)
        ticks |= set(at.dropna())  # also of rows that have not run
    vanilla = frame.set_index("method").loc[BASELINE]
    if vanilla["n"]:
        axes.axhline(vanilla["mean"], color="0.6", linewidth=1, label="vanilla")
    if vanilla["n"] > 1:
        axes.axhspan(vanilla["mean"] - vanilla["sd"], vanilla["mean"] + vanilla["sd"], color="0.92")
    axes.set_xlim(min(ticks) / 1.4 or -0.02, max(ticks) * 1.4)
    axes.set_xticks(sorted(ticks), [f"{tick:g}" for tick in sorted(ticks)])
    axes.minorticks_off()
    axes.set_xlabel(keyword)
    axes.legend(frameon=False)


def _value(method, name, keyword):
    """The keyword's value in the method `name` with no other keyword than this one; None for any other method."""
    first, *more = parse(method)
    if more or first.function.__name__ != name or first.keywords.keys() - {keyword}:
        return None
    return (keywords_of(first.function) | first.keywords)[keyword]


def against_cost(points):
    """Accuracy against cost and the front: a panel for each {title: frame of `equal_cost_page.points`}."""
    points = {title: frame for title, frame in points.items() if len(frame) > 1}
    if not points:
        return None
    size = {"figsize": (6.4, 3.8 * len(points)), "layout": "constrained"}
    figure, panels = plt.subplots(len(points), squeeze=False, **size)
    for (title, frame), axes in zip(points.items(), panels.flat, strict=True):
        inside, few = frame[frame["inside"]], frame[~frame["inside"]]
        if len(inside):
            axes.vlines(inside["cost"], inside["low"], inside["high"], color="0.5", label=SIMULTANEOUS, zorder=1)
            front = inside[inside["front"]]
            axes.step(front["cost"], front["accuracy"], "C1", where="post", label="the front", zorder=1)
            axes.plot(inside["cost"], inside["accuracy"], "o", color="C0", label="a row of the model")
        if len(few):
            axes.plot(few["cost"], few["accuracy"], "o", color="C0", fillstyle="none", label="a row of few seeds")
        axes.set(title=title, xlabel="cost of the run, in runs of vanilla", ylabel="test accuracy, %")
        axes.margins(x=0.15, y=0.1)
        _name(axes, inside[inside["front"] | (inside["cost"] > THRESHOLD)] if len(inside) else few)
    _shared_legend(figure, panels, ncols=2)
    figure.set_label(
        " ".join(f"{title}: {'; '.join(map(_at_cost, frame.itertuples()))}." for title, frame in points.items())
    )
    return figure


def _at_cost(one):
    """A row of `equal_cost_page.points` in words."""
    span = "" if pandas.isna(one.low) else f" ({one.low:.2f} to {one.high:.2f})"
    return f"{one.row} {one.accuracy:.2f} %{span} at {one.cost:.2f}{', on the front' * one.front}"


def _name(axes, rows):
    """Writes the names of some rows beside their points: right of them in the panel's left half, where there is room.

    Names of one half, and of the points at vanilla's cost, keep a line's height apart.
    """
    low, high = axes.get_ylim()
    line, middle = (high - low) / 18, sum(axes.get_xlim()) / 2
    for place, side in rows.sort_values("accuracy").groupby((rows["cost"] > THRESHOLD) + 1 * (rows["cost"] > middle)):
        at = low
        for one in side.itertuples():
            at = max(one.accuracy, at + line)
            style = {"ha": "left" if place == 1 else "right", "va": "center", "fontsize": "small"}
            style |= {"textcoords": ("offset points", "data"), "fontweight": "bold" if one.front else "normal"}
            axes.annotate(one.row, (one.cost, one.accuracy), (6 if place == 1 else -6, at), **style)


def _shared_legend(figure, panels, ncols):
    """One legend above the panels, each label once."""
    handles, labels = zip(*(axes.get_legend_handles_labels() for axes in panels.flat), strict=True)
    entries = dict(zip(sum(labels, []), sum(handles, []), strict=True))
    figure.legend(entries.values(), entries, loc="outside upper center", ncols=ncols, frameon=False)


def gains_by_gap(found, printed):
    """Gain over vanilla against vanilla's gap, from `when.measured_gains`, beside `when.printed_gains`.

    Printed gains stand at the gap that was measured for their network, or else in a margin.
    """
    measured, margin = found[found["gap"].notna()], printed[printed["gap"].isna()]
    if measured.empty:
        return None
    size = {"width_ratios": [4, 1] if len(margin) else [1], "figsize": (6.4, 4.4), "layout": "constrained"}
    figure, panels = plt.subplots(1, len(size["width_ratios"]), squeeze=False, sharey=True, **size)
    main, *side = panels.flat
    for axes in panels.flat:
        axes.axhline(0, color="0.6", linewidth=1)
    for at, method in enumerate(dict.fromkeys([*printed["method"], *found["method"]])):
        style, shift = MARKS[at] | {"linestyle": "none"}, 1.1 * (at - 2)  # points of gap
        ours, theirs, rest = (frame[frame["method"] == method] for frame in (measured, printed, margin))
        main.vlines(ours["gap"] + shift, ours["low"], ours["high"], color=style["color"], linewidth=1)
        main.plot(ours["gap"] + shift, ours["gain"], label=method, **style)
        main.plot(theirs["gap"] + shift, theirs["gain"], fillstyle="none", **style)
        for axes in side:
            axes.plot(rest["gain"] * 0 + at, rest["gain"], fillstyle="none", **style)
            axes.set(xlabel="the paper", xticks=[], xlim=(-1, 5))
            axes.set_title("gap not printed", fontsize="medium")
    for (regime, gap), _ in measured.groupby(["regime", "gap"]):
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "rotation": 40}
        main.annotate(regime, (gap, 1), (-3, 3), fontsize="small", **where)
    main.set(xlabel="vanilla: training minus test accuracy, percentage points", xlim=(-4, measured["gap"].max() + 6))
    main.set_ylabel("gain over vanilla, percentage points")
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    gaps = "; ".join(
        f"{one.method} {difference(one)}, in {one.regime}, {one.network} (gap {one.gap:.1f})"
        for one in measured.itertuples()
    )
    theirs = "; ".join(f"{one.method} {one.gain:+z.2f} on {one.network}" for one in printed.itertuples())
    figure.set_label(f"Gains over vanilla: {gaps}.{theirs and f' The gains that the paper prints: {theirs}.'}")
    return figure


def learning(runs):
    """Test accuracy by epoch, a line for each method, the mean over its seeds.

    There is a panel for each {title: {method: {seed: record}}}.

    The paper's methods, vanilla and DLB, its strongest rival, have colours; the others stay thin and grey behind them.
    """
    if not runs:
        return None
    figure, panels = plt.subplots(len(runs), squeeze=False, figsize=(6.4, 4.2 * len(runs)), layout="constrained")
    for (title, by_method), axes in zip(runs.items(), panels.flat, strict=True):
        coloured = BASELINE, "dlb", *PROPOSED
        for method, by_seed in by_method.items():
            curves = [record["curve"] for record in by_seed.values()]
            mean = pandas.DataFrame([curve["test"] for curve in curves]).mean()
            line = {"color": "0.6", "linewidth": 0.8, "zorder": 1}
            if method in coloured:
                at = coloured.index(method)
                line = {"color": MARKS[at]["color"], "linestyle": ("-", "--", "-.", ":", (0, (5, 1)))[at]}
            axes.plot(curves[0]["scored"], mean, label=f"{method} (n = {len(curves)})", **line)
        axes.set(title=title, xlabel="epoch", ylabel="test accuracy, %")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize="small", frameon=False)
    return figure


def variances(runs):
    """Accuracy and variance of ranked outputs by epoch, a line for each run: a row of panels for each {where: records}.

    The variances are those of the paper's text, of logits and of probabilities.
    """
    if not runs:
        return None
    keys = {"test": "test accuracy, %", "var_logits": "variance, logits", "var_probs": "variance, probabilities"}
    size = {"figsize": (9, 2.7 * len(runs)), "layout": "constrained"}
    figure, panels = plt.subplots(len(runs), len(keys), squeeze=False, **size)
    for (where, records), row in zip(runs.items(), panels, strict=True):
        for (key, label), axes in zip(keys.items(), row, strict=True):
            for record, style in zip(records, cycle(("-", "--", ":")), strict=False):
                curve = record["curve"]
                axes.plot(curve["scored"], curve[key], "C0" + style, label=f"seed {record['run']['seed']}")
            axes.set(xlabel="epoch", ylabel=label, ylim=(0, None))
            axes.xaxis.get_major_locator().set_params(integer=True)
        row[0].set_title(where, fontsize="medium", loc="left")
        row[0].legend(fontsize="small", frameon=False)
    return figure


def correlations(found, definitions):
    """Pearson's r of each run, a row for each definition, a mark for each regime, and the paper's sign shaded."""
    if found.empty:
        return None
    figure, axes = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
    axes.axvspan(-1, 0, color="0.92", label="the paper's sign")
    axes.axvline(0, color="0.6", linewidth=1)
    groups = [*found.groupby("where", sort=False)]
    for at, (where, rows) in enumerate(groups):
        shift = 0.2 * ((len(groups) - 1) / 2 - at)
        places = [place + shift for place in range(len(definitions)) for _ in range(len(rows))]
        r = [value for name in definitions for value in rows[name]]
        style = MARKS[at % 5] | {"linestyle": "none", "markersize": 5, "fillstyle": "full" if at < 5 else "none"}
        axes.plot(r, places, **style, label=where)
    axes.set(xlim=(-1.05, 1.05), yticks=range(len(definitions)), yticklabels=definitions)
    axes.set(xlabel="Pearson's r", xticks=[-1, -0.5, 0, 0.5, 1])
    axes.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=2, fontsize="small", frameon=False)
    return figure


def time_and_storage(times, sizes):
    """Seconds a step and bytes of weights over those of vanilla, the line: a row for each benchmark or network."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    labels = {"over": "seconds a step, over vanilla", "weights over": "weights in training, over vanilla"}
    for axes, frame, (column, label) in zip(panels, (times, sizes), labels.items(), strict=True):
        names = [*dict.fromkeys(frame["where"])]
        rivals = frame[frame["method"] != BASELINE]
        for at, (method, rows) in enumerate(rivals.groupby("method", sort=False)):
            rows = rows.dropna(subset=[column])
            style = MARKS[at] | {"linestyle": "none", "label": method}
            axes.plot(rows[column], [names.index(where) for where in rows["where"]], **style)
        axes.axvline(1, color="0.6", linewidth=1, label=BASELINE)
        axes.set(xlabel=label, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    handles, labels = panels[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False)
    return figure


def curves(found):
    """Learning curves of a few runs: accuracy on both splits, and each term of the loss, by epoch."""
    finished = [record for record in found if record["state"] == "finished"]
    if not finished:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for color, record in enumerate(finished):
        curve, method = record["curve"], record["run"]["method"]
        epochs = range(1, record["run"]["epochs"] + 1)
        left.plot(curve["scored"], curve["test"], color=f"C{color}", label=f"{method}, test")
        left.plot(epochs, curve["train"], color=f"C{color}", linestyle=":", label=f"{method}, training")
        for style, (term, loss) in zip(cycle(("-", "--", "-.", ":")), curve["loss"].items(), strict=False):
            name = "label loss" if term == BASELINE else term
            right.plot(epochs, loss, color=f"C{color}", linestyle=style, label=f"{method}: {name}")
    left.set(xlabel="epoch", ylabel="accuracy, %")
    right.set(xlabel="epoch", ylabel="loss, mean of the epoch", yscale="log")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize="small", frameon=False)
    return figure

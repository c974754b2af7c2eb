"""Figures 5, 8 and 9: a `Picture` of drawings, a part of it for each; None where there are none."""

import matplotlib.pyplot as plt

from skdcore.study.display import Picture

MARKERS = "osD^v"


def _stacked(drawn, width, height, draw):
    """A figure of `width` inches in which `draw(part, drawing)` draws each drawing, `height(drawing)` inches high."""
    heights = [height(drawing) for drawing in drawn]
    figure = plt.figure(figsize=(width, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(drawn), squeeze=False, height_ratios=heights)
    for part, drawing in zip(parts.flat, drawn, strict=True):
        part.suptitle(drawing.title, fontsize="medium")
        draw(part, drawing)
    return figure


def _first(drawing):
    """{method: arrays} of each method's first seed."""
    return {method: drawing.arrays[method, min(seeds)] for method, seeds in drawing.weights.items()}


def _means(drawing, *metrics):
    """The mean of metrics over the seeds of each method, as a text for whoever cannot see the picture."""
    parts = []
    for method, seeds in drawing.weights.items():
        values = [sum(float(drawing.arrays[method, seed][one]) for seed in seeds) / len(seeds) for one in metrics]
        parts.append(f"{method} {', '.join(f'{value:.3f}' for value in values)}")
    return f"{drawing.title}: {'; '.join(parts)}."


def ranked(drawn, name):
    """Probabilities from largest to smallest, a row an image and the mean of all below, a column a method."""
    if not drawn:
        return None
    figure = _stacked(drawn, 8.8, lambda one: 1.2 * (1 + len(next(iter(_first(one).values()))["true"])), _ranked)
    top = next(iter(_first(drawn[0]).values()))["bars"].shape[1]
    caption = (
        "Probabilities from largest to smallest, of test images that were drawn by a seeded rule and of the mean over "
        "the whole test split, with the first seed. The orange, hatched bar is the true class; where there is none, it "
        f"is not among the {top} classes shown."
    )
    alt = f"Bars of ranked probabilities. Mean p(true class): {' '.join(_means(one, 'p_true') for one in drawn)}"
    return Picture(figure, caption, alt, name)


def _ranked(part, drawing):
    own = _first(drawing)
    images = len(next(iter(own.values()))["true"])
    panels = part.subplots(images + 1, len(own), sharex=True, sharey="row", squeeze=False)
    for column, (method, arrays) in zip(panels.T, own.items(), strict=True):
        top = arrays["bars"].shape[1]
        edges = [rank + 0.5 for rank in range(top + 1)]  # one outline of all bars, a tenth of the file
        for axes, bars, true in zip(column, arrays["bars"], arrays["true"], strict=False):
            axes.stairs(bars, edges, fill=True, color="C0")
            if true < len(bars):
                axes.bar(true + 1, bars[true], width=1, color="C1", hatch="////")
        mean = arrays["ranked"][:top]
        column[-1].stairs(mean, edges[: len(mean) + 1], fill=True, color="0.5")
        column[0].set_title(method)
    for row, axes in enumerate(panels[:, 0], 1):
        axes.set_ylabel(f"image {row}" if row <= images else "mean of all")
    part.supxlabel("rank of the class")


def reliability(drawn, name):
    """Accuracy by confidence, before and after temperature scaling, of all seeds together."""
    if not drawn:
        return None
    caption = (
        "Reliability: accuracy by confidence, of all seeds together, in bins with at least one image in 200. On the "
        "grey line, confidence is right; below it, the network is overconfident. Right: after temperature scaling."
    )
    alt = "Lines of accuracy by confidence. Mean calibration error as trained, and after temperature scaling: "
    alt += " ".join(_means(one, "ece", "ece_scaled") for one in drawn)
    return Picture(_stacked(drawn, 7.2, lambda _: 3.8, _reliability), caption, alt, name)


def _reliability(part, drawing):
    panels = part.subplots(1, 2, sharey=True)
    for axes, name in zip(panels, ("reliability", "reliability_scaled"), strict=True):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for at, (method, seeds) in enumerate(drawing.weights.items()):
            bins = [drawing.arrays[method, seed][name] for seed in seeds]
            count = sum(one[0] for one in bins)
            confidence, accuracy = (sum(one[0] * one[k] for one in bins) / count.clip(1) for k in (1, 2))
            kept = count >= count.sum() / 200
            axes.plot(confidence[kept], accuracy[kept], marker=MARKERS[at], color=f"C{at}", label=method)
        axes.set(xlabel="confidence", title="after temperature scaling" if "scaled" in name else "as trained")
    panels[0].set_ylabel("accuracy")
    panels[0].legend(frameon=False, fontsize="small")


def attention(drawn, name, images=None):
    """Grad-CAM maps, a row an output, from dark (0) to bright; above them the test `images` (N, H, W, 3), if given."""
    if not drawn:
        return None
    extra = images is not None
    figure = _stacked(
        drawn,
        9,
        lambda one: 0.3 + 1.05 * (len(_maps(one)) + extra),
        lambda part, one: _attention(part, one, images),
    )
    caption = (
        "Grad-CAM for the class that each output predicts, of test images that were drawn by a seeded rule, with the "
        f"first seed. Bright is important. {'The first row has the images. ' * extra}Maps have the resolution of the "
        "deepest features and are enlarged."
    )
    alt = "Rows of Grad-CAM maps. Mean area under the insertion curve: "
    return Picture(figure, caption, alt + " ".join(_means(one, "insertion") for one in drawn), name)


def _maps(drawing):
    """{words: maps} of each method's AC, where it has one, and of its output."""
    return {
        f"{method}{words}": arrays[key]
        for method, arrays in _first(drawing).items()
        for key, words in (("maps_ac", ", AC"), ("maps", ""))
        if key in arrays
    }


def _attention(part, drawing, images):
    index = next(iter(_first(drawing).values()))["index"]
    rows = _maps(drawing) if images is None else {"image": images[index]} | _maps(drawing)
    panels = part.subplots(len(rows), len(index), squeeze=False)
    for line, (name, pictures) in zip(panels, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture if picture.ndim == 3 else picture.astype(float), interpolation="bilinear")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")


def embedding(drawn, name):
    """Where t-SNE puts the features of the test images, a panel a method; colours are classes.  Of seed 0."""
    drawn = [one for one in drawn if _coordinates(one)]
    if not drawn:
        return None
    caption = (
        "t-SNE of the features before the last layer: test images of classes that were drawn by a seeded rule, with "
        "seed 0. Colours are classes; with so many, similar colours mean nothing."
    )
    alt = "Clouds of points coloured by class, a panel a method. Mean silhouette: "
    alt += " ".join(_means(one, "silhouette") for one in drawn)
    return Picture(_stacked(drawn, 9, lambda _: 3.5, _embedding), caption, alt, name)


def _coordinates(drawing):
    """{method: (coordinates, labels)} of seed 0."""
    own = {method: drawing.arrays.get((method, 0), {}) for method in drawing.methods}
    return {method: (a["coordinates"].astype(float), a["labels"]) for method, a in own.items() if "coordinates" in a}


def _embedding(part, drawing):
    own = _coordinates(drawing)
    for axes, (method, (points, labels)) in zip(
        part.subplots(1, len(own), squeeze=False).flat, own.items(), strict=True
    ):
        axes.scatter(*points.T, c=labels, s=4, cmap="turbo", linewidths=0, rasterized=True)
        axes.set(title=method, xticks=[], yticks=[])
        axes.set_aspect("equal", "datalim")

"""Figures 5, 8 and 9: a `Picture` of each drawing, under tabs; None where there are none."""

import matplotlib.pyplot as plt

from skdcore.study.display import Picture, Tabs
from skdcore.study.figures import MARKS
from skdcore.study.quantities import shown


def _each(drawn, name, draw):
    """`Tabs` of a picture `draw(drawing, its name)` for each of the drawings; None without any."""
    pictures = {one.title: [draw(one, f"{name}-{one.label}")] for one in drawn}
    return Tabs(pictures) if pictures else None


def _figure(drawing, width, height):
    """A figure of `width` by `height` inches with the title of its drawing."""
    figure = plt.figure(figsize=(width, height), layout="constrained")
    figure.suptitle(drawing.title, fontsize="medium")
    return figure


def _first(drawing):
    """{method: arrays} of each method's first seed."""
    return {method: drawing.arrays[method, min(seeds)] for method, seeds in drawing.weights.items()}


def _means(drawing, *metrics):
    """The mean of metrics over the seeds of each method, as a text for whoever cannot see the picture."""
    parts = []
    for method, seeds in drawing.weights.items():
        means = {one: sum(float(drawing.arrays[method, seed][one]) for seed in seeds) / len(seeds) for one in metrics}
        parts.append(f"{method} {', '.join(shown(one, mean) for one, mean in means.items())}")
    return f"{drawing.title}: {'; '.join(parts)}."


def ranked(drawn, name):
    """Probabilities from largest to smallest, a row for each image, the mean of all below, a column for each method."""
    return _each(drawn, name, _ranked)


def _ranked(drawing, name):
    own = _first(drawing)
    images, top = next(iter(own.values()))["bars"].shape
    figure = _figure(drawing, 8.8, 1.2 * (1 + images))
    panels = figure.subplots(images + 1, len(own), sharex=True, sharey="row", squeeze=False)
    edges = [rank + 0.5 for rank in range(top + 1)]  # one outline of all bars, a tenth of the file
    for column, (method, arrays) in zip(panels.T, own.items(), strict=True):
        for axes, bars, true in zip(column, arrays["bars"], arrays["true"], strict=False):
            axes.stairs(bars, edges, fill=True, color="C0")
            if true < len(bars):
                axes.bar(true + 1, bars[true], width=1, color="C1", hatch="////")
        mean = arrays["ranked"][:top]
        column[-1].stairs(mean, edges[: len(mean) + 1], fill=True, color="0.5")
        column[0].set_title(method)
    for row, axes in enumerate(panels[:, 0], 1):
        axes.set_ylabel(f"image {row}" if row <= images else "mean of all")
    figure.supxlabel("rank of the class")
    figure.supylabel("probability")
    caption = (
        "Probabilities from largest to smallest, for test images that were drawn by a seeded rule and, in the bottom "
        "row, averaged over the whole test split; networks of the first seed. The orange, hatched bar is the true "
        f"class; where there is none, it is not among the {top} classes shown."
    )
    alt = f"Bars of ranked probabilities. Mean p(true class): {_means(drawing, 'p_true')}"
    return Picture(figure, caption, alt, name)


def reliability(drawn, name):
    """Accuracy by confidence, before and after temperature scaling, of all seeds together."""
    return _each(drawn, name, _reliability)


def _reliability(drawing, name):
    figure = _figure(drawing, 7.2, 3.8)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("reliability", "reliability_scaled"), strict=True):
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for at, (method, seeds) in enumerate(drawing.weights.items()):
            bins = [drawing.arrays[method, seed][kind] for seed in seeds]
            count = sum(one[0] for one in bins)
            confidence, accuracy = (sum(one[0] * one[k] for one in bins) / count.clip(1) for k in (1, 2))
            kept = count >= count.sum() / 200
            axes.plot(confidence[kept], accuracy[kept], **MARKS[at], label=method)
        axes.set(xlabel="confidence", title="after temperature scaling" if "scaled" in kind else "as trained")
    panels[0].set_ylabel("accuracy")
    panels[0].legend(frameon=False, fontsize="small")
    caption = (
        "Reliability: accuracy by confidence, of all seeds together, in bins with at least one image in 200. On the "
        "grey line, confidence is right; below it, the network is overconfident. Right: after temperature scaling."
    )
    alt = "Lines of accuracy by confidence. Mean calibration error as trained, and after temperature scaling: "
    return Picture(figure, caption, alt + _means(drawing, "ece", "ece_scaled"), name)


def attention(drawn, name, images=None):
    """Grad-CAM maps, a row an output, from dark (0) to bright; above them the test `images` (N, H, W, 3), if given."""
    return _each(drawn, name, lambda drawing, name: _attention(drawing, name, images))


def _attention(drawing, name, images):
    index = next(iter(_first(drawing).values()))["index"]
    rows = _maps(drawing) if images is None else {"image": images[index]} | _maps(drawing)
    figure = _figure(drawing, 9, 0.3 + 1.05 * len(rows))
    panels = figure.subplots(len(rows), len(index), squeeze=False)
    for line, (title, pictures) in zip(panels, rows.items(), strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture if picture.ndim == 3 else picture.astype(float), interpolation="bilinear")
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    caption = (
        "Grad-CAM for the class that each output predicts, of test images that were drawn by a seeded rule, with the "
        f"first seed. Bright is important. {'The first row has the images. ' * (images is not None)}Maps have the "
        "resolution of the deepest features and are enlarged."
    )
    alt = f"Rows of Grad-CAM maps. Mean area under the insertion curve: {_means(drawing, 'insertion')}"
    return Picture(figure, caption, alt, name)


def _maps(drawing):
    """{words: maps} of each method's AC, where it has one, and of its output."""
    return {
        f"{method}{words}": arrays[key]
        for method, arrays in _first(drawing).items()
        for key, words in (("maps_ac", ", AC"), ("maps", ""))
        if key in arrays
    }


def embedding(drawn, name):
    """Where t-SNE puts the features of the test images, a panel for each method; colours are classes.  Of seed 0."""
    return _each([one for one in drawn if _coordinates(one)], name, _embedding)


def _embedding(drawing, name):
    own = _coordinates(drawing)
    figure = _figure(drawing, 9, 3.5)
    panels = figure.subplots(1, len(own), squeeze=False).flat
    for axes, (method, (points, labels)) in zip(panels, own.items(), strict=True):
        axes.scatter(*points.T, c=labels, s=4, cmap="turbo", linewidths=0, rasterized=True)
        axes.set(title=method, xticks=[], yticks=[])
        axes.set_aspect("equal", "datalim")
    caption = (
        "t-SNE of the features before the last layer: test images of classes that were drawn by a seeded rule, with "
        "seed 0. Colours are classes; with so many, similar colours mean nothing."
    )
    alt = f"Clouds of points coloured by class, one panel per method. Mean silhouette: {_means(drawing, 'silhouette')}"
    return Picture(figure, caption, alt, name)


def _coordinates(drawing):
    """{method: (coordinates, labels)} of seed 0."""
    own = {method: drawing.arrays.get((method, 0), {}) for method in drawing.methods}
    return {method: (a["coordinates"].astype(float), a["labels"]) for method, a in own.items() if "coordinates" in a}

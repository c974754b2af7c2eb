"""Figure 5: how confident a method is, image by image and over the whole test split.

The paper shows two images on which its methods give the true class a lower probability and others a higher one, and
takes that for less overconfidence (section V-B).  Two images show nothing of the kind; the whole split does, and a fair
comparison of confidence comes after temperature scaling, which costs one number.
"""

from functools import partial

import numpy as np
import torch

from skdcore.losses import softmax
from skdcore.measures import BINS, bins, predict, scaled
from skdcore.precision import autocast
from skdcore.study import metrics

FIGURE = "fig_5"
METHODS = "vanilla", "drg", "dsr", "drg+dsr"
IMAGES, TOP = 3, 30
SETTINGS = {"images": IMAGES, "top": TOP, "bins": BINS}
COLUMNS = "p_true", "entropy", "nll", "ece", "nll_scaled", "ece_scaled"
SAID = "p_true", "ece", "ece_scaled"


def measure(net, test, run):
    """What Figure 5 draws of a network, in the precision of its run, so that the picture fits the record's metrics.

    `ranked` float16 (K,): probabilities from largest to smallest, mean over all images.  `bars` float16 (IMAGES, TOP):
    the same of the images that seed 0 draws; `true` int64 (IMAGES,): where the true class stands among them.
    `reliability` and `reliability_scaled` float32 (3, BINS): images, mean confidence and accuracy (0 to 1) by bin of
    confidence; scaled: after temperature scaling.
    """
    logits, y = predict(net, test, partial(autocast, torch.device("cpu"), run.precision)).double(), test.labels
    divided, _ = scaled(logits, y)
    p, order = softmax(logits).sort(dim=1, descending=True)
    drawn = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:IMAGES]
    true = (order[drawn] == y[drawn, None]).long().argmax(dim=1)
    found = {"ranked": p.mean(dim=0).half(), "bars": p[drawn, :TOP].half(), "true": true}
    found |= {"reliability": reliability(logits, y), "reliability_scaled": reliability(divided, y)}
    return {name: np.asarray(value) for name, value in found.items()}


def reliability(logits, y):
    """How many images each bin of confidence holds, their mean confidence, and their accuracy, 0 to 1: (3, BINS)."""
    confidence, guess = softmax(logits).max(dim=1)
    sums = torch.zeros(3, BINS, dtype=torch.float64)
    sums.index_add_(1, bins(confidence), torch.stack([torch.ones_like(confidence), confidence, (guess == y).double()]))
    return (sums / torch.stack([torch.ones(BINS), *2 * [sums[0].clamp(min=1)]])).float()


def finding(drawing):
    """Is DRG+DSR less confident of the true class than vanilla, and is its confidence more right?"""
    rows = {metric: metrics.of_method(drawing.values(metric), "drg+dsr") for metric in SAID}
    if None in rows.values():
        return "DRG+DSR did not run beside vanilla."
    parts = [f"{metrics.told(key, row)}, {row.verdict}" for key, row in rows.items()]
    return f"**DRG+DSR minus plain training:** {'; '.join(parts)}."


def shown(drawing):
    """The finding and the table of a drawing."""
    values = {metric: drawing.values(metric) for metric in COLUMNS}
    caption = f"Confidence over the whole test split, {drawing.title}. Lower is better in NLL and ECE; entropy and "
    caption += "p(true class) are neither good nor bad by themselves. Scaled: after temperature scaling."
    return [finding(drawing), metrics.table(values, caption, f"tab-fig-5-{drawing.label}", drawing.pages)]

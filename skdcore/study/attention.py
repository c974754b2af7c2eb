"""Figure 8: where a network looks, by Grad-CAM, and whether its map is right about what matters.

The paper reads eight maps of Caltech-101 by eye: the auxiliary classifier (AC) looks at edges, plain training at one
feature, DRG at both (section VII-A).  Maps can also be tested (Petsiuk et al., "RISE", 2018): the more a map knows of
what the network uses, the faster the probability of the predicted class falls when the pixels are removed in the map's
order (deletion), and the faster it rises when they are added in it (insertion).
"""

import warnings
from functools import partial

import pandas
import torch

from skdcore.data import load
from skdcore.losses import softmax
from skdcore.models import AuxiliaryClassifier
from skdcore.study import metrics
from skdcore.study.statistics import UNDECIDED
from skdcore.sums import keywords_of, parse

FIGURE = "fig_8"
METHODS = "vanilla", "drg"
DRAWN, TESTED, STEPS = 8, 500, 16
SETTINGS = {"drawn": DRAWN, "tested": TESTED, "steps": STEPS}
AC = "the AC of {}"
HEADS = {
    metrics.HIGHER: "The maps of DRG show better what its network uses than those of plain training.",
    metrics.LOWER: "The maps of DRG show less well what its network uses than those of plain training.",
    UNDECIDED: "It is undecided whether DRG's maps show better what its network uses than those of plain training do.",
}
COLUMNS = "deletion", "insertion"


def measure(net, test, run):
    """Grad-CAM of a network's output and of the AC that its method trains, if any, for the class that each predicts.

    The first DRAWN of TESTED test images that seed 0 draws: `index` int64, and for each output `maps` float16 (DRAWN,
    h, w), from 0 to 1, at the resolution of the deepest features, and `predicted` int64.  Over all TESTED:
    `deletion` and `insertion`, areas under the curve from 0 to 1.  Names of the AC's end in _ac.
    """
    index = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:TESTED]
    found = {"index": index[:DRAWN].numpy()}
    for ending, (forward, layer) in outputs(net, run.method).items():
        maps, predicted, curves = [], [], {"deletion": [], "insertion": []}
        for chunk in index.split(50):
            x = test.plain(chunk)
            target = forward(x).argmax(dim=1).detach()
            maps.append(grad_cam(forward, layer, x, target))
            predicted.append(target)
            for name, areas in zip(curves, perturbed(forward, x, maps[-1], target), strict=True):
                curves[name].append(areas)
        found |= {f"{name}{ending}": torch.cat(areas).mean().item() for name, areas in curves.items()}
        found[f"maps{ending}"] = torch.cat(maps)[:DRAWN, 0].half().numpy()
        found[f"predicted{ending}"] = torch.cat(predicted)[:DRAWN].numpy()
    return found


def outputs(net, method):
    """{ending of its names: (function from images to logits, its deepest layer)} of the network and of DRG's AC.

    The AC is left out if its weights were not kept.
    """
    found = {"": (net, net.blocks[-1])}
    ks = [(keywords_of(t.function) | t.keywords)["k"] for t in parse(method) if t.function.__name__ == "drg"]
    if ks and isinstance(ac := net.exits[ks[0] - 1], AuxiliaryClassifier):
        k = ks[0]
        found["_ac"] = (lambda x: ac(net.features(x)[k - 1])), ac.tower[3 - k]
    return found


def grad_cam(forward, layer, x, target):
    """Grad-CAM [36] of a class, (B, 1, h, w), divided by its largest value: 0 to 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # in a notebook, tqdm asks for ipywidgets
        from captum.attr import LayerGradCam

    maps = LayerGradCam(forward, layer).attribute(x, target=target, relu_attributions=True).detach()
    return maps / maps.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)


@torch.no_grad()
def perturbed(forward, x, maps, target):
    """Areas under the curves of deletion and insertion, each (B,), in STEPS equal steps.

    Pixels go or come in the order of the map, enlarged to the image; where they are missing stands the mean colour of
    the normalisation, 0.  The value of a curve is the probability of the class `target`.
    """
    from captum.attr import LayerAttribution

    large = LayerAttribution.interpolate(maps, x.shape[2:], interpolate_mode="bilinear").flatten(1)
    rank = large.argsort(dim=1, descending=True, stable=True).argsort(dim=1).view(len(x), 1, *x.shape[2:])
    curves = []
    for step in range(STEPS + 1):
        first = rank < step / STEPS * rank[0].numel()
        both = torch.stack([softmax(forward(x * kept)) for kept in (~first, first)])
        curves.append(both.gather(2, target.expand(2, -1)[:, :, None])[:, :, 0])
    return torch.trapezoid(torch.stack(curves), dx=1 / STEPS, dim=0)


def photographs(dataset, root=None):
    """The test images of a data set, uint8 (N, H, W, 3)."""
    _, test = load(dataset, root)
    return test.images.permute(0, 2, 3, 1).numpy()


def of_classifiers(drawing, metric):
    """{AC of a method that trains it: {seed: value}} of a metric."""
    found = {}
    for (method, seed), own in drawing.arrays.items():
        if f"{metric}_ac" in own:
            found.setdefault(AC.format(method), {})[seed] = float(own[f"{metric}_ac"])
    return found


def finding(drawing):
    """Does DRG's map know more of what its network uses than vanilla's does?  The insertion curve decides."""
    return metrics.finding({name: drawing.values(name) for name in COLUMNS}, "drg", HEADS, "insertion")


def shown(drawing):
    """The finding and the table of a drawing, and whether it has the AC's maps."""
    caption = f"Do the maps show what the networks use? {drawing.title}, {TESTED} test images: the area under the "
    caption += "probability of the predicted class while pixels are deleted (lower is better) or inserted (higher is "
    caption += "better) in the map's order."
    values, beside = ({name: of(name) for name in COLUMNS} for of in (drawing.values, partial(of_classifiers, drawing)))
    table = metrics.table(values, caption, f"tab-fig-8-{drawing.label}", drawing.pages, beside)
    notes = [] if any(beside.values()) else ["The AC has no map here, because its weights were not kept."]
    means = {name: pandas.DataFrame(by_method).mean() for name, by_method in values.items()}
    blind = means["insertion"].index[means["insertion"] <= means["deletion"]]
    if len(blind):
        names = ", ".join(f"`{method}`" for method in blind)
        notes.append(f"Insertion is not above deletion for {names}: there the reverse order of the pixels is as good.")
    return [finding(drawing), table, *notes]

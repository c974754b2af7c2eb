"""DRG and DSR step by step for a few images, written out, beside what the package's own losses give."""

import matplotlib.pyplot as plt
import pandas
import torch

from skdcore import losses
from skdcore.data import load_cached
from skdcore.datasets import data_folder
from skdcore.study.display import Picture, Table, Tabs
from skdcore.train import Run, trained_network

CPU = torch.device("cpu")
EPOCHS = 4  # of which a view of one image is shown


def example(dataset, classes, seed, epochs, root, results):
    """Two test images of each of four classes, and the logits that a small network of DRG+DSR gives them.

    {"names": the classes, "images": uint8 (4, 3, side, side), "z" and "teacher": logits of the network and of its AC,
    "previous": logits of the network for the second images; all float32 (4, 4), for these classes alone}.  The run is
    trained if its weights are not there.  Raises ValueError unless four different classes of the data set are given,
    with two test images each.
    """
    _, test = load_cached(dataset, root, CPU, seed)
    known = list(test.classes)
    if len(set(classes)) != 4 or not set(classes) <= set(known):
        raise ValueError(f"classes={classes}: takes four different ones of {dataset}, such as {known[:4]}")
    labels = torch.tensor([known.index(name) for name in classes])
    own = [(test.labels == label).nonzero()[:2, 0] for label in labels]
    for name, index in zip(classes, own, strict=True):
        if len(index) < 2:
            raise ValueError(f"class {name!r} of {dataset} has {len(index)} test image; two are needed")
    first, second = torch.stack(own).T
    run = Run(dataset, "resnet10_w16", "drg+dsr", seed, epochs)
    net, _ = trained_network(run, CPU, root, results, progress=False)
    with torch.no_grad():
        features = net.features(test.view(first))
        found = {"z": net.head(features[-1]), "teacher": net.exits[1](features[1]), "previous": net(test.view(second))}
    return {"names": classes, "images": test.images[first]} | {key: z[:, labels] for key, z in found.items()}


def views(images, names, name, caption="The four test images, with their classes."):
    """The images as a picture; `images` uint8 (N, 3, side, side)."""
    figure, panels = plt.subplots(1, len(names), figsize=(1.6 * len(names), 1.9), squeeze=False, layout="constrained")
    for axes, image, title in zip(panels.flat, images, names, strict=True):
        axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
        axes.set(title=title, xticks=[], yticks=[])
    return Picture(figure, caption, f"{len(names)} small images: {', '.join(names)}.", name)


def augmented(name, root):
    """A training image of CIFAR-100 as the network sees it in four epochs, or a sentence where the data are absent."""
    try:
        train, _ = load_cached("cifar100", data_folder(root), CPU, 0)  # a root, so that nothing is downloaded
    except (FileNotFoundError, ValueError):
        return "The images of CIFAR-100 are not on this machine, so their augmentation is not shown."
    torch.manual_seed(0)
    seen = train.view(torch.zeros(EPOCHS, dtype=torch.int64))
    low, high = seen.amin(), seen.amax()
    pixels = (255 * (seen - low) / (high - low)).to(torch.uint8)
    caption = "A training image of CIFAR-100 in four epochs: padded, cropped and mirrored at random."
    return views(pixels, [f"epoch {epoch}" for epoch in range(1, EPOCHS + 1)], name, caption)


def drg(found, alpha, tau):
    """Equations (1), (2), (9) and (10) written out for the four images."""
    z, teacher, names = found["z"], found["teacher"], found["names"]
    p, q = _softmax(z, tau), _softmax(teacher, tau)
    hard = -_softmax(teacher, 1).diagonal().log()  # the true class of image i is class i
    soft = tau**2 * (q * (q / p).log()).sum(dim=1)
    rows = [_row(names[i], {"z'": teacher[i], "z": z[i], "q": q[i], "p": p[i]}, hard[i], soft[i]) for i in range(4)]
    by_hand = hard.mean() + alpha * soft.mean()
    ours = losses.cross_entropy(teacher, torch.arange(4)) + alpha * losses.kl(teacher, z, tau)
    caption = f"DRG on four images at a temperature of {tau:g}; the classes are {', '.join(names)}, in this order."
    said = f"The means are {hard.mean():.5f} and {soft.mean():.5f}, so DRG adds {hard.mean():.5f} + {alpha:g} · "
    said += f"{soft.mean():.5f} = **{by_hand:.4f}** to the label loss. `skdcore.losses` gives {ours:.4f}."
    heads = {"hard": "−log q of the true class, at a temperature of 1", "soft": "τ² · KL(q, p)"}
    return Tabs({"": [Table(pandas.DataFrame(rows).rename(columns=heads), caption, "tab-by-hand-drg"), said]})


def dsr(found, beta, tau):
    """Equations (1) and (11) written out for the four images, taught by the four of the iteration before."""
    z, previous = found["z"].sort(dim=1).values, found["previous"].sort(dim=1).values
    p, q = _softmax(z, tau), _softmax(previous, tau)
    soft = tau**2 * (q * (q / p).log()).sum(dim=1)
    heads = {"before": previous, "now": z, "q": q, "p": p}
    rows = [{"row": str(i + 1)} | {k: _numbers(v[i]) for k, v in heads.items()} for i in range(4)]
    for row, value in zip(rows, soft, strict=True):
        row["τ² · KL(q, p)"] = f"{value:.4f}"
    ours = beta * losses.kl(previous, z, tau)
    caption = f"DSR on four images at a temperature of {tau:g}: logits in ascending order, whatever their classes."
    said = f"The mean is {soft.mean():.5f}, so DSR adds {beta:g} · {soft.mean():.5f} = "
    said += f"**{beta * soft.mean():.4f}** to the label loss. `skdcore.losses` gives {ours:.4f}."
    return Tabs({"": [Table(pandas.DataFrame(rows), caption, "tab-by-hand-dsr"), said]})


def _softmax(z, tau):
    """Equation (1), as it is printed."""
    return (z / tau).exp() / (z / tau).exp().sum(dim=1, keepdim=True)


def _row(name, vectors, hard, soft):
    numbers = {key: _numbers(values) for key, values in vectors.items()}
    return {"image": name} | numbers | {"hard": f"{hard:.4f}", "soft": f"{soft:.4f}"}


def _numbers(values):
    return ", ".join(f"{value:.2f}" for value in values)

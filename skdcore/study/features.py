"""Figure 9: the features before the last layer, as t-SNE draws them and as numbers that need no drawing.

The paper says that DSR gives "a more clear decision boundary" (section VII-B) and shows a picture.  A picture of t-SNE
has neither distances nor densities of its own, so two numbers stand beside it, both measured on the features.
"""

import numpy as np
import torch

from skdcore.study import metrics
from skdcore.study.statistics import UNDECIDED

FIGURE = "fig_9"
METHODS = "vanilla", "drg", "dsr"
CLASSES, NEIGHBOURS, PERPLEXITY = 50, 10, 30
SETTINGS = {"classes": CLASSES, "neighbours": NEIGHBOURS, "perplexity": PERPLEXITY}
HEADS = {
    metrics.HIGHER: "DSR separates the classes more clearly than plain training.",
    metrics.LOWER: "DSR separates the classes less clearly than plain training.",
    UNDECIDED: "Whether DSR separates the classes more clearly than plain training is undecided.",
}
COLUMNS = "silhouette", "neighbours"


def measure(net, test, run):
    """The features of the test images of CLASSES classes, drawn by seed 0: their metrics, and where t-SNE puts them.

    `silhouette` (Rousseeuw, 1987), from -1 to 1, compares each image's distance to its own class with that to the
    nearest other one.  `neighbours` is the percentage of images whose NEIGHBOURS nearest others, by vote, are of their
    class.  Distances are Euclidean.  `coordinates`, float16 (N, 2), are of the run of seed 0 alone.
    """
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import KNeighborsClassifier

    classes = torch.randperm(len(test.classes), generator=torch.Generator().manual_seed(0))[:CLASSES]
    index = torch.isin(test.labels, classes).nonzero().flatten()
    x, y = penultimate(net, test, index), test.labels[index].numpy()
    voters = KNeighborsClassifier(min(NEIGHBOURS, len(y) - 1)).fit(x, y)
    near = voters.kneighbors(return_distance=False)  # of the images that were fitted, each without itself
    votes = np.array([np.bincount(y[row]).argmax() for row in near])
    found = {"silhouette": silhouette_score(x, y), "neighbours": 100 * np.mean(votes == y), "labels": y}
    if run.seed == 0:
        found["coordinates"] = embedding(x).astype(np.float16)
    return found


@torch.no_grad()
def penultimate(net, data, index):
    """The features that the last layer reads, float32 (N, C), of the images `index`, unaugmented."""
    chunks = []
    for chunk in index.split(500):
        x = net.features(data.plain(chunk))[-1]
        for layer in net.top[:-1]:
            x = layer(x)
        chunks.append(x)
    return torch.cat(chunks).numpy()


def embedding(x):
    """t-SNE of (N, C) features: (N, 2).  Seeded, on one thread.

    It is FIt-SNE [37], but for up to 1,000 points: their repulsion is summed by Barnes and Hut, which is then faster.
    """
    from openTSNE import TSNE

    how = {
        "perplexity": min(PERPLEXITY, (len(x) - 1) / 3),
        "negative_gradient_method": "fft" if len(x) > 1000 else "bh",
    }
    return np.asarray(TSNE(n_jobs=1, random_state=0, **how).fit(x))


def finding(drawing):
    """Does DSR separate the classes more clearly than vanilla?  The silhouette decides."""
    return metrics.finding({name: drawing.values(name) for name in COLUMNS}, "dsr", HEADS, "silhouette")


def shown(drawing):
    """The finding and the table of a drawing."""
    values = {metric: drawing.values(metric) for metric in COLUMNS}
    count = len(np.unique(next(iter(drawing.arrays.values()))["labels"]))
    caption = f"Separation of {count} classes in feature space, {drawing.title}, test images. Higher is clearer. "
    caption += f"The accuracy is of the vote of the {NEIGHBOURS} nearest neighbours."
    label = f"tab-fig-9-{drawing.label}"
    return [finding(drawing), metrics.table(values, caption, label, drawing.pages)]

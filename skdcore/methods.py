r"""The methods: each is one function `Step -> loss`, and methods add.

`build("drg(k=1)+dsr")` reads a sum, equation (7) as code: the label loss L_CE once, plus each term.
Their grammar is in sums.py; modules that only one method uses are in parts.py.

To add a method, write a function here under `@method`.  `@method(labels=True)` says that it has the label loss
itself, so that `build` does not add L_CE; `@method(view=True)` marks a function `images -> images` that is applied to
every view of the step.  A keyword that is annotated with `Share` takes a number from 0 to 1.  `source` and `formula`
are shown on the book's page, and are optional.  Extra passes, parameters and memory are counted
(skdcore/study/costs.py), not written down here.

In the formulas p is the softmax of the network's logits z, y the labels, and KL_tau(teacher -> student) tau^2 times
equation (4); no gradient reaches a teacher unless the docstring says so.
"""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from skdcore.losses import cross_entropy, kl, softmax
from skdcore.parts import Bottleneck, Pyramid
from skdcore.step import full
from skdcore.sums import METHODS, Share, Sum, build, canonical, method

__all__ = ["METHODS", "build", "canonical"]  # and each method below


def onehot(y, z):
    """The labels y as probabilities of the dtype of the logits z, (N, K)."""
    return F.one_hot(y, z.shape[1]).to(z.dtype)


def pooled(feature):
    """Global average pooling, (B, C, H, W) -> (B, C), float32 also under autocast."""
    return full(feature).mean(dim=(2, 3))


@method(labels=True, source="equation (2)", formula="L_CE(p, y)")
def vanilla(s):
    """Cross entropy with the hard labels."""
    return cross_entropy(s.z, s.y)


@method(labels=True, source="Label smoothing [11]", formula="L_CE(p, (1 - eps) * onehot(y) + eps / K)")
def ls(s, eps: Share = 0.1):
    """Cross entropy with smoothed labels.

    The uniform share goes to all K classes, the true class among them, as in the code of OLS [28] and PS-KD [8].
    """
    target = (1 - eps) * onehot(s.y, s.z) + eps / s.z.shape[1]
    return cross_entropy(s.z, target)


@method(source="Equation (10) without L_CE(p, y)", formula="L_CE(q, y) + alpha * L_RG")
def drg(s, k=2, alpha=0.2, tau=1.0, detach=True):
    """Distillation with Reverse Guidance: the auxiliary classifier (AC) after block `k` teaches the whole network.

    q is the AC's output and L_RG is (9).  The teacher's logits are detached as in the official code (Q2), so L_RG
    trains the network alone, while L_CE(q, y) trains the AC and the blocks up to `k`: deep supervision, which the
    control `alpha=0` shows alone.
    """
    teacher = s.exit(k)  # z'
    return cross_entropy(teacher, s.y) + alpha * kl(teacher, s.z, tau, detach)


@method(source="Equation (12) without L_CE", formula="beta * L_SR of (11)")
def dsr(s, beta=1.0, tau=4.0, reset=False, target: Literal["last", "uniform", "mean"] = "last"):
    """Distillation with Shape-wise Regularization: each image's ranked logits teach those of the next iteration.

    Logits are ranked in ascending order; row i is taught by row i of the previous iteration, another image of any
    class.  The memory starts at zeros and is never reset (Algorithm 2; Q5).
    `reset=True` skips the first batch of each epoch, as the official code does.  Controls: `target="uniform"`
    teaches every row the uniform distribution, `target="mean"` the mean of the previous batch's ranked softmax.
    """
    ranked = s.z.sort(dim=1).values
    previous = s.memory.setdefault("ranked", torch.zeros_like(ranked))
    teacher = previous
    if target == "uniform":
        teacher = torch.zeros_like(ranked)
    elif target == "mean":  # tau * log of the mean of softmax(previous / tau), so that kl's softmax gives that mean
        teacher = (tau * F.log_softmax(previous / tau, dim=1).logsumexp(dim=0)).expand_as(ranked)
    loss = beta * kl(teacher, ranked, tau)
    previous.copy_(ranked.detach())
    return loss * ~_epoch_begins(s) if reset else loss


@method(
    labels=True,
    source="BYOT [3], conference form",
    formula="sum_b (1 - alpha) L_CE(z_b) + alpha KL_tau(z -> z_b) + weight |f_b - f|^2",
)
def byot(s, alpha: Share = 0.1, tau=3.0, weight=1e-6):
    """The whole network teaches shallow classifiers after blocks 1 to 3, their logits z_b and their features f_b.

    (1 - alpha) also scales the network's own L_CE.  f are pooled features; their squared differences are summed over
    the batch too.  z as the teacher and f are detached.  No official code exists.  Of the usual one we drop the modules
    that it never runs and its mask (f_b > 0 or f > 0), which changes nothing after a ReLU; its soft cross entropy is
    KL plus a constant.
    """
    deepest = s.features[-1]
    f, loss = pooled(deepest).detach(), (1 - alpha) * cross_entropy(s.z, s.y)
    for k, feature in enumerate(s.features[:-1], start=1):
        branch = s.part(f"branch {k}", partial(Bottleneck, feature.shape, deepest.shape, s.z.shape[1]))
        f_b, z_b = map(full, branch(feature))
        loss = loss + (1 - alpha) * cross_entropy(z_b, s.y) + alpha * kl(s.z, z_b, tau)
        loss = loss + weight * (f_b - f).square().sum()
    return loss


@method(
    labels=True,
    source="BYOT [3], journal form",
    formula="L_CE + sum_b [alpha KL(z -> z_b) + (1 - alpha) L_CE(z_b)] + weight sum_b |A_b f_b - f|",
)
def byot_journal(s, alpha: Share = 0.3, tau=3.0, weight=0.03):
    """The whole network teaches its three ACs, and their features through linear adaptations A_b.

    The KL at temperature tau lacks tau^2.  The norm is the Frobenius norm of the batch's matrix, not squared, and
    b = 1, 2 only, as the official code runs (its comment says otherwise).  z as the teacher and f are detached.  The
    A_b exist from the start; officially they appear, with a new optimizer, after the first step.  AutoAugment and
    Cutout are left out.
    """
    f, loss = pooled(s.features[-1]).detach(), cross_entropy(s.z, s.y)
    for k in (1, 2, 3):
        z_b, f_b = s.exit(k), s.embedding(k)
        loss = loss + alpha * kl(s.z, z_b, tau) / tau**2 + (1 - alpha) * cross_entropy(z_b, s.y)
        if k != 3:
            A = s.part(f"adaptation {k}", partial(nn.Linear, f_b.shape[1], f.shape[1]))
            loss = loss + weight * torch.linalg.norm(full(A(f_b)) - f)
    return loss


@method(source="CS-KD [14]", formula="weight * KL_tau(z of a partner -> z)")
def cs_kd(s, weight=1.0, tau=4.0):
    """Another image of the same class teaches each image.

    The partner is random and may be the image itself, in another view.  Its forward has no gradient but is in training
    mode, so it is normalised by its own batch, and batch norm's running statistics move twice a step, first with the
    anchors.  Officially the weight is 3 on fine-grained data.
    """
    with torch.no_grad():
        teacher = s.logits(s.data.partners(s.y))
    return weight * kl(teacher, s.z, tau)


@method(
    labels=True,
    source="PS-KD [8]",
    formula="L_CE(p, (1 - alpha_e) * onehot(y) + alpha_e * p of the previous epoch)",
)
def ps_kd(s, alpha: Share = 0.8):
    """The network's predictions of the previous epoch soften the labels.

    alpha_e = alpha * (e + 1) / E, tau = 1.  The table holds p of every training image, seen in its latest view; it
    starts with one-hot labels, so epoch 0 is cross entropy.  Officially E is 300 and the table is on the host.
    """
    table = s.memory.get("p")
    if table is None:
        table = s.memory["p"] = onehot(s.data.labels, s.z)
    alpha_e = alpha * ((s.epoch + 1) / s.epochs)
    target = (1 - alpha_e) * onehot(s.y, s.z) + alpha_e * table[s.index]
    table[s.index] = softmax(s.z).detach()
    return cross_entropy(s.z, target)


@method(labels=True, source="DLB [9]", formula="L_CE over 2B rows + alpha * KL_tau(z then -> z now)")
def dlb(s, alpha=1.0, tau=3.0):
    """The previous mini-batch is seen again, in a new view; its logits of the previous step teach those of now.

    The 2B rows are this batch and the previous one.  The second forward has its own batch norm statistics.  The
    memory lasts across epochs; the very first step is cross entropy.  DLB's own code draws the second view with the
    first and sets no batch size: whether the paper's 128 are 64 + 64 is open (Q18).
    """
    z = s.z
    if not s.memory:
        s.memory.update(index=s.index.clone(), z=z.detach().clone())
        return cross_entropy(z, s.y)
    previous, teacher = s.memory["index"], s.memory["z"]
    student = s.logits(previous)
    loss = cross_entropy(torch.cat([student, z]), torch.cat([s.data.labels[previous], s.y]))
    loss = loss + alpha * kl(teacher, student, tau)
    previous.copy_(s.index)
    teacher.copy_(z.detach())
    return loss


@method(source="ZF-LS [29]", formula="weight * KL(zeta -> p) over the K - 1 classes other than y")
def zf_ls(s, weight=0.1, power=1.0, dense=False):
    """Zipf's law over the ranks of the logits softens the labels.

    zeta_k ~ rank_k^-power.  Ranks run over all K classes, ties share the best rank, and the true class leaves a gap.
    With `dense`, ranked are the votes of the cells of the deepest feature map (upsampled x2, read by the head) in place
    of the logits.  Officially ranks are computed on the host, dense is the default, and the weight is 1 on
    TinyImageNet.
    """
    score, others = _votes(s) if dense else s.z.detach(), torch.arange(s.z.shape[1] - 1, device=s.y.device)
    rank = 1 + torch.searchsorted((-score).sort(dim=1).values, -score)  # 1 + the number of higher scores
    log_zeta = -power * rank.to(s.z.dtype).log()  # up to a constant: zeta's logits
    others = others + (others >= s.y[:, None])  # for each row the classes but its target
    return weight * kl(log_zeta.gather(1, others), s.z.gather(1, others))


def _votes(s):
    """How many cells of the deepest block's output, upsampled x2, the head gives to each class: (B, K)."""
    cells = F.interpolate(s.features[-1].detach(), scale_factor=2, mode="bilinear").flatten(2).mT
    return F.one_hot(s.net.top[-1](cells).argmax(dim=2), s.z.shape[1]).sum(dim=1)


@method(labels=True, source="TF-KD_reg [10]", formula="(1 - alpha) L_CE + alpha * KL(softmax(u / tau) -> p)")
def tf_kd(s, alpha: Share = 0.1, correct: Share = 0.99, tau=20.0):
    """A virtual teacher u: `correct` for the true class, the rest shared by the others.

    u goes through a softmax although it holds probabilities already.  The result is nearly uniform, so this is nearly
    ls(eps=alpha).  The student's temperature is 1.  Officially the mean is over B * K and a multiplier of 100 = K
    cancels that; here it is over the batch.
    """
    if not tau > 0:
        raise ValueError(f"temperature tau={tau} must be greater than 0")
    y = onehot(s.y, s.z)
    u = correct * y + (1 - correct) / (s.z.shape[1] - 1) * (1 - y)
    return (1 - alpha) * cross_entropy(s.z, s.y) + alpha * kl(u / tau, s.z)


@method(labels=True, source="OLS [28]", formula="alpha * L_CE(p, y) + (1 - alpha) * L_CE(p, S[y])")
def ols(s, alpha: Share = 0.5):
    """The mean prediction for each class in the previous epoch, row c of the table S, softens the labels.

    The mean is over the images of class c that were classified correctly; it is uniform where there were none, as in
    epoch 0 (the official CIFAR script starts at zeros, where epoch 0 is alpha * L_CE).
    """
    z, K = s.z, s.z.shape[1]
    S, sums = (s.memory.setdefault(name, z.new_zeros(K, K)) for name in ("S", "sums"))
    begins, rows = _epoch_begins(s), sums.sum(dim=1, keepdim=True)  # rows: how many were right, as each p sums to 1
    S.copy_(torch.where(begins, torch.where(rows > 0, sums / rows.clamp(min=1e-9), 1 / K), S))
    sums.mul_(~begins)
    right = z.argmax(dim=1) == s.y
    sums.addmm_(onehot(s.y, z).T, right[:, None] * softmax(z).detach())  # in place: autocast leaves it in float32
    return alpha * cross_entropy(z, s.y) + (1 - alpha) * cross_entropy(z, S[s.y])


def _epoch_begins(s):
    """Whether this is the term's first step of an epoch: a tensor, so that a replayed step asks again."""
    previous = s.memory.setdefault("epoch", torch.full((), -1, device=s.index.device))
    begins = previous != s.epoch
    previous.fill_(s.epoch)
    return begins


@method(
    labels=True,
    source="DDGSD [15]",
    formula="L_CE(a) + L_CE(b) + alpha * [KL_tau(a -> b) + KL_tau(b -> a)] + beta * MMD",
)
def ddgsd(s, alpha=1.0, beta=5e-4, tau=3.0):
    """Two views a and b of each image teach each other.

    MMD is the squared distance of the views' mean pooled features (a linear kernel).  The teacher of each KL is
    detached; there is no official code to tell, and the usual one detaches nothing, uses logits as features and divides
    by K.
    """
    deepest = s.features[-1], s.net.features(s.view(s.index))[-1]
    z_a, z_b = s.z, full(s.net.head(deepest[1]))
    mmd = (pooled(deepest[0]).mean(dim=0) - pooled(deepest[1]).mean(dim=0)).square().sum()
    label = cross_entropy(z_a, s.y) + cross_entropy(z_b, s.y)
    return label + alpha * (kl(z_a, z_b, tau) + kl(z_b, z_a, tau)) + beta * mmd


@method(
    source="FRSKD [4] without L_CE(z)",
    formula="L_CE(z_T) + alpha * KL_tau(z_T -> z) + beta * sum_l MSE(a(T_l) -> a(F_l))",
)
def frskd(s, alpha=2.0, beta=100.0, tau=4.0):
    """A self-teacher T over the blocks' outputs F teaches the network its logits z_T and its attention maps a.

    a is the normalised map of mean squares over channels.  z_T as the teacher and T_l are detached; L_CE(z_T) reaches
    the network.  The self-teacher is a feature pyramid like BiFPN, of one width and one pass each way (the official one
    is wider in deeper levels).
    """
    make = partial(Pyramid, [feature.shape[1] for feature in s.features], s.z.shape[1])
    maps, teacher = s.part("self-teacher", make)(s.features)
    attention = sum(F.mse_loss(_attention(f), _attention(t).detach()) for t, f in zip(maps, s.features, strict=True))
    return cross_entropy(full(teacher), s.y) + alpha * kl(full(teacher), s.z, tau) + beta * attention


def _attention(feature):
    """Mean square over channels, each image's map scaled to length 1: (B, C, H, W) -> (B, H * W)."""
    return F.normalize(full(feature).square().mean(dim=1).flatten(1))


@method(source="Knowledge distillation [1], equation (5) without L_CE", formula="tau^2 * L_KL(q, p)")
def kd(s, teacher: Sum = "vanilla", tau=4.0):
    """A network trained before teaches this one.

    `teacher` is the sum that trained it, on the same data set, model and seed; it takes no teacher itself.  It sees the
    student's view, in evaluation mode.  L_CE has weight 1.
    """
    return kl(s.teacher(teacher), s.z, tau)


@method(view=True, source="Cutout [35]", formula="n squares of size x size pixels at random centres are set to 0")
def cutout(x, n=1, size=None):
    """Cuts holes into every view of the step.

    `size` None is half the side.  All channels have the same holes, clipped at the borders.  They are cut after
    normalising, as its author does, so 0 is the mean colour.  Officially the size is 8 on CIFAR-100; the paper uses 16.
    """
    size = x.shape[3] // 2 if size is None else size
    if n < 1 or size < 1:
        raise ValueError(f"cutout(n={n}, size={size}): at least one hole of at least one pixel")
    if n > x.shape[3] ** 2:
        raise ValueError(f"cutout(n={n}): an image of {x.shape[3]} x {x.shape[3]} pixels takes at most a hole for each")
    size = min(size, 2 * x.shape[3])  # which cuts out the whole image, as any larger one does
    first = (torch.randint(side, (len(x), n, 1), device=x.device) - size // 2 for side in x.shape[2:])
    steps = (torch.arange(side, device=x.device) for side in x.shape[2:])
    row, column = ((f <= at) & (at < f + size) for f, at in zip(first, steps, strict=True))
    hole = (row[:, :, :, None] & column[:, :, None, :]).any(dim=1, keepdim=True)
    return torch.where(hole, 0, x)

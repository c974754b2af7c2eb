r"""The methods: each is one function `Step -> loss`, and methods add.

`build("drg(k=1)+dsr")` reads a sum, equation (7) as code: the label loss L_CE once, plus each term.
A name is a configuration: defaults live in the signatures and nowhere else, and every sum has one
canonical text (`canonical`), which is its directory under results/ and its row in a table.

To add a method, write a function here.  `@method` makes it known; `@method(labels=True)` says that it
holds the label loss itself, so that `build` does not add L_CE; `@method(view=True)` marks a function
`images -> images` that adorns every view of the step.
"""

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from skdcore.losses import cross_entropy, kl, softmax
from skdcore.models import Bottleneck, Pyramid
from skdcore.step import full
from skdcore.sums import METHODS, Sum, build, canonical, method

__all__ = ["METHODS", "build", "canonical"]  # and each method below


def onehot(y, z):
    """The labels y as probabilities of the dtype of the logits z, (N, K)."""
    return F.one_hot(y, z.shape[1]).to(z.dtype)


def pooled(feature):
    """Global average pooling, (B, C, H, W) -> (B, C), float32 also under autocast."""
    return full(feature).mean(dim=(2, 3))


@method(labels=True)
def vanilla(s):
    """Equation (2): L_CE(p, y), cross entropy with the hard labels.

    Detached: nothing.  No state, no extra forward, no extra parameters.
    """
    return cross_entropy(s.z, s.y)


@method(labels=True)
def ls(s, eps=0.1):
    """Label smoothing [11]: cross entropy with (1 - eps) * onehot(y) + eps / K.

    The uniform part covers all K classes, the target among them, as in the code of OLS [28] and PS-KD [8].
    Detached: nothing, as the target is fixed.  No state, no extra forward, no extra parameters.
    """
    target = (1 - eps) * onehot(s.y, s.z) + eps / s.z.shape[1]
    return cross_entropy(s.z, target)


@method
def drg(s, k=2, alpha=0.2, tau=1.0, detach=True):
    """Distillation with Reverse Guidance, equation (10) less L_CE(p, y): L_CE(q, y) + alpha * L_RG.

    q is the output of the auxiliary classifier (AC) after block `k`; L_RG is (9).  The teacher's logits are
    detached as in the official code (Q2), so L_RG trains the network alone, while L_CE(q, y) reaches
    block `k` and below: deep supervision, which `alpha=0` shows alone.  No state, no extra forward.  Extra
    parameters: one AC.
    """
    teacher = s.exit(k)  # z'
    return cross_entropy(teacher, s.y) + alpha * kl(teacher, s.z, tau, detach)


@method
def dsr(s, beta=1.0, tau=4.0, reset=False, target: Literal["last", "uniform", "mean"] = "last"):
    """Distillation with Shape-wise Regularization, equation (12) less L_CE: beta * L_SR of (11).

    Logits are ranked in ascending order; row i is taught by row i of the last iteration, another image
    of any class.  Detached: the teacher.  State: the ranked logits (B, K), zeros at t = 0, never reset
    (Algorithm 2; Q5).  No extra forward, no extra parameters.
    `reset=True` skips the first batch of each epoch, as the official code does.  Controls: `target="uniform"`
    teaches every row the uniform distribution, `target="mean"` the mean of the last batch's ranked softmax.
    """
    ranked = s.z.sort(dim=1).values
    last = s.memory.setdefault("ranked", torch.zeros_like(ranked))
    teacher = last
    if target == "uniform":
        teacher = torch.zeros_like(ranked)
    elif target == "mean":  # tau * log of the mean of softmax(last / tau), so that kl's softmax gives that mean
        teacher = (tau * F.log_softmax(last / tau, dim=1).logsumexp(dim=0)).expand_as(ranked)
    loss = beta * kl(teacher, ranked, tau)
    last.copy_(ranked.detach())
    return loss * ~_epoch_begins(s) if reset else loss


@method(labels=True)
def byot(s, alpha=0.1, tau=3.0, weight=1e-6):
    """BYOT [3], conference form: sum_b (1 - alpha) L_CE(z_b) + alpha KL_tau(z -> z_b) + weight |f_b - f|^2.

    b runs over shallow classifiers behind blocks 1 to 3, and (1 - alpha) also scales the network's own L_CE; f are
    pooled features, their squares summed over the batch too.  Detached: z as teacher, f.  No state, no extra
    forward.  Extra parameters: three bottleneck branches.  No official code exists; of the usual one we drop the
    modules that it never runs and its mask (f_b > 0 or f > 0), which behind a ReLU changes nothing; its soft cross
    entropy is KL plus a constant.
    """
    last = s.features[-1]
    f, loss = pooled(last).detach(), (1 - alpha) * cross_entropy(s.z, s.y)
    for k, feature in enumerate(s.features[:-1], start=1):
        branch = s.part(f"branch {k}", partial(Bottleneck, feature.shape, last.shape, s.z.shape[1]))
        f_b, z_b = map(full, branch(feature))
        loss = loss + (1 - alpha) * cross_entropy(z_b, s.y) + alpha * kl(s.z, z_b, tau)
        loss = loss + weight * (f_b - f).square().sum()
    return loss


@method(labels=True)
def byot_journal(s, alpha=0.3, tau=3.0, weight=0.03):
    """BYOT [3], journal form: L_CE + sum_b [alpha KL(z -> z_b) + (1 - alpha) L_CE(z_b)] + weight sum |A_b f_b - f|.

    b runs over the exits (ACs) 1 to 3.  The KL at temperature tau lacks tau^2; the norm is Frobenius's over the batch's
    matrix, not squared, and for b = 1, 2 only, as the official code runs (its comment speaks of another one).
    Detached: z as teacher, f.  No state, no extra forward.  Extra parameters: three ACs and two linear adaptations
    A_b, made in the dry step and not, as officially, with a new optimizer after the first.  AutoAugment and Cutout
    are left out.
    """
    f, loss = pooled(s.features[-1]).detach(), cross_entropy(s.z, s.y)
    for k in (1, 2, 3):
        z_b, f_b = s.exit(k), s.embedding(k)
        loss = loss + alpha * kl(s.z, z_b, tau) / tau**2 + (1 - alpha) * cross_entropy(z_b, s.y)
        if k != 3:
            A = s.part(f"adaptation {k}", partial(nn.Linear, f_b.shape[1], f.shape[1]))
            loss = loss + weight * torch.linalg.norm(full(A(f_b)) - f)
    return loss


@method
def cs_kd(s, weight=1.0, tau=4.0):
    """CS-KD [14]: weight * KL_tau(z of a partner -> z); the partner is a random image of the same class.

    It may be the anchor itself, in another view.  Detached: the partner's forward, without gradient but in training
    mode, so that it is normalised by its own batch and batch norm's running statistics move twice a step, with
    the anchors first.  One extra forward, no state, no extra parameters.  Officially the weight is 3 on fine-grained
    data.
    """
    z = s.z  # before the partners: under autocast a first forward without gradient would spoil the second
    with torch.no_grad():
        teacher = s.logits(s.data.partners(s.y))
    return weight * kl(teacher, z, tau)


@method(labels=True)
def ps_kd(s, alpha=0.8):
    """PS-KD [8]: cross entropy with (1 - alpha_e) * onehot(y) + alpha_e * p of the last epoch, tau = 1.

    alpha_e = alpha * (e + 1) / E.  Detached: the table.  State: p of every training image, N x K, seen in its last
    view; one-hot labels at first, so that epoch 0 is cross entropy.  No extra forward, no extra parameters.
    Officially E is 300 and the table on the host.
    """
    table = s.memory.get("p")
    if table is None:
        table = s.memory["p"] = onehot(s.data.labels, s.z)
    alpha_e = alpha * ((s.epoch + 1) / s.epochs)
    target = (1 - alpha_e) * onehot(s.y, s.z) + alpha_e * table[s.index]
    table[s.index] = softmax(s.z).detach()
    return cross_entropy(s.z, target)


@method(labels=True)
def dlb(s, alpha=1.0, tau=3.0):
    """DLB [9]: L_CE over this batch and the last one seen again, 2B rows, + alpha * KL_tau(z then -> z now).

    The last batch comes in a new view and a second forward, of its own batch norm statistics.  Detached: its logits
    of then.  State: its indices (B,) and logits (B, K), kept across epochs; the very first step is cross entropy.
    One extra forward and backward, no extra parameters.  Its own code draws the second view with the first, and
    sets no batch size: whether the paper's 128 are 64 + 64 is open (Q18).
    """
    z = s.z
    if not s.memory:
        s.memory.update(index=s.index.clone(), z=z.detach().clone())
        return cross_entropy(z, s.y)
    last, teacher = s.memory["index"], s.memory["z"]
    student = s.logits(last)
    loss = cross_entropy(torch.cat([student, z]), torch.cat([s.data.labels[last], s.y]))
    loss = loss + alpha * kl(teacher, student, tau)
    last.copy_(s.index)
    teacher.copy_(z.detach())
    return loss


@method
def zf_ls(s, weight=0.1, power=1.0, dense=False):
    """ZF-LS [29]: weight * KL(zeta -> p), both over the K - 1 classes that are not the target, tau = 1.

    zeta_k ~ rank_k^-power; ranks run over all K, ties share the best one, and the target's leaves a gap.  Ranked are
    the logits or, with `dense`, the votes of the last feature map's cells (upsampled x2, read by the head).  Detached:
    the ranks.  No state, no extra forward, no extra parameters.  Officially the ranks are made on the host, dense is
    the default, and the weight is 1 on TinyImageNet.
    """
    score, others = _votes(s) if dense else s.z.detach(), torch.arange(s.z.shape[1] - 1, device=s.y.device)
    rank = 1 + torch.searchsorted((-score).sort(dim=1).values, -score)  # 1 + the number of higher scores
    log_zeta = -power * rank.to(s.z.dtype).log()  # up to a constant: zeta's logits
    others = others + (others >= s.y[:, None])  # for each row the classes but its target
    return weight * kl(log_zeta.gather(1, others), s.z.gather(1, others))


def _votes(s):
    """How many cells of the last block's output, upsampled x2, the head gives to each class: (B, K)."""
    cells = F.interpolate(s.features[-1].detach(), scale_factor=2, mode="bilinear").flatten(2).mT
    return F.one_hot(s.net.top[-1](cells).argmax(dim=2), s.z.shape[1]).sum(dim=1)


@method(labels=True)
def tf_kd(s, alpha=0.1, correct=0.99, tau=20.0):
    """TF-KD_reg [10]: (1 - alpha) L_CE + alpha * KL(softmax(u / tau) -> p), the student at temperature 1.

    The virtual teacher u, `correct` for the target and the rest shared by the others, goes through a softmax although
    it holds probabilities already: nearly uniform, so that this is nearly ls(eps=alpha).  Detached: nothing, as u is
    fixed.  No state, no extra forward, no extra parameters.  Officially the mean is over B * K too, with a multiplier
    of 100 = K that cancels it; here it is over the batch.
    """
    if not tau > 0:
        raise ValueError(f"temperature tau={tau} must be greater than 0")
    y = onehot(s.y, s.z)
    u = correct * y + (1 - correct) / (s.z.shape[1] - 1) * (1 - y)
    return (1 - alpha) * cross_entropy(s.z, s.y) + alpha * kl(u / tau, s.z)


@method(labels=True)
def ols(s, alpha=0.5):
    """OLS [28]: alpha * L_CE + (1 - alpha) * cross entropy with row y of the class table S.

    Row c is the mean softmax of the images of class c that the last epoch classified rightly; uniform where there are
    none, hence all through epoch 0 (the official CIFAR script starts at zeros, where epoch 0 is alpha * L_CE).
    Detached: the table.  State: S and the sums for the next one, K x K each, and the epoch.  No extra forward, no
    extra parameters.
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
    """Whether this is the term's first step of an epoch: a tensor, so that a replayed step asks anew."""
    last = s.memory.setdefault("epoch", torch.full((), -1, device=s.index.device))
    begins = last != s.epoch
    last.fill_(s.epoch)
    return begins


@method(labels=True)
def ddgsd(s, alpha=1.0, beta=5e-4, tau=3.0):
    """DDGSD [15]: for two views a, b: both L_CE + alpha * [KL_tau(a -> b) + KL_tau(b -> a)] + beta * MMD.

    MMD: squared distance of the views' mean pooled features (a linear kernel).  Detached: the teacher of each KL;
    no official code tells, and the usual one detaches nothing, takes logits for features and divides by K.
    No state.  One extra forward and backward, no extra parameters.
    """
    last = s.features[-1], s.net.features(s.view(s.index))[-1]
    z_a, z_b = s.z, full(s.net.head(last[1]))
    mmd = (pooled(last[0]).mean(dim=0) - pooled(last[1]).mean(dim=0)).square().sum()
    label = cross_entropy(z_a, s.y) + cross_entropy(z_b, s.y)
    return label + alpha * (kl(z_a, z_b, tau) + kl(z_b, z_a, tau)) + beta * mmd


@method
def frskd(s, alpha=2.0, beta=100.0, tau=4.0):
    """FRSKD [4] less L_CE(z): L_CE(z_T) + alpha * KL_tau(z_T -> z) + beta * sum_l MSE(a(T_l) -> a(F_l)).

    T is a self-teacher over the blocks' outputs F, a the normalised map of mean squares over channels.  Detached: z_T
    as teacher and T_l; L_CE(z_T) reaches the network.  No state, no extra forward.  Extra parameters: a feature
    pyramid like BiFPN, ours of one width and one pass a direction (the official one is wider at depth).
    """
    make = partial(Pyramid, [feature.shape[1] for feature in s.features], s.z.shape[1])
    maps, teacher = s.part("self-teacher", make)(s.features)
    attention = sum(F.mse_loss(_attention(f), _attention(t).detach()) for t, f in zip(maps, s.features, strict=True))
    return cross_entropy(full(teacher), s.y) + alpha * kl(full(teacher), s.z, tau) + beta * attention


def _attention(feature):
    """Mean square over channels, each image's map scaled to length 1: (B, C, H, W) -> (B, H * W)."""
    return F.normalize(full(feature).square().mean(dim=1).flatten(1))


@method
def kd(s, teacher: Sum = "vanilla", tau=4.0):
    """Knowledge distillation [1], equation (5) less L_CE: tau^2 * L_KL(q, p), q of a network trained before.

    `teacher` is the sum that trained it, on the same data set, model and seed; it takes no teacher itself.  Detached:
    the teacher, in evaluation mode, which sees the student's view.  One extra forward, the teacher's; no state, no
    extra parameters.  L_CE has weight 1.
    """
    return kl(s.teacher(teacher), s.z, tau)


@method(view=True)
def cutout(x, n=1, size=None):
    """Cutout [35]: n squares of size x size pixels at random centres are set to 0; size None is half the side.

    The same holes in all channels, clipped at the borders; after normalising, as its author has it, so that 0 is the
    mean colour.  Every view of the step is cut.  Detached: nothing.  No state, no extra forward, no extra parameters.
    Officially the size is 8 on CIFAR-100; the paper takes 16.
    """
    size = x.shape[3] // 2 if size is None else size
    if n < 1 or size < 1:
        raise ValueError(f"cutout(n={n}, size={size}): at least one hole of at least one pixel")
    first = (torch.randint(side, (len(x), n, 1), device=x.device) - size // 2 for side in x.shape[2:])
    steps = (torch.arange(side, device=x.device) for side in x.shape[2:])
    row, column = ((f <= at) & (at < f + size) for f, at in zip(first, steps, strict=True))
    hole = (row[:, :, :, None] & column[:, :, None, :]).any(dim=1, keepdim=True)
    return torch.where(hole, 0, x)

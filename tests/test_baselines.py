"""The methods of the tables and of the related work, each beside its formula written out with loops, in float64."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from conftest import descend, same, training
from formulas import divergence
from formulas import label_loss as ce
from formulas import probabilities as p
from formulas import soft_label_loss as soft_ce

from skdcore import methods
from skdcore.data import Data
from skdcore.methods import METHODS, build, canonical
from skdcore.models import network
from skdcore.state import save
from skdcore.step import Step
from skdcore.sums import parse, teachers
from skdcore.train import Run, Training

K, B, N = 5, 6, 30
STATEFUL = ["ps_kd", "dlb", "ols", "dsr", "dsr(reset=True)", 'dsr(target="mean")']
pytestmark = pytest.mark.quick


class Views(Data):
    """Random images in float64 whose views are noisy (or, with `noise=0`, the images) and are all kept in `seen`."""

    def __init__(self, labels, classes=K, noise=0.5):
        images = torch.randint(0, 256, (len(labels), 3, 16, 16), dtype=torch.uint8)
        super().__init__(images, labels, range(classes))
        self.noise, self.seen = noise, []

    def view(self, index):
        x = self.images[index].double() / 128 - 1
        self.seen.append((index.clone(), x + self.noise * torch.randn(x.shape, dtype=x.dtype)))
        return self.seen[-1][1]


def run(name, data=None, classes=K, epochs=(0, 0, 1, 1), batch=B, net=None, taught=None):
    """Trains in float64, one step for each entry of `epochs`; yields (step, losses by term) before each update."""
    torch.set_default_dtype(torch.float64)
    try:
        data = data or Views(torch.arange(N) % classes, classes)
        net = net or network("resnet10_w16", classes, 16)
        losses, memories = build(name), {}
        for epoch in epochs:
            index = torch.randperm(len(data))[:batch]
            data.seen.clear()
            s = Step(
                net=net, data=data, index=index, epoch=epoch, epochs=4, memories=memories, teachers={"vanilla": taught}
            )
            parts = losses(s)
            yield s, parts
            descend(net, parts, 0.05)
    finally:
        torch.set_default_dtype(torch.float32)


# What formulas.py has not: plain loops, nothing of skdcore.losses or skdcore.methods.


def kl(teacher, student, tau=1):
    return divergence(teacher.detach(), student, tau)


def mean_map(f):
    return torch.stack([torch.stack([c.mean() for c in image]) for image in f])


def part(net, name):
    return next(module for key, module in net.parts.items() if key.endswith(name))


def byot(s, x, state, alpha=0.1, tau=3, weight=0.01):
    features = s.net.features(x[0])
    z4, f4 = s.net.head(features[3]), mean_map(features[3]).detach()
    loss = (1 - alpha) * ce(z4, s.y)
    for b in (1, 2, 3):
        branch = part(s.net, f"branch {b}")
        f_b = mean_map(branch.tower[:-2](features[b - 1]))
        z_b = branch.linear(f_b)
        q = p(z4, tau).detach()
        entropy = -(q * q.log()).sum() / len(q)
        mask = (f_b > 0) | (f4 > 0)
        loss = loss + (1 - alpha) * ce(z_b, s.y) + alpha * tau**2 * (soft_ce(q, z_b, tau) - entropy)
        loss = loss + weight * ((f_b - f4) ** 2 * mask).sum()
    return loss


def byot_journal(s, x, state, alpha=0.3, tau=3, weight=0.03):
    features = s.net.features(x[0])
    z4, f4 = s.net.head(features[3]), mean_map(features[3]).detach()
    loss = ce(z4, s.y)
    for b in (3, 2, 1):
        ac = s.net.exits[b - 1]
        f_b = mean_map(ac.tower[:-2](ac.gate(features[b - 1]) * features[b - 1]))
        loss = loss + alpha * kl(z4, ac.linear(f_b), tau) / tau**2 + 0.7 * ce(ac.linear(f_b), s.y)
        if b < 3:
            A = part(s.net, f"adaptation {b}")
            loss = loss + weight * ((f_b @ A.weight.T + A.bias - f4) ** 2).sum() ** 0.5
    return loss


def cs_kd(s, x, state, weight=1, tau=4):
    return weight * kl(s.net(x[1]), s.net(x[0]), tau)


def ps_kd(s, x, state, alpha=0.8):
    z = s.net(x[0])
    mix = alpha * (s.epoch + 1) / s.epochs
    target = torch.zeros(len(z), z.shape[1])
    for row, i in enumerate(s.index.tolist()):
        hard = torch.tensor([float(k == s.data.labels[i]) for k in range(z.shape[1])])
        target[row] = (1 - mix) * hard + mix * state.get(i, hard)
        state[i] = p(z)[row].detach()
    return soft_ce(target, z)


def dlb(s, x, state, alpha=1, tau=3):
    z0 = s.net(x[0])
    before = dict(state)
    state.update(z=z0.detach(), y=s.y)
    if not before:
        return ce(z0, s.y)
    z1 = s.net(x[1])
    return ce(torch.cat([z1, z0]), torch.cat([before["y"], s.y])) + alpha * kl(before["z"], z1, tau)


def zipf(score, z, y, power):
    total = 0
    for i in range(len(z)):
        others = [k for k in range(z.shape[1]) if k != y[i]]
        zeta = {k: (1 + sum(float(v > score[i][k]) for v in score[i])) ** -power for k in others}
        below = sum(z[i][k].exp() for k in others)
        for k in others:
            q = zeta[k] / sum(zeta.values())
            total = total + q * (math.log(q) - (z[i][k].exp() / below).log())
    return total / len(z)


def zf_ls(s, x, state, weight=0.1, power=1):
    z = s.net(x[0])
    return weight * zipf(z.detach(), z, s.y, power)


def zf_ls_dense(s, x, state, weight=0.1, power=1):
    last = s.net.features(x[0])[3]
    z, votes = s.net.head(last), torch.zeros(B, K)
    fine = F.interpolate(last, scale_factor=2, mode="bilinear", align_corners=False)
    for i in range(B):
        for row in range(fine.shape[2]):
            for column in range(fine.shape[3]):
                votes[i][(s.net.base.fc(fine[i, :, row, column])).argmax()] += 1
    assert votes.sum() == B * fine.shape[2] * fine.shape[3]
    return weight * zipf(votes, z, s.y, power)


def tf_kd(s, x, state, alpha=0.1, correct=0.99, tau=20):
    z = s.net(x[0])
    u = torch.full((len(z), K), (1 - correct) / (K - 1))
    for i in range(len(z)):
        u[i][s.y[i]] = correct
    q = (u / tau).exp() / (u / tau).exp().sum(dim=1)[:, None]
    mean_over_everything = (q * (q.log() - p(z).log())).sum() / (len(z) * K)
    return (1 - alpha) * ce(z, s.y) + alpha * K * mean_over_everything


def ols(s, x, state, alpha=0.5):
    z = s.net(x[0])
    if state.setdefault("epoch", s.epoch) != s.epoch:
        state.update(epoch=s.epoch, last=state.pop("now", {}))
    soft = torch.stack([torch.stack(state.get("last", {}).get(c, [torch.full((K,), 1 / K)])).mean(0) for c in range(K)])
    for i, c in enumerate(s.y.tolist()):
        if z[i].argmax() == c:
            state.setdefault("now", {}).setdefault(c, []).append(p(z)[i].detach())
    return alpha * ce(z, s.y) + (1 - alpha) * soft_ce(soft[s.y], z)


def ddgsd(s, x, state, alpha=1, beta=0.5, tau=3):
    a, b = (s.net.features(view)[3] for view in x)
    z_a, z_b = s.net.head(a), s.net.head(b)
    distance = ((mean_map(a).mean(dim=0) - mean_map(b).mean(dim=0)) ** 2).sum()
    return ce(z_a, s.y) + ce(z_b, s.y) + alpha * (kl(z_a, z_b, tau) + kl(z_b, z_a, tau)) + beta * distance


def frskd(s, x, state, alpha=2, beta=100, tau=4):
    features = s.net.features(x[0])
    maps, z_T = part(s.net, "self-teacher")(features)
    loss = ce(z_T, s.y) + alpha * kl(z_T, s.net.head(features[3]), tau)
    for f, t in zip(features, maps, strict=True):
        a_f, a_t = ((m**2).mean(dim=1).reshape(B, -1) for m in (f, t))
        a_f, a_t = (a / (a**2).sum(dim=1, keepdim=True) ** 0.5 for a in (a_f, a_t))
        loss = loss + beta * ((a_f - a_t.detach()) ** 2).mean()
    return loss


def kd(s, x, state, tau=4):
    return kl(s.teachers["vanilla"](x[0]), s.net(x[0]), tau)


def dsr(s, x, state, beta=1, tau=4, target="last", reset=False):
    r = torch.stack([torch.stack(sorted(row, key=lambda value: value.item())) for row in s.net(x[0])])
    last, epoch = state.get("r", torch.zeros(B, K)), state.get("epoch")
    state.update(r=r.detach(), epoch=s.epoch)
    if reset and epoch != s.epoch:
        return 0 * r.sum()
    q = {"last": p(last, tau), "uniform": torch.full((B, K), 1 / K), "mean": p(last, tau).mean(0).expand(B, K)}[target]
    return beta * tau**2 * (q * (q.log() - p(r, tau).log())).sum() / B


WRITTEN_OUT = {
    "byot(weight=0.01)": byot,
    "byot_journal": byot_journal,
    "cs_kd": cs_kd,
    "cs_kd(weight=3,tau=2)": lambda *a: cs_kd(*a, weight=3, tau=2),
    "ps_kd": ps_kd,
    "dlb": dlb,
    "dlb(alpha=0.5,tau=2)": lambda *a: dlb(*a, alpha=0.5, tau=2),
    "zf_ls": zf_ls,
    "zf_ls(weight=1,power=2)": lambda *a: zf_ls(*a, weight=1, power=2),
    "zf_ls(dense=True)": zf_ls_dense,
    "tf_kd": tf_kd,
    "tf_kd(alpha=0.3,correct=0.9,tau=0.5)": lambda *a: tf_kd(*a, alpha=0.3, correct=0.9, tau=0.5),
    "ols": ols,
    "ols(alpha=0.2)": lambda *a: ols(*a, alpha=0.2),
    "ddgsd(beta=0.5)": ddgsd,
    "frskd": frskd,
    "kd": kd,
    "dsr": dsr,
    "dsr(reset=True)": lambda *a: dsr(*a, reset=True),
    'dsr(target="uniform")': lambda *a: dsr(*a, target="uniform"),
    'dsr(target="mean")': lambda *a: dsr(*a, target="mean"),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_the_loss_and_every_gradient_over_four_steps_of_two_epochs(name):
    taught, state = network("resnet10_w16", K, 16).double().eval(), {}
    for s, losses in run(name, taught=taught):
        loss, parameters = losses[canonical(name)], list(s.net.parameters())
        written = WRITTEN_OUT[name](s, [x for _, x in s.data.seen], state)
        torch.testing.assert_close(loss, written, rtol=1e-10, atol=1e-12)
        got, wanted = (
            torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
            for value in (loss, written)
        )
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)
        assert all(q.grad is None for q in taught.parameters())


def reached(name, steps=1):
    """The parts of the network where the term alone has a gradient, in the last of some steps."""
    made = run(name, epochs=[0] * steps, taught=network("resnet10_w16", K, 16).double().eval())
    for _ in range(steps):
        s, losses = next(made)
    net, loss = s.net, losses[canonical(name)]
    groups = {"block 3": net.base.layer3, "block 4": net.base.layer4, "fc": net.base.fc} | {
        f"exit {k}": net.exits[k - 1] for k in (1, 2, 3)
    }
    groups |= {key.split(" ", 1)[1]: module for key, module in net.parts.items()}
    result = set()
    for key, module in groups.items():
        parameters = list(module.parameters())
        grads = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True, allow_unused=True)
        if any(g.abs().max() > 1e-12 for g in grads):
            result.add(key)
    return result


NET = {"block 3", "block 4", "fc"}
BRANCHES = {"branch 1", "branch 2", "branch 3"}
EXITS = {"exit 1", "exit 2", "exit 3"}


@pytest.mark.parametrize(
    "name, parts",
    [
        ("byot", NET | BRANCHES),
        ("byot(alpha=1)", {"block 3"} | BRANCHES),  # without labels the last block and the head learn nothing
        ("byot_journal", NET | EXITS | {"adaptation 1", "adaptation 2"}),
        ("byot_journal(alpha=1,weight=0)", NET | EXITS),
        ("cs_kd", NET),
        ("ps_kd", NET),
        ("dlb", NET),
        ("zf_ls", NET),
        ("zf_ls(dense=True)", NET),
        ("tf_kd", NET),
        ("ols", NET),
        ("ddgsd", NET),
        ("frskd", NET | {"self-teacher"}),
        ("frskd(alpha=0,beta=0)", {"block 3", "block 4", "self-teacher"}),  # the self-teacher's labels alone
        ("kd", NET),
        ('dsr(target="uniform")', NET),
    ],
)
def test_gradients_reach_only_what_the_source_says(name, parts):
    assert reached(name, steps=2) == parts


def test_the_first_step_of_dlb_is_cross_entropy_bit_for_bit():
    s, losses = next(run("dlb"))
    assert torch.equal(losses["dlb"], F.cross_entropy(s.z, s.y)) and len(s.data.seen) == 1


def test_dlb_sees_the_last_batch_again_in_a_new_view_also_across_epochs():
    last = None
    for s, losses in run("dlb(alpha=0)"):
        if last is not None:
            (now, _), (again, x) = s.data.seen
            assert torch.equal(now, s.index) and torch.equal(again, last[0]) and not torch.equal(x, last[1])
            z = torch.cat([s.net(x), s.z])
            both = F.cross_entropy(z, torch.cat([s.data.labels[last[0]], s.y]))
            torch.testing.assert_close(losses["dlb(alpha=0)"], both)  # alpha = 0: cross entropy over 2B rows
        last = s.data.seen[0]


def test_dlb_teaches_nothing_where_view_and_weights_stay_as_they_were():
    data, net = Views(torch.arange(N) % K, noise=0), network("resnet10_w16", K, 16).double().eval()
    steps = run("dlb", data=data, net=net)
    memory = next(steps)[0].memories["dlb"]
    index = memory["index"].clone()
    s = Step(net=net, data=data, index=index, epoch=0, epochs=4, memories={"dlb": memory})
    torch.testing.assert_close(build("dlb")(s)["dlb"], F.cross_entropy(s.z, s.y))  # both halves are one; KL = 0


def test_ps_kd_is_cross_entropy_in_epoch_0_and_reaches_alpha_in_the_last(monkeypatch):
    for s, losses in run("ps_kd", epochs=[0] * 3, data=Views(torch.arange(N) % K), batch=N):
        torch.testing.assert_close(losses["ps_kd"], F.cross_entropy(s.z, s.y), rtol=1e-12, atol=0)
        s.memory["p"].copy_(F.one_hot(s.data.labels, K))  # as if each image came once an epoch
    z, y, table = torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([[0.0, 0.5, 0.5], [0.25, 0.5, 0.25]])
    monkeypatch.setattr(methods, "cross_entropy", lambda z, target: target)
    for epochs in (1, 3, 7, 200):
        s = fake(z, y, epoch=epochs - 1, epochs=epochs, memory={"p": table.clone()})
        assert torch.equal(methods.ps_kd(s, alpha=1.0), table)


def test_ps_kd_remembers_the_softmax_of_the_batch_and_nothing_else():
    before = None
    for s, _ in run("ps_kd"):
        table = s.memories["ps_kd"]["p"]
        torch.testing.assert_close(table[s.index], s.z.softmax(dim=1).detach())
        torch.testing.assert_close(table.sum(dim=1), torch.ones(N))
        if before is not None:
            rest = [i for i in range(N) if i not in s.index.tolist()]
            assert torch.equal(table[rest], before[rest])
        before = table.clone()


def test_cs_kd_normalises_anchors_first_then_partners():
    s, _ = next(run("cs_kd"))
    norm, again = s.net.base.bn1, torch.nn.BatchNorm2d(16).double()
    assert norm.num_batches_tracked == 2
    for _, x in s.data.seen:
        again(s.net.base.conv1(x))
    torch.testing.assert_close(norm.running_mean, again.running_mean)
    torch.testing.assert_close(norm.running_var, again.running_var)


def test_cs_kd_draws_partners_of_the_same_class():
    for s, _ in run("cs_kd"):
        (anchors, _), (partners, _) = s.data.seen
        assert torch.equal(s.data.labels[anchors], s.data.labels[partners])


def test_cs_kd_with_one_image_a_class_has_the_anchor_for_partner():
    data = Views(torch.arange(N), classes=N, noise=0)
    s, losses = next(run("cs_kd", data=data, classes=N))
    assert torch.equal(data.seen[0][0], data.seen[1][0])
    torch.testing.assert_close(losses["cs_kd"], torch.tensor(0.0, dtype=torch.float64))


def fake(z, y, **values):
    """As much of a step as a method of logits looks at."""
    values = {"index": torch.arange(len(y)), "memory": {}, "epoch": 0, "epochs": 1} | values
    return SimpleNamespace(z=z, y=y, data=SimpleNamespace(labels=y), **values)


def gradient(function, z, y, **keywords):
    z = z.clone().requires_grad_()
    function(fake(z, y), **keywords).backward()
    return z.grad


def test_tf_kd_is_nearly_label_smoothing():
    z, y = 3 * torch.randn(128, 100).double(), torch.randint(100, (128,))
    difference = gradient(methods.tf_kd, z, y) - gradient(methods.ls, z, y, eps=0.1)
    assert 0 < difference.abs().max() <= 6e-6
    assert 128 * difference.abs().max() <= 5.1e-5  # of a single image: alpha * (0.010502 - 1 / K)


def test_tf_kd_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match="greater than 0"):
        methods.tf_kd(fake(torch.randn(2, 3), torch.tensor([0, 1])), tau=0.0)


def zeta(z, y, **keywords):
    """Zipf's distribution read off the gradient of KL(zeta -> p), which is p - zeta."""
    others = z.masked_fill(F.one_hot(y, z.shape[1]).bool(), -torch.inf).softmax(dim=1)
    return others - len(z) * gradient(methods.zf_ls, z, y, weight=1.0, **keywords)


def test_zipf_ranks_with_a_gap_at_the_target_and_ties_at_the_best_rank():
    z, y = torch.tensor([[3.0, 1.0, 2.0, 1.0, 0.0]]).double(), torch.tensor([2])
    weights = torch.tensor([[1, 1 / 3, 0, 1 / 3, 1 / 5]]).double()
    torch.testing.assert_close(zeta(z, y), weights / weights.sum())
    torch.testing.assert_close(zeta(z, y, power=2.0), weights**2 / (weights**2).sum())


def test_zipf_depends_on_the_order_of_the_logits_alone_and_spares_the_target():
    z, y = torch.randn(7, 20).double(), torch.randint(20, (7,))
    reference = zeta(z, y)
    torch.testing.assert_close(reference.sum(dim=1), torch.ones(7).double())
    for same_order in (z.exp(), z**3, 5 * z - 2):
        torch.testing.assert_close(zeta(same_order, y), reference)
    assert torch.equal(gradient(methods.zf_ls, z, y).gather(1, y[:, None]), torch.zeros(7, 1).double())


def test_ols_starts_uniform_and_takes_its_new_table_at_an_epochs_start():
    z, y = torch.tensor([[4.0, 0, 0], [3.0, 1, 0], [0, 0, 2.0]]), torch.tensor([0, 0, 1])
    s = fake(z, y, memory={})
    methods.ols(s)
    assert torch.equal(s.memory["S"], torch.full((3, 3), 1 / 3))
    methods.ols(s)
    assert torch.equal(s.memory["S"], torch.full((3, 3), 1 / 3))  # still epoch 0
    later = fake(z, y, memory=s.memory, epoch=1)
    methods.ols(later)
    table = torch.stack([z[:2].softmax(dim=1).mean(dim=0), torch.full((3,), 1 / 3), torch.full((3,), 1 / 3)])
    torch.testing.assert_close(later.memory["S"], table)  # row 1: its image was not classified rightly
    torch.testing.assert_close(later.memory["sums"].sum(), torch.tensor(2.0))  # of the new epoch alone


@pytest.mark.parametrize(
    "name, memory",
    [
        ("byot", {}),
        ("byot_journal", {}),
        ("cs_kd", {}),
        ("ps_kd", {"p": (N, K)}),
        ("dlb", {"index": (B,), "z": (B, K)}),
        ("zf_ls", {}),
        ("zf_ls(dense=True)", {}),
        ("tf_kd", {}),
        ("ols", {"S": (K, K), "sums": (K, K), "epoch": ()}),
        ("ddgsd", {}),
        ("frskd", {}),
        ("kd", {}),
        ("dsr", {"ranked": (B, K)}),
        ("dsr(reset=True)", {"ranked": (B, K), "epoch": ()}),
    ],
)
def test_memory_is_what_the_docstring_says_and_written_in_place(name, memory):
    places = []
    for s, _ in run(name, taught=network("resnet10_w16", K, 16).double().eval()):
        kept = s.memories.get(canonical(name), {})
        assert {key: tuple(value.shape) for key, value in kept.items()} == memory
        assert all(not value.requires_grad for value in kept.values())
        places.append({key: value.data_ptr() for key, value in kept.items()})
    assert all(place == places[0] for place in places)


EVERY = [name for name in METHODS if name not in ("kd", "cutout")] + [
    "zf_ls(dense=True)",
    "dsr(reset=True)",
    'dsr(target="mean")',
    'dsr(target="uniform")',
    "cutout",
    "drg(alpha=0)",
    "drg(detach=False)",
]


@pytest.mark.parametrize("name", [*EVERY, "kd"])
@pytest.mark.parametrize("classes, batch", [(2, 4), (3, 1)])
def test_two_classes_and_a_batch_of_one(name, classes, batch):
    data, taught = Views(torch.arange(12) % classes, classes), network("resnet10_w16", classes, 16).double().eval()
    for _, losses in run(name, classes=classes, batch=batch, data=data, taught=taught):
        assert all(value.isfinite() for value in losses.values())


def data(n=24, classes=4, **augment):
    images = torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8)
    return Data(images, torch.arange(n) % classes, range(classes), **augment)


def steps(made, count):
    """Some more steps: three make an epoch."""
    state = made.state
    for _ in range(count):
        made.step()
        state.at += 1
        if state.at == len(state.batches):
            made.end_epoch()
            state.net.train()


SUMS = ["ps_kd+drg+dsr", "cutout+drg(k=1)+drg(k=3)+dsr", "cutout+dlb", "ols+frskd+cs_kd+zf_ls"]


@pytest.mark.parametrize("name", EVERY + SUMS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_three_small_steps_of_training(name, precision):
    made = training(name, [data(padding=2, flip=True), data()], precision, batch=8)
    net, memories = made.state.net, made.state.memories
    before = [q.detach().clone() for q in net.parameters()]
    trained = {id(q) for q in made.trained}
    steps(made, 3)
    assert all(math.isfinite(loss) for series in made.state.curve["loss"].values() for loss in series)
    for q, old in zip(net.parameters(), before, strict=True):
        assert (id(q) in trained) == (not torch.equal(q, old))
    assert all(m.dtype != torch.bfloat16 for memory in memories.values() for m in memory.values())


@pytest.mark.parametrize("name", [*STATEFUL, "ps_kd+drg+dsr", "cutout+dlb+dsr+frskd"])
@pytest.mark.parametrize("done", [2, 3])
def test_a_stopped_run_resumes_bit_for_bit(name, done, tmp_path):
    splits = [data(padding=2, flip=True), data()]
    whole = training(name, splits, batch=8)
    steps(whole, done)
    save(whole.state.state_dict(), tmp_path / "0.checkpoint.pt")
    steps(whole, 3)
    again = training(name, splits, batch=8)
    torch.manual_seed(2)
    again.resume(tmp_path / "0.json")
    again.state.net.train()
    steps(again, 3)
    assert again.state.memories.keys() == whole.state.memories.keys() != set()
    kept, resumed = whole.state.state_dict(), again.state.state_dict()
    assert all(same(kept[key], resumed[key]) for key in kept.keys() - {"seconds", "provenance"})


def test_kd_without_a_teacher_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="no teacher 'vanilla': its run must be trained first"):
        settings = Run("glyphs", "resnet10_w16", "kd").settings()
        Training(settings | {"batch": 8}, data(), data(), torch.device("cpu"))


def test_the_teacher_of_kd_is_a_sum_in_canonical_form():
    assert canonical('kd(teacher="vanilla")') == "kd"
    assert canonical("kd(teacher='drg(k=2)+dsr( beta=2.0 )')+cutout()") == 'cutout+kd(teacher="drg+dsr(beta=2)")'
    assert canonical(canonical("kd(teacher=\"dsr(target='mean')\")")) == canonical("kd(teacher=\"dsr(target='mean')\")")
    assert teachers("kd+drg") == ["vanilla"] and teachers('kd(teacher="drg(k=2)")') == ["drg"]
    assert teachers("drg+dsr") == []


@pytest.mark.parametrize(
    "teacher, message",
    [
        ("kd", "takes no teacher itself"),
        ("kd(tau=2)+drg", "takes no teacher itself"),
        ("kd(teacher='drg')", "takes no teacher itself"),
        ("vanila", "unknown method 'vanila'; did you mean vanilla"),
        ("drg(kk=1)", "unknown keyword of drg 'kk'"),
        ("", "not a sum of methods"),
    ],
)
def test_a_teacher_that_is_unknown_or_takes_a_teacher_is_refused(teacher, message):
    with pytest.raises(ValueError) as error:
        parse(f'kd(teacher="{teacher}")')
    assert message in str(error.value)


def test_words_and_kinds_of_keywords():
    assert canonical('dsr(target="last",reset=False)') == "dsr" and canonical("dsr(reset=True)") == "dsr(reset=True)"
    assert canonical("cutout(size=None)+vanilla") == "cutout" and canonical("cutout(size=8)") == "cutout(size=8)"
    with pytest.raises(ValueError, match="unknown target of dsr 'uniforn'; did you mean uniform"):
        parse('dsr(target="uniforn")')
    for text in ("dsr(target=1)", "dsr(reset=1)", "cutout(size=2.0)", "zf_ls(dense=0)", "kd(teacher=3)"):
        with pytest.raises(ValueError, match="takes"):
            parse(text)
    with pytest.raises(ValueError, match="each hold the label loss"):
        parse("ps_kd+dlb")


@pytest.mark.parametrize("n, size, side", [(1, None, 16), (1, 3, 16), (1, 40, 16), (3, 4, 32)])
def test_cutout_sets_squares_to_the_mean_colour_clipped_at_the_borders(n, size, side):
    x = torch.rand(200, 3, side, side).contiguous(memory_format=torch.channels_last) + 1
    cut = methods.cutout(x, n, size)
    hole, size = cut == 0, size or side // 2
    assert torch.equal(cut, x.masked_fill(hole, 0)) and cut.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(hole[:, 0], hole[:, 1]) and torch.equal(hole[:, 0], hole[:, 2])
    corners = set()
    for image in hole[:, 0]:
        rows, columns = image.any(dim=1).nonzero().flatten(), image.any(dim=0).nonzero().flatten()
        assert 1 <= image.sum() <= n * size**2
        if n == 1:  # a full rectangle, smaller than the square only where a border cuts it
            assert image.sum() == len(rows) * len(columns)
            for at in (rows, columns):
                assert len(at) == min(size, side) or at[0] == 0 or at[-1] == side - 1
                assert len(at) >= min(size, side) // 2
        corners.add((rows[0].item(), columns[0].item()))
    assert (len(corners) > 1) == (size < side)


def test_cutout_centres_are_uniform_over_the_pixels():
    x = torch.ones(4000, 1, 4, 4)
    hit = (methods.cutout(x, size=1) == 0)[:, 0].double().mean(dim=0)
    torch.testing.assert_close(hit, torch.full((4, 4), 1 / 16).double(), rtol=0, atol=0.02)


def test_cutout_cuts_every_view_of_the_step():
    *_, (s, _) = run("cutout+dlb", epochs=[0, 0])
    assert (s.x == 0).flatten(1).any(dim=1).all()
    assert (s.view(s.index) == 0).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("keywords", [{"n": 0}, {"size": 0}, {"size": -4}])
def test_cutout_refuses_no_hole(keywords):
    with pytest.raises(ValueError, match="at least one hole"):
        methods.cutout(torch.ones(1, 3, 8, 8), **keywords)


def test_cutout_of_any_size_beyond_twice_the_side_leaves_nothing():
    assert not methods.cutout(torch.ones(4, 3, 8, 8), size=16).any()
    assert not methods.cutout(torch.ones(4, 3, 8, 8), size=10**30).any()


@pytest.mark.parametrize("n", [65, 10**9, 10**30])
def test_cutout_refuses_more_holes_than_pixels(n):
    with pytest.raises(ValueError, match=rf"cutout\(n={n}\): an image of 8 x 8 pixels takes at most a hole for each"):
        methods.cutout(torch.ones(1, 3, 8, 8), n=n)

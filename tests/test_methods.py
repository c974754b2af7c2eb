"""DRG (equations 8-10), DSR (11, 12), label smoothing, and the names of sums."""

import inspect

import pytest
import torch
from formulas import divergence, gradient, label_loss, soft_label_loss
from test_losses import logits

from skdcore.losses import cross_entropy, kl
from skdcore.methods import METHODS, build, canonical, drg, dsr, ls, vanilla
from skdcore.sums import keywords_of, method, parse

B, K = 6, 9
pytestmark = pytest.mark.quick


class Given:
    """A step whose logits are given: what a method sees of `Step`."""

    def __init__(self, z, exits=None, memory=None):
        self.z, self.exits, self.y = z, exits or {}, torch.arange(B) % K
        self.memory = {} if memory is None else memory

    def exit(self, k):
        return self.exits[k]


# --- the formulas ---


def test_vanilla_is_equation_2():
    s = Given(logits())
    torch.testing.assert_close(vanilla(s), label_loss(s.z, s.y))


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
def test_ls_smooths_over_all_classes_the_target_among_them(eps):
    s = Given(logits())
    target = torch.full((B, K), eps / K, dtype=torch.float64)
    target[range(B), s.y] += 1 - eps
    literal = soft_label_loss(target, s.z)
    torch.testing.assert_close(ls(s, eps=eps), literal)
    torch.testing.assert_close(gradient(ls(s, eps=eps), s.z), gradient(literal, s.z))


@pytest.mark.parametrize("alpha, tau", [(0.2, 1.0), (0.2, 4.0), (1.5, 2.0)])
def test_drg_is_equation_10_less_the_label_loss(alpha, tau):
    s = Given(logits(), {2: logits()})
    q = s.exits[2]
    value = drg(s, alpha=alpha, tau=tau)
    torch.testing.assert_close(value, label_loss(q, s.y) + alpha * divergence(q, s.z, tau))
    torch.testing.assert_close(gradient(value, s.z), gradient(alpha * divergence(q, s.z, tau), s.z))


def test_drg_takes_the_exit_it_is_told():
    s = Given(logits(), {k: logits() for k in (1, 2, 3)})
    for k in (1, 2, 3):
        torch.testing.assert_close(drg(s, k=k), drg(Given(s.z, {2: s.exits[k]})))


def test_reverse_guidance_does_not_teach_the_auxiliary_classifier():
    s = Given(logits(), {2: logits()})
    z, teacher = s.z, s.exits[2]
    torch.testing.assert_close(gradient(drg(s, alpha=7), teacher), gradient(label_loss(teacher, s.y), teacher))
    assert gradient(drg(s, alpha=7), z).abs().max() > 1e-3


def test_drg_that_is_not_detached_teaches_the_auxiliary_classifier_too():
    s = Given(logits(), {2: logits()})
    literal = label_loss(s.exits[2], s.y) + 0.2 * divergence(s.exits[2], s.z, 1.0)
    torch.testing.assert_close(gradient(drg(s, detach=False), s.exits[2]), gradient(literal, s.exits[2]))


def test_reverse_guidance_gradient_rows_sum_to_zero():
    s = Given(logits(), {2: logits()})
    torch.testing.assert_close(gradient(drg(s), s.z).sum(dim=1), torch.zeros(B, dtype=torch.float64))


def test_reverse_guidance_vanishes_where_the_network_agrees_up_to_a_constant():
    teacher = logits()
    s = Given(teacher.detach() + torch.randn(B, 1, dtype=torch.float64), {2: teacher})
    torch.testing.assert_close(drg(s, alpha=100), label_loss(teacher, s.y))


def test_drg_without_guidance_is_deep_supervision_alone():
    s = Given(logits(), {2: logits()})
    assert torch.equal(drg(s, alpha=0), cross_entropy(s.exits[2], s.y))
    assert gradient(drg(s, alpha=0), s.z).abs().max() == 0


@pytest.mark.parametrize("beta, tau", [(1.0, 4.0), (1.0, 1.0), (0.3, 2.0)])
def test_dsr_is_equation_12_less_the_label_loss(beta, tau):
    last, s = logits().detach().sort(dim=1).values, Given(logits())
    s.memory["ranked"] = last.clone()
    ranked = torch.stack([torch.stack(sorted(row)) for row in s.z])  # sorted by Python, differentiable by rows
    literal = beta * divergence(last, ranked, tau)
    value = dsr(s, beta=beta, tau=tau)
    torch.testing.assert_close(value, literal)
    torch.testing.assert_close(gradient(value, s.z), gradient(literal, s.z))


def permuted(z):
    """Each row's classes in another order."""
    return torch.stack([row[torch.randperm(K)] for row in z])


def test_dsr_does_not_see_which_class_has_which_rank():
    first, second = logits().detach(), logits().detach()

    def after(first, second):
        memory = {}
        dsr(Given(first, memory=memory))
        return dsr(Given(second, memory=memory))

    expected = after(first, second)
    assert expected > 1e-3
    torch.testing.assert_close(after(permuted(first), second), expected)
    torch.testing.assert_close(after(first, permuted(second)), expected)


def test_dsr_does_see_the_order_of_the_rows():
    memory = {}
    first, second = logits().detach(), logits().detach()
    dsr(Given(first, memory=memory))
    other = {"ranked": memory["ranked"].flip(0)}
    assert (dsr(Given(second, memory=memory)) - dsr(Given(second, memory=other))).abs() > 1e-3


def test_dsr_is_zero_where_the_ranked_rows_agree_up_to_a_constant():
    z, memory = logits().detach(), {}
    dsr(Given(z, memory=memory))
    assert dsr(Given(permuted(z) + torch.randn(B, 1, dtype=torch.float64), memory=memory)).abs() < 1e-12


def test_dsr_gives_no_gradient_to_the_iteration_before():
    first, second, memory = logits(), logits(), {}
    dsr(Given(first, memory=memory))
    assert not memory["ranked"].requires_grad
    dsr(Given(second, memory=memory)).backward()
    assert first.grad is None and second.grad.abs().max() > 0


def test_dsr_starts_from_zeros_which_teach_the_uniform_distribution():
    z = logits()
    torch.testing.assert_close(dsr(Given(z)), divergence(torch.zeros(B, K, dtype=torch.float64), z, 4.0))


def test_dsr_remembers_the_last_iteration_in_place_and_is_never_reset(make_step):
    """Algorithm 2 sets R to 0 once: a new epoch begins with the ranked logits of the one before."""
    memories, sum_ = {}, build("dsr")
    sum_(make_step(memories))
    place = memories["dsr"]["ranked"].data_ptr()
    first = make_step(memories, epoch=0)
    sum_(first)
    second = make_step(memories, epoch=1)
    losses = sum_(second)
    ranked = [step.z.detach().sort(dim=1).values for step in (first, second)]
    torch.testing.assert_close(losses["dsr"].detach(), kl(ranked[0], ranked[1], 4.0))
    assert torch.equal(memories["dsr"]["ranked"], ranked[1]) and memories["dsr"]["ranked"].data_ptr() == place


def test_dsr_refuses_a_memory_of_another_batch_size():
    with pytest.raises(ValueError, match="one shape"):
        dsr(Given(logits(), memory={"ranked": torch.zeros(B - 1, K, dtype=torch.float64)}))


# --- sums ---


def test_no_method_at_all_is_cross_entropy_bit_for_bit(make_step):
    step = make_step()
    with_dsr = make_step(z=step.z)
    plain = torch.nn.functional.cross_entropy(step.z, step.y)
    assert torch.equal(sum(build("vanilla")(step).values()), plain)
    assert torch.equal(sum(build("dsr(beta=0)")(with_dsr).values()), plain)


def test_a_sum_adds_the_label_loss_once_and_each_term(make_step):
    step = make_step()
    last = torch.randn_like(step.z).sort(dim=1).values
    shared = {"x": step.x, "features": step.features, "z": step.z, "_exits": {2: step.exit(2)}}

    def losses(name):
        memories = {"dsr": {"ranked": last.clone()}}
        return build(name)(make_step(memories, **shared))

    total = losses("drg+dsr")
    assert list(total) == ["vanilla", "drg", "dsr"]
    parts = [losses("vanilla")["vanilla"], losses("drg")["drg"], losses("dsr")["dsr"]]
    assert sum(total.values()).item() == pytest.approx(sum(parts).item(), abs=1e-5)
    assert list(losses("ls+dsr+drg(k=2, alpha=0.1)")) == ["ls", "dsr", "drg(alpha=0.1)"]


def test_terms_of_one_method_keep_memories_of_their_own(make_step):
    memories = {}
    build("dsr+dsr(tau=1)")(make_step(memories))
    assert memories.keys() == {"dsr", "dsr(tau=1)"}
    assert memories["dsr"]["ranked"].data_ptr() != memories["dsr(tau=1)"]["ranked"].data_ptr()


@pytest.mark.parametrize("detach", [True, False])
def test_reverse_guidance_reaches_the_auxiliary_classifier_only_where_it_is_not_detached(make_step, detach):
    """The oracle of methods 2.7 on parameters, exactly: the AC's gradient does not depend on alpha."""
    step = make_step()

    def gradients(parameters, alpha):
        loss = drg(step, alpha=alpha, detach=detach)
        return torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)

    ac, last = step.net.exits[1].parameters, step.net.base.layer4.parameters
    assert all(torch.equal(*pair) for pair in zip(gradients(ac(), 0), gradients(ac(), 50), strict=True)) == detach
    assert all(with_.abs().max() > 0 for with_ in gradients(last(), 50))


def test_views_are_applied_before_any_term_sees_the_images(make_step, spare_methods):
    @method(view=True)
    def grey(images, by=0.5):
        return torch.full_like(images, by)

    assert canonical("dsr+grey(by=0.25)+drg") == "grey(by=0.25)+dsr+drg"
    step = make_step()
    assert list(build("dsr+grey(by=0.25)")(step)) == ["vanilla", "dsr"]
    assert (step.x == 0.25).all() and (step.view(step.index) == 0.25).all()


# --- names ---


@pytest.mark.parametrize(
    "written, text",
    [
        ("drg(k=2)", "drg"),
        ("drg()", "drg"),
        ("drg(k=2, alpha=0.2, tau=1, detach=True)", "drg"),
        ("drg(tau=4,k=1)", "drg(k=1,tau=4)"),
        ("drg(tau=4.0)", "drg(tau=4)"),
        ("drg( alpha = .10 )", "drg(alpha=0.1)"),
        ("drg(alpha=0)", "drg(alpha=0)"),
        ("drg(alpha=1e-7)", "drg(alpha=1e-07)"),
        ("drg(detach=False)", "drg(detach=False)"),
        ("dsr(beta=-1)", "dsr(beta=-1)"),
        (" dsr + drg ", "dsr+drg"),
        ("(drg + dsr)", "drg+dsr"),
        ("drg(k=1)+drg(k=2)+dsr", "drg(k=1)+drg+dsr"),
        ("dsr(tau=2)+ls(eps=0.10)", "dsr(tau=2)+ls"),
        ("vanilla", "vanilla"),
        ("vanilla+drg", "drg"),
    ],
)
def test_a_sum_has_one_canonical_text_and_reading_that_changes_nothing(written, text):
    assert canonical(written) == text
    assert canonical(text) == text


def test_texts_are_canonical_with_quotes_as_with_numbers(spare_methods):
    @method
    def toy(s, teacher="vanilla", n=None, tau=4.0):
        return s

    assert canonical("toy(teacher='drg(k=1)+dsr',tau=2)") == 'toy(teacher="drg(k=1)+dsr",tau=2)'
    assert canonical("toy(teacher='vanilla', n=3)") == "toy(n=3)"
    text = r'toy(teacher="say \"no\"\n")'
    assert canonical("toy(teacher='say \"no\"\\n')") == text == canonical(text)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is_and_has_keywords_with_plain_defaults(name):
    assert inspect.getdoc(METHODS[name])
    for keyword, default in keywords_of(METHODS[name]).items():
        assert default is None or type(default) in (int, float, bool, str), keyword
    assert canonical(name) == name


@pytest.mark.parametrize(
    "name, words",
    [
        ("dgr", "unknown method 'dgr'; did you mean .*drg"),
        ("drg+dsrr", "unknown method 'dsrr'; did you mean dsr"),
        ("xyzzy", "unknown method 'xyzzy'; known: .*drg, dsr, .*vanilla"),
        ("drg(alhpa=1)", "unknown keyword of drg 'alhpa'; did you mean alpha"),
        ("vanilla(tau=1)", "vanilla takes no keywords, such as tau"),
        ("drg+drg", "drg is in .* twice"),
        ("drg+dsr+drg(k=2)", "drg is in .* twice"),
        ("vanilla+ls", "vanilla and ls each hold the label loss"),
        ("drg(1)", "not a method with keywords"),
        ("drg(*[1])", "not a method with keywords"),
        ("drg(**{'k': 1})", "keyword"),
        ("drg(k=1,k=3)", "k"),
        ("ls(eps=2)", "eps is a share, from 0 to 1"),
        ("dsr+ps_kd(alpha=-0.1)", r"ps_kd\(alpha=-0.1\): alpha is a share, from 0 to 1"),
        ("drg(k=2.0)", "k takes int"),
        ("drg(k='2')", "k takes int"),
        ("drg(k=True)", "k takes int"),
        ("drg(k=None)", "k takes int"),
        ("drg(alpha='0.1')", "alpha takes float"),
        ("drg(alpha=True)", "alpha takes float"),
        ("drg(alpha=1e999)", "alpha takes float"),
        ("drg(alpha=1" + 400 * "0" + ")", "alpha"),
        ("drg(alpha=nan)", "plain value"),
        ("drg(alpha=2j)", "alpha takes float"),
        ("drg(alpha=[0.1])", "alpha takes float"),
        ("drg(detach=1)", "detach takes bool"),
        ("drg(detach='no')", "detach takes bool"),
        ("", "not a sum of methods"),
        ("drg+", "not a sum of methods"),
        ("drg dsr", "not a sum of methods"),
        ("-" * 3000 + "drg", r"not a sum of methods: '-+ \.\.\. -+drg'"),
        ("-" * 900 + "drg", "not a method with keywords"),
        ("drg(k=" + "-" * 900 + "1)", "takes a plain value"),
        ("drg-dsr", "not a method with keywords"),
        ("2*drg", "not a method with keywords"),
        ("drg+(dsr+ls)", "not a method with keywords"),
        ("drg\0", "not a sum of methods"),
        ("drg(k=1if 1else 2)", "takes a plain value"),
        ("dsr(target=uniform)", r"not 'uniform'; a word is quoted: target=\""),
        ("(" * 500 + "drg", "not a sum of methods"),
        ("drg+" * 5000 + "dsr", "drg"),
        (None, "not a sum of methods"),
        (3, "not a sum of methods"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_text_that_is_no_sum_of_methods_is_refused_in_words(name, words):
    with pytest.raises(ValueError, match=words):
        build(name)


@pytest.mark.parametrize(
    "name",
    [
        "{call}",
        "drg(k={call})",
        "drg(alpha={call})",
        "drg(k=[{call}])",
        "drg()({call})",
        "drg+{call}",
        "drg(k=(lambda: {call})())",
        "[drg for _ in [{call}]]",
        "(x:={call})",
        "f'{{{call}}}'",
    ],
)
def test_code_in_a_text_is_refused_and_never_run(name, tmp_path):
    made = tmp_path / "made"
    with pytest.raises(ValueError):
        parse(name.format(call=f"open({str(made)!r}, 'w')"))
    assert not made.exists()

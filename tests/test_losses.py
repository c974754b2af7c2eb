"""Equations (1)-(5), written out beside the code."""

import pytest
import torch
from formulas import divergence, gradient, label_loss, probabilities, soft_label_loss

from skdcore.losses import cross_entropy, kl, softmax
from skdcore.measures import calibration_error, ranked_variances, scores

B, K = 6, 9
pytestmark = pytest.mark.quick


def logits(scale=2.0):
    return (scale * torch.randn(B, K, dtype=torch.float64)).requires_grad_()


@pytest.mark.parametrize("tau", [0.5, 1.0, 4.0])
def test_softmax_is_equation_1(tau):
    z = logits()
    torch.testing.assert_close(softmax(z, tau), probabilities(z, tau))
    torch.testing.assert_close(softmax(z, tau).sum(dim=1), torch.ones(B, dtype=torch.float64))


def test_cross_entropy_is_equation_2_with_its_minus_sign_and_without_1_over_k():
    z, y = logits(), torch.randint(K, (B,))
    torch.testing.assert_close(cross_entropy(z, y), label_loss(z, y))
    onehot = torch.nn.functional.one_hot(y, K)
    torch.testing.assert_close(gradient(cross_entropy(z, y), z), (probabilities(z, 1) - onehot).detach() / B)


def test_cross_entropy_takes_target_probabilities():
    z, target = logits(), softmax(logits()).detach()
    torch.testing.assert_close(cross_entropy(z, target), soft_label_loss(target, z))


@pytest.mark.parametrize("tau", [0.7, 1.0, 4.0])
def test_kl_is_tau_squared_times_equation_4_teacher_first(tau):
    teacher, student = logits(), logits()
    value = kl(teacher, student, tau)
    torch.testing.assert_close(value, divergence(teacher, student, tau).detach())
    torch.testing.assert_close(gradient(value, student), gradient(divergence(teacher, student, tau), student))


def test_kl_gives_the_teacher_no_gradient():
    teacher, student = logits(), logits()
    kl(teacher, student, 2.0).backward()
    assert teacher.grad is None


def test_kl_that_is_not_detached_gives_the_teacher_the_literal_gradient():
    teacher, student = logits(), logits()
    got = gradient(kl(teacher, student, 2.0, detach=False), teacher)
    torch.testing.assert_close(got, gradient(divergence(teacher, student, 2.0), teacher))
    assert got.abs().max() > 1e-3


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_kl_gradient_rows_sum_to_zero_and_it_vanishes_up_to_a_constant_a_row(tau):
    teacher, student = logits(), logits()
    torch.testing.assert_close(
        gradient(kl(teacher, student, tau), student).sum(dim=1), torch.zeros(B, dtype=torch.float64)
    )
    shifted = teacher + torch.randn(B, 1, dtype=torch.float64)
    assert kl(teacher, shifted, tau).abs() < 1e-12 < kl(teacher, student, tau)


def test_kl_of_extreme_logits_is_finite():
    teacher, student = torch.tensor([[1e4, 0.0, -1e4]]), torch.tensor([[-1e4, 0.0, 1e4]], requires_grad=True)
    value = kl(teacher, student)
    value.backward()
    assert value == 2e4 and student.grad.isfinite().all()


@pytest.mark.parametrize("tau", [0, -1.0, float("nan")])
def test_kl_refuses_a_temperature_that_is_not_positive(tau):
    with pytest.raises(ValueError, match="tau"):
        kl(logits(), logits(), tau)


def test_kl_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"\(1, 9\).*\(6, 9\)"):
        kl(logits()[:1], logits())


def test_scores_are_their_definitions():
    z, y = logits().detach().float(), torch.randint(K, (B,))
    p = probabilities(z.double(), 1)
    expected = {
        "accuracy": 100 * sum(int(p[i].argmax() == y[i]) for i in range(B)) / B,
        "nll": -sum(p[i, y[i]].log().item() for i in range(B)) / B,
        "entropy": -sum((row * row.log()).sum().item() for row in p) / B,
        "p_true": sum(p[i, y[i]].item() for i in range(B)) / B,
    }
    got = scores(z, y)
    assert {name: got[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert got.keys() - expected.keys() == {"ece"}


def test_calibration_error_is_its_definition_with_15_bins():
    confidence = torch.rand(500, dtype=torch.float64)
    confidence[:3] = torch.tensor([0.2, 1.0, 1 / 15])  # the upper edge belongs to the bin below it
    right = (torch.rand(500) < 0.6).double()
    literal = 0
    for b in range(15):
        chosen = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if chosen.any():
            literal += chosen.double().mean() * (right[chosen].mean() - confidence[chosen].mean()).abs()
    assert calibration_error(confidence, right).item() == pytest.approx(literal.item(), abs=1e-12)


def test_calibration_error_of_a_sure_and_right_network_is_zero():
    assert calibration_error(torch.ones(4), torch.ones(4)) == 0


def test_ranked_variances_are_the_mean_over_ranks_of_the_variance_over_images():
    z = logits().detach()
    for name, values in (("var_logits", z), ("var_probs", probabilities(z, 1))):
        ranks = torch.tensor([sorted(row) for row in values.tolist()])
        literal = sum(((r - r.mean()) ** 2).mean().item() for r in ranks.T) / K
        assert ranked_variances(z)[name] == pytest.approx(literal, rel=1e-6)

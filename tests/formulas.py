"""The paper's equations, written out one number at a time, for every test beside which they stand; nothing of skdcore.

Logits are (B, K) of any dtype; results are differentiable.
"""

import torch


def probabilities(z, tau=1):
    """Equation (1)."""
    return torch.stack([torch.stack([(v / tau).exp() / (row / tau).exp().sum() for v in row]) for row in z])


def label_loss(z, y):
    """Equation (2) with its minus sign and without its 1/K, mean over the batch."""
    return -sum(probabilities(z)[i, y[i]].log() for i in range(len(z))) / len(z)


def soft_label_loss(q, z, tau=1):
    """Equation (2) for target probabilities q."""
    return -(q * probabilities(z, tau).log()).sum() / len(z)


def divergence(teacher, student, tau=1):
    """tau^2 times equation (4) without its 1/K, mean over the batch: sum_k q log q / p."""
    q, p = probabilities(teacher, tau), probabilities(student, tau)
    each = [q[i, k] * (q[i, k] / p[i, k]).log() for i in range(q.shape[0]) for k in range(q.shape[1])]
    return tau**2 * sum(each) / len(q)


def gradient(value, at):
    """The gradient of a scalar at a tensor."""
    return torch.autograd.grad(value, at)[0]

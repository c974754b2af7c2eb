r"""Equations (1)-(5) of the paper as pure functions of tensors.

`z` are logits of shape (B, K) and any floating dtype; a result is a scalar of the same dtype.
The paper prints a factor 1/K in (2) and (4) and drops the minus sign of (2); every official code
uses neither slip, nor do we (Q1 in "Where the paper, its code and we differ").
"""

import torch
import torch.nn.functional as F


def softmax(z, tau=1.0):
    """Equation (1): p = exp(z / tau) / sum_k exp(z_k / tau); (B, K) -> (B, K), rows sum to 1."""
    return torch.softmax(z / tau, dim=1)


def cross_entropy(z, y):
    """Equation (2): -sum_k y_k log p_k, mean over the batch.

    `y` holds class indices, int64 (B,), or target probabilities, float (B, K).
    """
    return F.cross_entropy(z, y)


def kl(teacher, student, tau=1.0, detach=True):
    """tau^2 times equation (4): tau^2 * sum_k q_k log(q_k / p_k), mean over the batch.

    Teacher logits come first, as in the paper; no gradient reaches them unless `detach=False`.
    Raises ValueError if the shapes differ (a silent broadcast would teach nonsense) or for a tau that is no number
    above 0 and below 1e9 (its square must be finite).
    """
    if teacher.shape != student.shape:
        raise ValueError(f"teacher {tuple(teacher.shape)} and student {tuple(student.shape)} must have one shape")
    if not 0 < tau < 1e9:
        raise ValueError(f"temperature tau={tau} must be greater than 0 and less than 1e9")
    if detach:
        teacher = teacher.detach()
    log_q, log_p = F.log_softmax(teacher / tau, dim=1), F.log_softmax(student / tau, dim=1)
    return tau**2 * (log_q.exp() * (log_q - log_p)).sum(dim=1).mean()

"""What is measured on the test split, from its logits (N, K) and labels (N,)."""

import torch

from skdcore.losses import cross_entropy, softmax
from skdcore.step import full

BINS = 15  # of the calibration error, as in Guo et al., "On calibration of modern neural networks", 2017


@torch.no_grad()
def predict(net, data, autocast):
    """Logits of all images of `data` in evaluation mode, float32 (N, K), on their device."""
    net.eval()
    index = torch.arange(len(data), device=data.labels.device)
    with autocast():
        return torch.cat([full(net(data.plain(chunk))) for chunk in index.split(500)])


def scores(logits, y):
    """The metrics of a split: accuracy (percent), nll and entropy (nats), ece and p_true (0 to 1)."""
    p = softmax(logits := logits.double())
    confidence, guess = p.max(dim=1)
    right = (guess == y).double()
    values = {
        "accuracy": 100 * right.mean(),
        "nll": cross_entropy(logits, y),
        "ece": calibration_error(confidence, right),
        "entropy": -torch.xlogy(p, p).sum(dim=1).mean(),
        "p_true": p.gather(1, y[:, None]).mean(),
    }
    return {name: value.item() for name, value in values.items()}


def temperature_scaled(logits, y):
    """NLL and ECE of the `scaled` logits; `temperature` is the mean of both halves'."""
    divided, temperature = scaled(logits, y)
    found = scores(divided, y)
    return {"temperature": temperature, "nll_scaled": found["nll"], "ece_scaled": found["ece"]}


def scaled(logits, y):
    """The logits, float64 (N, K), after temperature scaling, cross-fitted: each half has the other half's temperature.

    Also the mean of both temperatures.  The halves are the images of even and of odd index, which in `glyphs` are of
    different classes.
    """
    logits, divided, temperatures = logits.double(), logits.double().clone(), []
    for half in (0, 1):
        temperatures.append(fitted_temperature(logits[1 - half :: 2], y[1 - half :: 2]))
        divided[half::2] /= temperatures[-1]
    return divided, sum(temperatures) / 2


def fitted_temperature(logits, y):
    """The temperature at which the NLL of the logits, float64 (N, K), is least."""
    log_tau = torch.zeros((), dtype=logits.dtype, device=logits.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_tau], max_iter=100, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def nll():
        optimizer.zero_grad()
        loss = cross_entropy(logits / log_tau.exp(), y)
        loss.backward()
        return loss

    optimizer.step(nll)
    return log_tau.exp().item()


def by_image(logits, y):
    """The scores of each image, (N,): its predicted class, the probability of its true one, and the entropy (nats)."""
    p = softmax(logits.double())
    half = {"p_true": p.gather(1, y[:, None])[:, 0], "entropy": -torch.xlogy(p, p).sum(dim=1)}
    predicted = p.argmax(dim=1).to(torch.uint8 if p.shape[1] <= 256 else torch.int16)
    return {"predicted": predicted.cpu().numpy()} | {name: v.half().cpu().numpy() for name, v in half.items()}


def calibration_error(confidence, right):
    """Expected calibration error: mean over equal-width bins of |accuracy - confidence|, weighted by size."""
    gaps = torch.zeros(BINS, dtype=right.dtype, device=right.device).index_add_(0, bins(confidence), right - confidence)
    return gaps.abs().sum() / len(right)


def bins(confidence):
    """The bin of each image, int64 (N,), of BINS equal ones that are closed on the right."""
    return (confidence * BINS).ceil().long().clamp(1, BINS) - 1


def ranked_variances(logits):
    """Figure 3: variance over images of each ranked output, mean over ranks, of logits and of probabilities."""
    ranked = {"var_logits": logits.sort(dim=1).values, "var_probs": softmax(logits).sort(dim=1).values}
    return {name: values.var(dim=0, correction=0).mean().item() for name, values in ranked.items()}

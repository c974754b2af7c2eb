"""Figures 5, 8 and 9: what is measured on a network, and the file that keeps it."""

from base64 import b64decode
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import any_byte_altered

from skdcore import records
from skdcore.data import Data
from skdcore.measures import calibration_error, predict, scaled, scores
from skdcore.models import network
from skdcore.precision import autocast
from skdcore.study import attention, confidence, drawings, features, metrics, pictures
from skdcore.study.experiments import RESULTS
from skdcore.study.statistics import fit, intervals, over
from skdcore.train import Run, train, trained_network

LENGTH = "epochs", "precision"
FIGURES = [confidence, attention, features]
by_figure = pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.FIGURE)


@pytest.fixture
def split(tiny_parts):
    return Data(*tiny_parts[1], tiny_parts[2])


@pytest.fixture
def net(split):
    torch.manual_seed(2)
    return network("resnet10_w16", len(split.classes), split.side).eval()


@pytest.fixture
def drawing(tiny, tmp_path, monkeypatch):
    """A function that trains a figure's methods on `tiny` for an epoch, and draws it, with a quick embedding."""
    monkeypatch.setattr(features, "embedding", lambda x: x[:, :2])
    # `tiny` is a data set of this process alone, so no Dask worker could train on it
    monkeypatch.setattr(drawings, "sweep", lambda runs, root, results, scheduler: [
        train(run, "cpu", root, results, progress=False) for run in runs
    ])  # fmt: skip

    def drawing(figure, seeds=(0,), results=tmp_path):
        return drawings.trained(figure, tiny, "resnet10_w16", seeds, 1, None, None, results, None)

    return drawing


@by_figure
def test_a_drawing_is_read_from_its_file_while_the_networks_are_the_same(figure, drawing, tmp_path, monkeypatch):
    first = drawing(figure)
    (file,) = (tmp_path / "drawings").rglob("*.npz")
    assert file.stat().st_size < 300_000
    with monkeypatch.context() as patched:
        patched.setattr(figure, "measure", None)
        again = drawing(figure)
    assert again.about == first.about and again.weights == first.weights
    for run, arrays in first.arrays.items():
        assert arrays.keys() == again.arrays[run].keys()
        assert all(np.array_equal(array, again.arrays[run][name]) for name, array in arrays.items())
    for method in figure.METHODS:
        record = records.read(records.path(tmp_path, Run("tiny", "resnet10_w16", method, 0, 1).settings()))
        assert again.weights[method] == {0: record["provenance"]["weights"]}


def test_the_networks_drawn_are_of_the_precision_of_their_records(drawing, monkeypatch):
    """Which need not be this machine's default: a GPU's is bf16."""
    asked, trained = [], drawings.trained_network

    def network_of(run, *where, **how):
        asked.append(run.precision)
        return trained(run, *where, **how)

    monkeypatch.setattr(drawings, "trained_network", network_of)
    assert {drawing(features).about["precision"]} == set(asked) == {"fp32"}


def test_other_networks_are_measured_anew(drawing, tmp_path):
    first = drawing(features)
    (file,) = (tmp_path / "drawings").rglob("*.npz")
    changed = drawings.Drawing(first.about, first.weights | {"dsr": {0: "of another network"}}, first.arrays)
    drawings.write(file, changed)
    assert drawings.read(file).weights["dsr"] == {0: "of another network"}
    assert drawing(features).weights == first.weights == drawings.read(file).weights


@by_figure
def test_other_settings_of_the_figure_are_measured_anew(figure, drawing, tmp_path, monkeypatch):
    drawing(figure)
    monkeypatch.setattr(figure, "SETTINGS", figure.SETTINGS | {"x": 1})
    monkeypatch.setattr(figure, "measure", lambda *_: {"silhouette": 0.25})
    assert {own["silhouette"] for own in drawing(figure).arrays.values()} == {0.25}


def test_drawings_of_two_precisions_are_two(tmp_path):
    about = {"dataset": "a", "model": "b", "epochs": 2}
    shown = [drawings.Drawing(about | {"precision": one}, {}, {}) for one in ("bf16", "fp32")]
    assert len({one.title for one in shown}) == len({one.label for one in shown}) == 2


def test_the_metrics_of_a_drawing_are_those_of_the_records(drawing, tmp_path):
    drawn = drawing(confidence)
    for method in confidence.METHODS:
        final = records.read(next(tmp_path.glob(f"tiny/resnet10_w16/{method}/*/0.json")))["final"]
        assert {metric: drawn.values(metric)[method][0] for metric in final} == pytest.approx(final)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"], ids=["empty", "truncated", "text"])
def test_a_damaged_drawing_is_named(drawing, tmp_path, content):
    drawing(features)
    (file,) = (tmp_path / "drawings").rglob("*.npz")
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file.name}: damaged"):
        drawings.committed(features, tmp_path)


def test_a_drawing_with_any_byte_altered_is_read_or_named(tmp_path):
    arrays = {("drg", 0): {"a": np.arange(3.0)}}
    drawings.write(file := tmp_path / "x.npz", drawings.Drawing({"dataset": "a"}, {"drg": {0: "w"}}, arrays))
    any_byte_altered(file, drawings.read)


def test_a_failed_run_cannot_be_drawn(drawing, monkeypatch):
    monkeypatch.setattr(features, "METHODS", ("vanilla", "dsr(beta=1e38)"))
    with pytest.raises(ValueError, match=r"nothing to draw: dsr\(beta=9+\d+\) failed: the loss is not finite"):
        drawing(features)


def test_the_committed_drawings_are_those_of_photographs(drawing, tmp_path):
    drawing(features)
    drawings.trained(features, "glyphs", "resnet10_w16", [0], 1, None, None, tmp_path / "glyphs", None)
    assert [one.title for one in drawings.committed(features, tmp_path)] == ["tiny, resnet10_w16, 1 epoch, fp32"]
    assert drawings.committed(features, tmp_path / "glyphs") == [] == drawings.committed(features, tmp_path / "none")
    assert "Not yet run" in drawings.page(features, [])._repr_markdown_()


def test_the_committed_drawings_are_of_the_networks_of_committed_records():
    files = sorted((RESULTS / "drawings").rglob("*.npz"))
    assert files
    for file in files:
        drawn = drawings.read(file)
        (figure,) = (one for one in FIGURES if file.parent.name == one.FIGURE)
        assert drawn.about["settings"] == figure.SETTINGS
        for method, seeds in drawn.weights.items():
            for seed, weights in seeds.items():
                run = Run(drawn.about["dataset"], drawn.about["model"], method, seed, *map(drawn.about.get, LENGTH))
                record = records.read(records.path(RESULTS, run.settings()))
                assert record["provenance"]["weights"] == weights, (file, method, seed)


def test_confidence_ranks_the_probabilities_of_each_image(net, split):
    found = confidence.measure(net, split, Run("glyphs", "resnet10_w16", "drg", precision="fp32"))
    p = torch.softmax(predict(net, split, torch.no_grad).double(), dim=1)
    ranked = np.sort(p.numpy(), axis=1)[:, ::-1]
    np.testing.assert_allclose(found["ranked"], ranked.mean(axis=0), atol=1e-3)
    drawn = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[: confidence.IMAGES]
    np.testing.assert_allclose(found["bars"], ranked[drawn], atol=1e-3)
    true = p[drawn].gather(1, split.labels[drawn, None]).numpy()
    assert found["true"].tolist() == (ranked[drawn] > true).sum(axis=1).tolist()


def test_confidence_is_measured_in_the_precision_of_the_run(net, split):
    run = Run("glyphs", "resnet10_w16", "drg", precision="bf16")
    p = torch.softmax(predict(net, split, partial(autocast, torch.device("cpu"), "bf16")).double(), dim=1)
    ranked = np.sort(p.numpy(), axis=1)[:, ::-1].mean(axis=0)
    np.testing.assert_array_equal(confidence.measure(net, split, run)["ranked"], ranked.astype(np.float16))


def test_reliability_holds_the_calibration_error(net, split):
    found = confidence.measure(net, split, Run("glyphs", "resnet10_w16", "drg", precision="fp32"))
    logits = predict(net, split, torch.no_grad).double()
    for name, z in (("reliability", logits), ("reliability_scaled", scaled(logits, split.labels)[0])):
        count, mean, accuracy = found[name].astype(float)
        assert count.sum() == len(split)
        confident, guess = torch.softmax(z, dim=1).max(dim=1)
        error = calibration_error(confident, (guess == split.labels).double()).item()
        assert (count * abs(accuracy - mean)).sum() / count.sum() == pytest.approx(error, abs=1e-5)
        assert error == pytest.approx(scores(z, split.labels)["ece"])


def test_features_are_what_the_last_layer_reads(net, split):
    index = torch.tensor([3, 1, 7])
    x = torch.from_numpy(features.penultimate(net, split, index))
    torch.testing.assert_close(net.top[-1](x), net(split.plain(index)))


def test_neighbours_vote_without_the_image_itself(net, split, monkeypatch):
    """Two tight clusters: with the labels of the clusters all votes are right; with one label moved, its own is not."""
    x = np.concatenate([np.random.default_rng(0).normal(centre, 0.01, (25, 4)) for centre in (0, 9)]).astype("float32")
    monkeypatch.setattr(features, "penultimate", lambda *_: x)
    monkeypatch.setattr(features, "embedding", lambda x: x[:, :2])
    split.labels = torch.arange(50) // 25
    found = features.measure(net, split, Run("glyphs", "resnet10_w16", "vanilla"))
    assert found["neighbours"] == 100 and found["silhouette"] > 0.99
    split.labels[0] = 1
    assert features.measure(net, split, Run("glyphs", "resnet10_w16", "vanilla"))["neighbours"] == 98


def test_t_sne_is_seeded_and_keeps_clusters_apart():
    chance = np.random.default_rng(0)
    x = np.concatenate([chance.normal(centre, 0.1, (60, 8)) for centre in (0, 5)]).astype("float32")
    points = features.embedding(x)
    assert np.array_equal(points, features.embedding(x)) and points.shape == (120, 2)
    near = [np.linalg.norm(points - point, axis=1).argsort()[1] for point in points]
    assert all((at < 60) == (other < 60) for at, other in enumerate(near))


def test_grad_cam_is_the_gradients_mean_times_the_features(net, split):
    """Equations 1 and 2 of Grad-CAM [36], written out, and divided by the largest value."""
    x = split.plain(torch.arange(4))
    target = net(x).argmax(dim=1)
    maps = attention.grad_cam(net, net.blocks[-1], x, target)
    a = net.features(x)[-1].detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net.head(a).gather(1, target[:, None]).sum(), a)
    literal = torch.relu((gradient.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1, keepdim=True)).detach()
    torch.testing.assert_close(maps, literal / literal.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12))


def test_the_ac_that_the_method_trains_is_looked_at(net, split):
    assert list(attention.outputs(net, "vanilla")) == list(attention.outputs(net, "dsr+ls")) == [""]
    for method, k in (("drg", 2), ("dsr+drg(k=1)", 1), ("drg(k=3)", 3)):
        forward, layer = attention.outputs(net, method)["_ac"]
        x = split.plain(torch.arange(2))
        torch.testing.assert_close(forward(x), net.exits[k - 1](net.features(x)[k - 1]))
        assert layer is net.exits[k - 1].tower[3 - k] and layer[-1].__class__ is torch.nn.ReLU


def test_deletion_and_insertion_are_areas_under_the_probability_of_the_class():
    """A "network" whose class 0 is the share of the image that is there, and a map in the order of reading."""
    x, maps = torch.ones(1, 1, 4, 4), torch.arange(16.0).flip(0).view(1, 1, 4, 4)
    seen = []

    def forward(images):
        seen.append(images.flatten().tolist())
        p = images.mean(dim=(1, 2, 3)).clamp(1e-9, 1 - 1e-9)
        return torch.stack([p.log(), (1 - p).log()], dim=1)

    areas = attention.perturbed(forward, x, maps, torch.tensor([0]))
    assert areas.flatten().tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    deleted, inserted = seen[::2], seen[1::2]
    for step, (without, alone) in enumerate(zip(deleted, inserted, strict=True)):
        assert without == [0.0] * step + [1.0] * (16 - step)
        assert alone == [1.0] * step + [0.0] * (16 - step)
    assert all(sum(one) > sum(other) for one, other in pairwise(deleted))


def test_maps_that_rank_the_pixels_no_better_than_the_reverse_are_named():
    """In the reverse order deletion takes away what insertion had added, so each curve is the other's."""
    arrays = {("vanilla", 0): {"deletion": 0.2, "insertion": 0.1}, ("drg", 0): {"deletion": 0.1, "insertion": 0.2}}
    about = {"dataset": "a", "model": "b", "epochs": 1, "precision": "fp32"}
    drawing = drawings.Drawing(about, {"vanilla": {0: "x"}, "drg": {0: "y"}}, arrays)
    assert attention.shown(drawing)[-1].startswith("Insertion is not above deletion for `vanilla`: there")


def test_exits_are_kept_beside_the_weights_if_the_method_trains_them(drawing, tmp_path, fit, tiny):
    assert fit("vanilla", tmp_path) and not list(tmp_path.rglob("*.exits.pt"))
    fit("drg(k=3)", tmp_path)
    (file,) = tmp_path.rglob("*.exits.pt")
    kept = torch.load(file, weights_only=True)
    assert list(kept) == [3]
    net, _ = trained_network(Run(tiny, "resnet10_w16", "drg(k=3)"), "cpu", None, tmp_path)
    for name, tensor in net.exits[2].state_dict().items():
        assert torch.equal(tensor, kept[3][name].to(tensor.dtype)), name
    assert list(attention.outputs(net, "drg(k=3)")) == ["", "_ac"]
    assert list(attention.outputs(net, "drg")) == [""], "what was not kept is not drawn"


def test_differences_are_those_of_the_linear_model():
    values = {"vanilla": {0: 1.0, 1: 2.0, 2: 3.5}, "drg": {0: 1.5, 1: 2.4, 2: 4.0}, "dsr": {0: 9.0, 1: 9.0}}
    frame = metrics.differences(values).set_index("method")
    found, _ = intervals(fit(values), {"drg": over("drg", ["vanilla"])})
    assert frame.loc["drg", ["gain", "low", "high"]].tolist() == list(found["drg"])
    assert frame.loc["dsr", "gain"] == 9 - 1.5 and np.isnan(frame.loc["dsr", "low"])
    assert np.isnan(frame.loc["vanilla", "gain"])
    assert metrics.of_method(values, "drg").verdict == "higher"
    assert metrics.of_method(values, "dsr").verdict == "n < 3"
    assert metrics.of_method(values, "vanilla") is metrics.of_method(values, "byot") is None


@pytest.mark.parametrize("shift, word", [(1, "more"), (-1, "less"), (0, "undecided")])
def test_the_finding_of_figure_9_follows_the_silhouette(shift, word):
    noise = {0: 0.01, 1: -0.02, 2: 0.01}
    arrays = {
        (method, seed): {"silhouette": at * shift + (at + 1) * noise[seed], "neighbours": 50 + seed, "labels": [0, 1]}
        for at, method in enumerate(("vanilla", "dsr"))
        for seed in range(3)
    }
    drawn = drawings.Drawing({}, {method: dict.fromkeys(range(3), "x") for method in ("vanilla", "dsr")}, arrays)
    assert word in features.finding(drawn).partition(".**")[0]


@by_figure
def test_pages_and_pictures_are_made_of_a_drawing(figure, drawing):
    drawn = [drawing(figure), drawing(figure, (1,))]
    shown = drawings.page(figure, [drawn[0]])._repr_markdown_()
    assert all(f"[`{term}`](#method-{term})" in shown for method in figure.METHODS for term in method.split("+"))
    draws = {
        confidence: [pictures.ranked, pictures.reliability],
        attention: [pictures.attention],
        features: [pictures.embedding],
    }
    for draw in draws[figure]:
        assert draw([], "fig") is None
        tabs = draw(drawn[:1], "fig").tabs
        ((made,),) = tabs.values()
        assert list(tabs) == [drawn[0].title] and made.name == f"fig-{drawn[0].label}"
        assert len(made.svg) < 300_000 and "seed" in made.caption and drawn[0].title in made.alt
        metric = {"ranked": "p_true", "reliability": "ece", "attention": "insertion", "embedding": "silhouette"}
        value = drawn[0].values(metric[draw.__name__])["vanilla"][0]
        assert f"vanilla {value:.4f}" in made.alt
    if figure is features:
        assert pictures.embedding([drawn[1]], "fig") is None, "only seed 0 has coordinates"
    if figure is attention:
        images = attention.photographs(drawn[0].about["dataset"])
        ((with_images,),) = pictures.attention(drawn[:1], "fig", images).tabs.values()
        assert "images" in with_images.caption and len(with_images.svg) > len(made.svg)


def test_no_picture_of_the_committed_drawings_is_large():
    draws = (pictures.ranked, confidence), (pictures.reliability, confidence), (pictures.attention, attention)
    for draw, figure in (*draws, (pictures.embedding, features)):
        tabs = draw(drawings.committed(figure), "fig").tabs
        assert len(tabs) == len(drawings.committed(figure))
        assert all(len(b64decode(one.svg.partition(",")[2])) < 300_000 for (one,) in tabs.values())

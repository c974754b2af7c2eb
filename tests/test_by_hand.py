"""The student's page: its numbers are those of the package, and its exercises have the answers that it gives."""

import re

import pytest
import torch

from skdcore import losses
from skdcore.study import by_hand

CLASSES = ["a", "b", "k", "7"]


@pytest.fixture(scope="module")
def found():
    z, teacher, previous = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    return {"names": CLASSES, "z": z, "teacher": teacher, "previous": previous}


def numbers(shown):
    """The loss by hand and that of the package, as the sentence under the table says them."""
    return re.search(
        r"\*\*(\d+\.\d{4})\*\* to the label loss\. `skdcore.losses` gives (\d+\.\d{4})\.", shown._repr_markdown_()
    ).groups()


@pytest.mark.parametrize(("alpha", "tau"), [(0.2, 1.0), (1.0, 4.0), (0.0, 2.0)])
def test_drg_by_hand_is_the_packages(found, alpha, tau):
    one, other = numbers(by_hand.drg(found, alpha, tau))
    wanted = losses.cross_entropy(found["teacher"], torch.arange(4))
    wanted = wanted + alpha * losses.kl(found["teacher"], found["z"], tau)
    assert one == other == f"{wanted:.4f}"


@pytest.mark.parametrize(("beta", "tau"), [(1.0, 4.0), (3.0, 1.0)])
def test_dsr_by_hand_is_the_packages(found, beta, tau):
    one, other = numbers(by_hand.dsr(found, beta, tau))
    ranked = [found[key].sort(dim=1).values for key in ("previous", "z")]
    assert one == other == f"{beta * losses.kl(*ranked, tau):.4f}"


def test_answer_1_equal_logits_leave_the_label_loss_of_the_classifier(found):
    equal = found | {"z": found["teacher"]}
    assert numbers(by_hand.drg(equal, 1.0, 1.0))[0] == f"{losses.cross_entropy(equal['z'], torch.arange(4)):.4f}"


def test_answer_2_the_order_of_the_classes_does_not_matter_to_dsr(found):
    permuted = found | {"z": found["z"][:, [2, 0, 3, 1]]}
    assert numbers(by_hand.dsr(permuted, 1.0, 4.0)) == numbers(by_hand.dsr(found, 1.0, 4.0))


def test_answer_3_at_a_high_temperature_the_loss_is_a_squared_difference_of_centred_logits(found):
    difference = found["previous"].sort(dim=1).values - found["z"].sort(dim=1).values
    limit = (difference - difference.mean(dim=1, keepdim=True)).square().sum(dim=1).mean() / (2 * 4)
    assert float(numbers(by_hand.dsr(found, 1.0, 100.0))[0]) == pytest.approx(limit.item(), rel=0.05)


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "a", "b", "c"], ["a", "b", "c", "cat"]])
def test_other_than_four_classes_of_the_data_set_are_refused_and_some_are_named(classes, tmp_path):
    with pytest.raises(ValueError, match=r"classes=\[.*\]: takes four different ones of glyphs, such as \["):
        by_hand.example("glyphs", classes, 0, 1, None, tmp_path)


def test_a_class_of_one_test_image_is_named(monkeypatch, tmp_path):
    class Test:
        classes, labels = CLASSES, torch.tensor([0, 0, 1, 2, 2, 3, 3])

    monkeypatch.setattr(by_hand, "load_cached", lambda *_: (None, Test))
    with pytest.raises(ValueError, match="class 'b' of x has 1 test image; two are needed"):
        by_hand.example("x", CLASSES, 0, 1, None, tmp_path)


def test_where_cifar_100_is_absent_the_page_says_so(tmp_path, monkeypatch):
    assert by_hand.augmented("fig", str(tmp_path)).startswith("The images of CIFAR-100 are not on this machine")
    asked = []

    def load_cached(name, root, *_):
        asked.append(root)
        raise FileNotFoundError

    monkeypatch.setattr(by_hand, "load_cached", load_cached)
    monkeypatch.setenv("SKD_DATA", str(tmp_path))
    by_hand.augmented("fig", None)
    assert asked == [tmp_path], "where the project's data are"

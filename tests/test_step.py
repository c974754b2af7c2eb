"""What a method may look at in an iteration: computed once, when asked for, and float32."""

import pytest
import torch

from skdcore.methods import build

pytestmark = pytest.mark.quick


def counted(module, calls, name):
    module.register_forward_hook(lambda *_: calls.append(name))


@pytest.fixture
def step_and_calls(make_step):
    step, calls = make_step(), []
    for i, block in enumerate(step.net.blocks, 1):
        counted(block, calls, f"block {i}")
    for k, ac in enumerate(step.net.exits, 1):
        counted(ac, calls, f"exit {k}")
    return step, calls


BLOCKS = [f"block {i}" for i in range(1, 5)]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("vanilla", BLOCKS),
        ("dsr", BLOCKS),
        ("drg", [*BLOCKS, "exit 2"]),
        ("drg+dsr", [*BLOCKS, "exit 2"]),
        ("drg+drg(alpha=0)+drg(k=1)", [*BLOCKS, "exit 2", "exit 1"]),
    ],
)
def test_a_sum_runs_each_part_that_it_asks_for_once_and_no_other(step_and_calls, name, expected):
    step, calls = step_and_calls
    assert calls == []
    build(name)(step)
    assert calls == expected


def test_a_second_forward_is_one_that_batch_norm_sees(step_and_calls):
    step, calls = step_and_calls
    first = step.z
    seen = step.net.base.bn1.num_batches_tracked.item()
    again = step.logits(step.index)
    assert calls == 2 * BLOCKS and step.net.base.bn1.num_batches_tracked == seen + 1
    torch.testing.assert_close(first, again)  # the images of this data set's view do not change


def test_the_batch_is_a_view_of_the_images_at_the_index(make_step):
    step = make_step()
    assert torch.equal(step.x, step.data.view(step.index)) and torch.equal(step.y, step.data.labels[step.index])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_an_exit_is_the_auxiliary_classifier_on_its_block(make_step, k):
    step = make_step()
    step.net.eval()
    torch.testing.assert_close(step.exit(k), step.net.exits[k - 1](step.features[k - 1]))
    assert step.exit(k).shape == (8, 10)


@pytest.mark.parametrize("k", [0, 4, -1, 1.5])
def test_an_exit_that_is_not_there_is_refused(make_step, k):
    with pytest.raises(ValueError, match=f"k={k}.*1 to 3"):
        make_step().exit(k)


def test_logits_and_losses_are_float32_under_bf16_autocast(make_step):
    memories = {}
    with torch.autocast("cpu", torch.bfloat16):
        step = make_step(memories)
        losses = build("drg+dsr+drg(k=1)+drg(k=3)")(step)
        second = step.logits(step.index)
    assert step.features[0].dtype == torch.bfloat16, "the network itself is in bf16"
    for value in [step.z, second, *(step.exit(k) for k in (1, 2, 3)), *losses.values(), memories["dsr"]["ranked"]]:
        assert value.dtype == torch.float32
    sum(losses.values()).backward()
    assert all(p.grad.dtype == torch.float32 for p in step.net.parameters())
    assert all(b.dtype == torch.float32 for name, b in step.net.named_buffers() if "running" in name)


def test_bf16_losses_are_near_those_of_float32(make_step):
    exact = build("drg+dsr")(make_step())
    with torch.autocast("cpu", torch.bfloat16):
        rough = build("drg+dsr")(make_step())
    for term, value in exact.items():
        assert rough[term].item() == pytest.approx(value.item(), rel=0.05, abs=0.01), term


def test_a_part_is_made_once_belongs_to_its_term_and_is_a_parameter_of_the_network(make_step):
    made = []

    def make():
        made.append(torch.nn.Linear(10, 10))
        return made[-1]

    step = make_step()
    step.term = "toy(tau=0.5)"
    part = step.part("adaptor", make)
    later = make_step(term="toy(tau=0.5)")
    assert later.part("adaptor", make) is part is made[0] and len(made) == 1
    assert make_step(term="toy").part("adaptor", make) is made[1]
    assert any(parameter is part.weight for parameter in step.net.parameters())
    step.net.load_state_dict(step.net.state_dict())  # its name is one that a state dict takes


def test_memory_is_the_running_terms_own(make_step):
    memories = {}
    step = make_step(memories)
    for term in ("one", "other"):
        step.term = term
        step.memory[term] = torch.zeros(1)
    assert {term: list(kept) for term, kept in memories.items()} == {"one": ["one"], "other": ["other"]}

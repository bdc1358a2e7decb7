"""InfoNCE against a slow transcription, and two processes against one."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from spine_models.encoder.clip.contrastive import LogitScale, contrastive_loss

REPO = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.clip.contrastive import LogitScale, contrastive_loss
from spine_models.encoder.clip.grad_cache import cached_backward

folder = Path(sys.argv[1])
torch.set_num_threads(1)
given = load_file(folder / "given.safetensors")
join_process_group()
rank = dist.get_rank()
half = slice(rank * 4, rank * 4 + 4)
left, right = (given[n][half].clone().requires_grad_() for n in ("left", "right"))
scale = LogitScale()
alike = given["alike"][half]
loss = contrastive_loss(left, right, given["present"][half] > 0, scale(), alike)
loss.backward()
found = {"loss": loss.detach().reshape(1), "left": left.grad, "right": right.grad}
found["scale"] = scale.log_scale.grad.reshape(1)
weight = given["weight"].clone().requires_grad_()
def embed(rows):
    return {"left": given["left"][rows] @ weight, "right": given["right"][rows]}
def objective(parts):
    return contrastive_loss(parts["left"], parts["right"], given["present"][half] > 0, torch.tensor(5.0))
start = rank * 4
cached_backward([slice(start, start + 3), slice(start + 3, start + 4)], embed, objective)
found["weight"] = weight.grad
save_file({k: v.contiguous() for k, v in found.items()}, folder / f"found-{rank}.safetensors")
"""


def slow(left, right, present, scale, alike=None):
    members = [i for i in range(len(left)) if present[i]]
    if not members:
        return torch.zeros(())
    total = torch.zeros(())
    for i in members:
        for a, b in ((left, right), (right, left)):
            others = [j for j in members if alike is None or j == i or not set(alike[i]) & set(alike[j])]
            denominator = sum(torch.exp(scale * (a[i] @ b[j])) for j in others)
            total = total - torch.log(torch.exp(scale * (a[i] @ b[i])) / denominator)
    return total / (2 * len(members))


def rows(n=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [F.normalize(torch.randn(n, 5, generator=generator), dim=1).requires_grad_() for _ in range(2)]


PRESENT = torch.tensor([True, True, False, True, True, False, True, True])


@pytest.mark.parametrize("present", [PRESENT, torch.ones(8, dtype=torch.bool), ~PRESENT])
def test_the_definition(present):
    left, right = rows()
    scale = torch.tensor(7.0, requires_grad=True)
    loss = contrastive_loss(left, right, present, scale)
    expected = slow(left, right, present, scale)
    torch.testing.assert_close(loss, expected)
    for got, want in zip(
        torch.autograd.grad(loss, (left, right, scale)),
        torch.autograd.grad(expected, (left, right, scale)),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


ALIKE = torch.tensor([[0, 10], [1, 11], [0, 12], [3, 11], [4, 10], [5, 15], [1, 16], [7, 17]])
"""0 and 4 share a report, as do 1 and 3; 1 and 6 are of one patient, as are 0 and the absent 2."""


@pytest.mark.parametrize("present", [PRESENT, torch.ones(8, dtype=torch.bool)])
def test_studies_that_are_alike_are_not_contrasted(present):
    left, right = rows()
    scale = torch.tensor(7.0, requires_grad=True)
    loss = contrastive_loss(left, right, present, scale, ALIKE)
    expected = slow(left, right, present, scale, ALIKE.tolist())
    torch.testing.assert_close(loss, expected)
    assert loss < contrastive_loss(left, right, present, scale)
    for got, want in zip(
        torch.autograd.grad(loss, (left, right, scale)),
        torch.autograd.grad(expected, (left, right, scale)),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


def test_labels_that_differ_change_nothing_and_equal_ones_leave_nothing():
    left, right = rows()
    scale = torch.tensor(7.0)
    apart = torch.arange(16).reshape(8, 2)
    assert torch.equal(
        contrastive_loss(left, right, PRESENT, scale, apart), contrastive_loss(left, right, PRESENT, scale)
    )
    loss = contrastive_loss(left, right, PRESENT, scale, torch.zeros(8, 1, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert left.grad.abs().max() == 0


def test_missing_rows_have_no_say_whatever_they_hold():
    left, right = rows()
    loss = contrastive_loss(left, right, PRESENT, torch.tensor(9.0))
    junk = left.detach().masked_fill(~PRESENT[:, None], float("nan")).requires_grad_()
    again = contrastive_loss(junk, right, PRESENT, torch.tensor(9.0))
    again.backward()
    assert torch.equal(loss, again)
    assert junk.grad[~PRESENT].eq(0).all()
    few = contrastive_loss(left[PRESENT], right[PRESENT], PRESENT[PRESENT], torch.tensor(9.0))
    torch.testing.assert_close(loss, few)


@pytest.mark.parametrize("n_present", [0, 1])
def test_nothing_to_tell_apart_is_zero_with_a_zero_gradient(n_present):
    left, right = rows()
    loss = contrastive_loss(left, right, torch.arange(8) < n_present, torch.tensor(9.0))
    loss.backward()
    assert loss.item() == 0
    assert left.grad.abs().max() == 0


def test_the_scale_starts_and_ends_where_it_should():
    scale = LogitScale()
    assert scale().item() == pytest.approx(1 / 0.07)
    assert scale.log_scale.item() == pytest.approx(math.log(1 / 0.07))
    with torch.no_grad():
        scale.log_scale.fill_(50.0)
    assert scale().item() == pytest.approx(100.0)
    scale.keep_in_range()
    assert scale.log_scale.item() == pytest.approx(math.log(100.0))
    scale().backward()
    assert scale.log_scale.grad.item() != 0


def test_wrong_shapes_are_named():
    left, right = rows()
    with pytest.raises(ValueError, match="present"):
        contrastive_loss(left, right, PRESENT[:5], torch.tensor(1.0))
    with pytest.raises(ValueError, match="bool"):
        contrastive_loss(left, right, PRESENT.float(), torch.tensor(1.0))
    with pytest.raises(ValueError, match="alike is int64"):
        contrastive_loss(left, right, PRESENT, torch.tensor(1.0), ALIKE[:, 0])


def test_two_processes_equal_one_on_the_joined_batch(tmp_path):
    left, right = rows(seed=3)
    weight = torch.randn(5, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    given = {
        "left": left.detach(),
        "right": right.detach(),
        "weight": weight.detach(),
        "present": PRESENT.float(),
        "alike": ALIKE,
    }
    save_file({k: v.contiguous() for k, v in given.items()}, tmp_path / "given.safetensors")
    (tmp_path / "two.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(tmp_path / "two.py"), str(tmp_path)], cwd=REPO, capture_output=True, text=True,
        env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [load_file(tmp_path / f"found-{r}.safetensors") for r in range(2)]
    scale = LogitScale()
    loss = contrastive_loss(left, right, PRESENT, scale(), ALIKE)
    loss.backward()
    torch.testing.assert_close((ranks[0]["loss"] + ranks[1]["loss"]) / 2, loss.detach().reshape(1))
    # A rank's rows and parameters hold the gradient of the sum over ranks: twice that of the joined mean.
    for name, whole in (("left", left), ("right", right)):
        torch.testing.assert_close(torch.cat([r[name] for r in ranks]) / 2, whole.grad, rtol=1e-4, atol=1e-6)
    mean = (ranks[0]["scale"] + ranks[1]["scale"]) / 2
    torch.testing.assert_close(mean, scale.log_scale.grad.reshape(1), rtol=1e-4, atol=1e-6)
    contrastive_loss(given["left"] @ weight, given["right"], PRESENT, torch.tensor(5.0)).backward()
    mean = (ranks[0]["weight"] + ranks[1]["weight"]) / 2
    torch.testing.assert_close(mean, weight.grad, rtol=1e-4, atol=1e-5)

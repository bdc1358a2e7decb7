"""Two processes under torchrun against one process on the joined batch."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.head import batch_standardise
from spine_models.encoder.backbone.koleo_loss import koleo_loss
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.objective import objective
from spine_models.encoder.backbone.sinkhorn import sinkhorn_knopp
from spine_models.encoder.backbone.teacher import make_teacher
from tests.encoder.conftest import write_tar

REPO = Path(__file__).resolve().parents[3]

SCRIPT = """
import json
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from spine_models.config import BackboneSettings, GramSettings
from spine_models.encoder.backbone.anchor import anchor
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.head import batch_standardise
from spine_models.encoder.backbone.koleo_loss import koleo_loss
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.objective import objective
from spine_models.encoder.backbone.sinkhorn import sinkhorn_knopp
from spine_models.encoder.backbone.teacher import make_teacher
from spine_models.encoder.backbone.train import pretrain

def main():
    folder, settings = Path(sys.argv[1]), BackboneSettings.model_validate_json(sys.argv[2])
    torch.set_num_threads(1)
    given = load_file(folder / "given.safetensors")
    join_process_group()
    rank = dist.get_rank()
    half = slice(rank * 4, rank * 4 + 4)
    rows = given["rows"][half].clone().requires_grad_()
    koleo = koleo_loss(rows)
    koleo.backward()
    standard = given["rows"][half].clone().requires_grad_()
    (batch_standardise(standard) * given["weights"][half]).sum().backward()
    uneven = slice(0, 3) if rank == 0 else slice(3, 8)
    alone = slice(0, 8) if rank == 0 else slice(8, 8)
    torch.manual_seed(0)
    student = Network(settings).train()
    teacher = make_teacher(student)
    wrapped = torch.nn.parallel.DistributedDataParallel(student)
    crops = Crops(given["global"][:, half], given["local"][:, half])
    masks = given["masks"].unflatten(0, (2, 8))[:, half].flatten(0, 1)
    losses = objective(wrapped, teacher, crops, masks, settings, temperature=0.05)
    losses.total.backward()
    found = {
        "koleo": koleo.detach().reshape(1),
        "koleo_gradient": rows.grad,
        "standardise_gradient": standard.grad,
        "assigned": sinkhorn_knopp(given["logits"][half], 0.05),
        "assigned_uneven": sinkhorn_knopp(given["logits"][uneven], 0.05),
        "assigned_alone": sinkhorn_knopp(given["logits"][alone], 0.05),
        "total": losses.total.detach().reshape(1),
    }
    found |= {f"gradient|{n}": p.grad for n, p in student.named_parameters() if p.grad is not None}
    save_file({k: v.contiguous() for k, v in found.items()}, folder / f"found-{rank}.safetensors")
    tars = [Path(p) for p in sys.argv[3:]]
    pretrain(settings, tars, folder / "stopped", route="t1", stop_after=3)
    result = pretrain(settings, tars, folder / "stopped", route="t1")
    whole = pretrain(settings, tars, folder / "whole", route="t1")
    assert whole.card == result.card
    (folder / f"done-{rank}").write_text(whole.card["version"])
    gram = GramSettings(px=24, image_px=16, global_scale=(0.9, 1.0), steps=4, first_refresh=2, refresh_every=1)
    keywords = {"route": "t1", "start": folder / "whole"}
    anchor(settings, gram, tars, folder / "anchored_stopped", stop_after=3, **keywords)
    result = anchor(settings, gram, tars, folder / "anchored_stopped", **keywords)
    whole = anchor(settings, gram, tars, folder / "anchored", **keywords)
    assert whole.card == result.card
    (folder / f"anchored-{rank}").write_text(whole.card["version"])
    skip, spoilt = settings.model_copy(update={"corrupt_shards": "skip"}), [folder / "spoilt" / "t1" / "s.tar", *tars]
    pretrain(skip, spoilt, folder / "skipped", route="t1", stop_after=3)
    result = pretrain(skip, spoilt, folder / "skipped", route="t1")
    whole = pretrain(skip, spoilt, folder / "skipped_whole", route="t1")
    assert whole.card == result.card
    (folder / f"skipped-{rank}.json").write_text(json.dumps(whole.card))

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """Inputs of the joined batch of 8, written for the two processes."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("two")
    generator = torch.Generator().manual_seed(0)
    given = {
        "rows": torch.randn(8, 6, generator=generator),
        "weights": torch.randn(8, 6, generator=generator),
        "logits": torch.randn(8, 5, generator=generator),
        "global": torch.rand(2, 8, 1, 32, 32, generator=generator),
        "local": torch.rand(1, 8, 1, 16, 16, generator=generator),
        "masks": torch.rand(16, 16, generator=generator) < 0.3,
    }
    given["masks"][::2] = False
    save_file(given, folder / "given.safetensors")
    return folder, given


@pytest.fixture(scope="module")
def found(settings, joined, tars):
    changes = {"drop_path": 0.0, "rope_rescale": None, "processes": 2}
    settings = settings.model_copy(update=changes)
    folder, given = joined
    (folder / "spoilt" / "t1").mkdir(parents=True)
    spoilt = write_tar(folder / "spoilt" / "t1" / "s.tar", 1, seed=7)
    with tarfile.open(spoilt) as archive:
        slices = [member for member in archive if member.name.endswith(".png")]
    with spoilt.open("r+b") as stream:
        for member in slices:
            stream.seek(member.offset_data)
            stream.write(bytes(member.size))
    script = folder / "two.py"
    script.write_text(SCRIPT)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
    ]
    command += [str(folder), settings.model_dump_json(), *map(str, tars)]
    done = subprocess.run(
        command, cwd=REPO, env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return settings, folder, given, [load_file(folder / f"found-{rank}.safetensors") for rank in range(2)]


def test_sinkhorn_over_ranks_is_sinkhorn_of_the_joined_batch(found):
    _, _, given, ranks = found
    expected = sinkhorn_knopp(given["logits"], 0.05)
    for name in ("assigned", "assigned_uneven", "assigned_alone"):
        torch.testing.assert_close(torch.cat([r[name] for r in ranks]), expected, rtol=1e-5, atol=1e-6)


def test_koleo_over_ranks_is_koleo_of_the_joined_batch(found):
    _, _, given, ranks = found
    rows = given["rows"].clone().requires_grad_()
    koleo_loss(rows).backward()
    torch.testing.assert_close(
        (ranks[0]["koleo"] + ranks[1]["koleo"]) / 2, koleo_loss(rows).detach().reshape(1)
    )
    # What a rank holds is the gradient of the sum of both ranks' means: twice that of the joined mean.
    torch.testing.assert_close(torch.cat([r["koleo_gradient"] for r in ranks]) / 2, rows.grad)


def test_batch_standardise_over_ranks(found):
    _, _, given, ranks = found
    rows = given["rows"].clone().requires_grad_()
    (batch_standardise(rows) * given["weights"]).sum().backward()
    torch.testing.assert_close(torch.cat([r["standardise_gradient"] for r in ranks]), rows.grad)


def test_a_step_of_two_ranks_is_a_step_on_the_joined_batch(found):
    settings, _, given, ranks = found
    torch.manual_seed(0)
    student = Network(settings).train()
    crops = Crops(given["global"], given["local"])
    losses = objective(student, make_teacher(student), crops, given["masks"], settings, temperature=0.05)
    losses.total.backward()
    torch.testing.assert_close((ranks[0]["total"] + ranks[1]["total"]) / 2, losses.total.detach().reshape(1))
    for name, parameter in student.named_parameters():
        for rank in ranks:
            torch.testing.assert_close(rank[f"gradient|{name}"], parameter.grad, rtol=1e-3, atol=1e-6)


def test_a_two_process_run_stops_and_resumes_to_the_same_encoder(found):
    _, folder, _, _ = found
    versions = {(folder / f"done-{rank}").read_text() for rank in range(2)}
    assert len(versions) == 1
    a, b = (load_file(folder / name / "encoder.safetensors") for name in ("stopped", "whole"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert json.loads((folder / "whole" / "card.json").read_text())["processes"] == 2


def test_a_two_process_gram_stage_stops_and_resumes_to_the_same_encoder(found):
    _, folder, _, _ = found
    assert len({(folder / f"anchored-{rank}").read_text() for rank in range(2)}) == 1
    a, b = (load_file(folder / name / "encoder.safetensors") for name in ("anchored_stopped", "anchored"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    card = json.loads((folder / "anchored" / "card.json").read_text())
    assert (card["processes"], card["heads"], card["gram_refreshes"]) == (2, "pretrained", 3)


def test_a_shard_that_any_process_left_out_is_on_everyones_card(found):
    _, folder, _, _ = found
    cards = [json.loads((folder / f"skipped-{rank}.json").read_text()) for rank in range(2)]
    assert cards[0] == cards[1]
    (name,) = cards[0]["skipped_shards"]
    assert name.endswith("spoilt/t1/s.tar")
    a, b = (load_file(folder / name / "encoder.safetensors") for name in ("skipped", "skipped_whole"))
    assert all(torch.equal(a[name], b[name]) for name in a)

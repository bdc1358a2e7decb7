from __future__ import annotations

import json
import weakref

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spine_models.encoder.backbone import checkpoint, tensor_files, whole
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.tensor_files import load_network, write_tensors
from spine_models.encoder.backbone.train import pretrain
from spine_models.encoder.backbone.whole import latest


def some() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    floats = torch.randn(5, 3, generator=generator)
    return {
        "transposed": floats.T,
        "scalar": torch.tensor(3.5),
        "none": torch.zeros(0, 4),
        "half": floats.half(),
        "bfloat": floats.bfloat16(),
        "double": floats.double()[:, 1],
        "bytes": torch.arange(7, dtype=torch.uint8),
        "flags": floats > 0,
        "long": torch.arange(3),
        "int": torch.arange(3, dtype=torch.int32),
        'of "ü"': torch.ones(1),
    }


def test_what_is_written_is_what_the_library_reads(tmp_path):
    tensors = some()
    write_tensors(tensors, tmp_path / "a.safetensors")
    read = load_file(tmp_path / "a.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name
    save_file({name: t.contiguous() for name, t in tensors.items()}, tmp_path / "b.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as a, safe_open(tmp_path / "b.safetensors", "pt") as b:
        assert set(a.keys()) == set(b.keys())
    header = int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little")
    assert header % 8 == 0
    json.loads((tmp_path / "a.safetensors").read_bytes()[8 : 8 + header])


def test_one_tensor_is_gathered_at_a_time(tmp_path, monkeypatch):
    gathered: list[weakref.ref] = []

    def gather(tensor):
        assert not any(ref() is not None for ref in gathered), "the one before is still held"
        copy = tensor.clone()
        gathered.append(weakref.ref(copy))
        return copy

    monkeypatch.setattr(tensor_files, "full", gather)
    write_tensors({f"t{n}": torch.randn(100) for n in range(5)}, tmp_path / "a.safetensors")
    assert len(gathered) == 5


def test_a_network_is_filled_in_place_or_not_at_all(settings, tmp_path):
    torch.manual_seed(0)
    one, other = Network(settings), Network(settings)
    write_tensors(one.state_dict(), tmp_path / "a.safetensors")
    before = [parameter.data_ptr() for parameter in other.parameters()]
    load_network(other, tmp_path / "a.safetensors")
    assert [parameter.data_ptr() for parameter in other.parameters()] == before
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    with pytest.raises(RuntimeError, match=r"of another network: .*blocks\.1"):
        load_network(Network(settings.model_copy(update={"depth": 1})), tmp_path / "a.safetensors")
    with pytest.raises(RuntimeError, match="does not fit"):
        load_network(Network(settings.model_copy(update={"prototypes": 8})), tmp_path / "a.safetensors")


MOMENTS = {
    "before the student": (checkpoint, "save_network", 1),
    "before the teacher": (checkpoint, "save_network", 2),
    "before the moments": (checkpoint, "write_tensors", 1),
    "before the curves": (checkpoint, "write_run", 1),
    "before the generators": (whole, "save_file", 1),
    "before the name": (whole, "_settle", 1),
    "after the name": (whole.shutil, "rmtree", 2),  # the name's place first, then the older checkpoint
}


class Killed(BaseException):
    """Stands for a signal: nothing in between may catch it."""


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_of_a_save_leaves_a_checkpoint_to_go_on_from(
    settings, tars, tmp_path, monkeypatch, moment
):
    whole_run = pretrain(settings, tars, tmp_path / "whole", route="t1")
    pretrain(settings, tars, tmp_path / "run", route="t1", stop_after=3)
    module, name, nth = MOMENTS[moment]
    real, calls = getattr(module, name), []

    def killed(*args, **keywords):
        calls.append(1)
        if len(calls) == nth:
            raise Killed
        return real(*args, **keywords)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, killed)
        with pytest.raises(Killed):
            pretrain(settings, tars, tmp_path / "run", route="t1")
    assert latest(tmp_path / "run" / "checkpoints").name == (
        "step-00000004" if moment == "after the name" else "step-00000003"
    )
    resumed = pretrain(settings, tars, tmp_path / "run", route="t1")
    assert resumed.card == whole_run.card
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000006"]
    a, b = (load_file(result.folder / "encoder.safetensors") for result in (resumed, whole_run))
    assert all(torch.equal(a[key], b[key]) for key in a)

"""A refresh against making everything: one new study, and nothing new, in one installation with drawn encoders.

Belongs here: ratios within one run, without training and with the warehouse. Does not belong here: absolute times; the
start of a process is told apart, as a share of the refresh that finds nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from pipelines.runner import Runner
from spine_models.encoder.backbone.encoder import save_encoder
from spine_models.encoder.backbone.network import Backbone
from spine_models.phantom import write_hospital
from tests.conftest import install

PATIENTS = 24
BATCH = 3


def bench() -> list[tuple[str, float, str]]:
    """Above 1 the refresh is cheaper than everything anew."""
    return _measured(PATIENTS)


def _measured(patients: int) -> list[tuple[str, float, str]]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_hospital(folder / "phantom", patients=patients, seed=5)
        write_hospital(folder / "more", patients=1, seed=6)
        inbox = folder / "phantom" / "inbox"
        site = install(folder, inbox, folder / "truth", archive={"batch_studies": BATCH, "workers": 1})
        Runner._models = _drawn  # type: ignore[method-assign]
        start = _seconds(
            lambda: subprocess.run([sys.executable, "-c", "import pipelines.definitions"], check=True)
        )
        full = _seconds(lambda: site.runner().run(inbox, through="scores"))
        before = _vectors(site)
        nothing = _seconds(lambda: site.runner().refresh())
        for n, study in enumerate(sorted((folder / "more" / "inbox" / "dicom").iterdir())):
            copy = shutil.copytree if study.is_dir() else shutil.copy2
            copy(study, inbox / "dicom" / f"more-{n}")
        some = site.runner()
        cost = _seconds(some.refresh)
        share = 1 - before / _vectors(site)
    return [
        (
            "refresh: nothing new",
            full / nothing,
            f"everything of {patients} patients / a refresh that finds nothing",
        ),
        (
            "refresh: start of the process",
            start / nothing,
            "starting Python and the definitions / that refresh",
        ),
        ("refresh: one new patient", full / cost, f"everything / a refresh with {share:.1%} new slices"),
        (
            "refresh: its share",
            share * full / cost,
            "share of new slices / share of the cost; the warehouse is whole",
        ),
    ]


def _drawn(runner: Runner, stages: list[str], retrain: bool) -> bool:
    """Encoders by their random weights instead of training."""
    if "backbone" not in stages or runner.hospital.encoders():
        return False
    runner.execute("freeze", None)
    settings = runner.hospital.numbers.backbone
    for route in ("t1", "t2"):
        torch.manual_seed(0)
        with runner.hospital.draft(("backbone", "anchored"), route) as draft:
            version = save_encoder(draft.folder, Backbone(settings), settings, route=route, trained=True)
            draft.card = {"training": {"version": version, "trained": True}}
    return True


def _vectors(site: object) -> int:
    return site.table("embeddings", "slices").height  # type: ignore[attr-defined]


def _seconds(work: object) -> float:
    began = time.monotonic()
    work()  # type: ignore[operator]
    return time.monotonic() - began


if __name__ == "__main__":
    for name, ratio, what in _measured(int(sys.argv[1]) if len(sys.argv) > 1 else PATIENTS):
        sys.stdout.write(f"{name}\t{ratio:.2f}\t{what}\n")

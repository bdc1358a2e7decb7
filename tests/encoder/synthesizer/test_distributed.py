"""Two processes under torchrun: every variant's student has a gradient for each of its parameters, runs resume."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from spine_models.encoder.synthesizer.files import load_fused

REPO = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
from pathlib import Path
import torch
from spine_models.config import BackboneSettings, SynthesizerSettings
from spine_models.encoder.backbone.distributed import rank
from spine_models.encoder.synthesizer.train import synthesize

def main():
    torch.set_num_threads(1)
    folder, settings = Path(sys.argv[1]), BackboneSettings.model_validate_json(sys.argv[2])
    synthesizer = SynthesizerSettings.model_validate_json(sys.argv[3])
    places = {"t1": Path(sys.argv[4]), "t2": Path(sys.argv[5])}
    tars = [Path(path) for path in sys.argv[6:]]
    for variant in ("conditional", "scalar", "t1_only"):
        numbers = synthesizer.model_copy(update={"variant": variant})
        out = folder / variant
        synthesize(settings, numbers, tars, out / "stopped", **places, stop_after=3)
        stopped = synthesize(settings, numbers, tars, out / "stopped", **places)
        whole = synthesize(settings, numbers, tars, out / "whole", **places)
        assert whole.card == stopped.card
        assert whole.card["processes"] == 2
        assert whole.card["skipped_steps"] == 0
    (folder / f"done-{rank()}").write_text(whole.card["version"])

if __name__ == "__main__":
    main()
"""


def test_two_processes_train_and_resume_every_kind_of_gate(settings, synthesizer, tars, folders, tmp_path):
    script = tmp_path / "synthesize.py"
    script.write_text(SCRIPT)
    short = synthesizer.model_copy(update={"steps": 4})
    documents = [settings.model_dump_json(), short.model_dump_json()]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *map(str, (script, tmp_path, *documents, *folders, *tars)),
        ],
        cwd=REPO,
        env={"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "done-0").read_text() == (tmp_path / "done-1").read_text()
    assert load_fused(tmp_path / "conditional" / "whole", *folders).trained

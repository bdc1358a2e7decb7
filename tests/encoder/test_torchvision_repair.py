from __future__ import annotations

import subprocess
import sys

from spine_models.encoder.torchvision_repair import repair_on_import, repair_torchvision


def test_torchvision_and_timm_import_and_work():
    assert repair_torchvision()
    import timm
    import torch
    from torchvision.transforms import v2

    assert timm.__version__
    assert v2.functional.resize(torch.zeros(1, 8, 8), [4, 4]).shape == (1, 4, 4)


def test_the_finder_is_installed_once():
    before = len(sys.meta_path)
    repair_on_import()
    assert len(sys.meta_path) == before


def test_the_package_and_its_tables_import_without_torch():
    code = (
        "import sys, spine_models.encoder.backbone.tables; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchvision', 'timm')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Folders and names of files, in the habit of each site's export.

Belongs here: where a written series comes to lie. Does not belong here: what is in the files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spine_models.phantom.records.identity import SITES, plain
from spine_models.phantom.study import Study


def destinations(
    study: Study, number: int, description: str, names: Sequence[str], rng: np.random.Generator
) -> list[str]:
    """Paths below the dicom folder for one series' files, in order; no two series ever share one.

    ``accession`` keeps the writer's names, which hold the family name, in one folder a study; ``series`` has a folder
    a series; ``flat`` has every file of the site in one folder; ``random`` has names without a meaning or an
    extension; ``dated`` sorts by month and has the patient's name in the folder. First folders begin with a digit or
    a capital letter.

    Args:
        study: whose files.
        number: of the series.
        description: of the series.
        names: file names as written.
        rng: of random names.
    """
    habit = SITES[study.site].folders
    person = study.patient
    if habit == "series":
        words = _slug(description) or "series"
        folder = f"{study.accession}/{number:03d}_{words}"
        return [f"{folder}/IM-{number:04d}-{i:04d}.dcm" for i in range(1, len(names) + 1)]
    if habit == "flat":
        tag = study.uid.rsplit(".", 1)[-1]
        return [f"EXPORT/MR.{tag}.{number}.{i}" for i in range(1, len(names) + 1)]
    if habit == "random":
        tag = f"{int(study.uid.rsplit('.', 1)[-1]):05d}"
        folder = f"PA{tag}/ST000001/SE{number:06d}"
        return [f"{folder}/{int(rng.integers(16**6)):06X}{i:02X}" for i in range(1, len(names) + 1)]
    if habit == "dated":
        who = _slug(f"{person.family}_{person.given}")
        folder = f"{study.day.strftime('%Y-%m')}/{who}_{study.accession}"
        return [f"{folder}/{number}/{i:03d}.ima" for i in range(1, len(names) + 1)]
    return [f"{study.accession}/{name}" for name in names]


def move_into(written: Sequence[Path], dicom: Path, places: Sequence[str]) -> None:
    """Move files to their places below the dicom folder."""
    for path, place in zip(written, places, strict=True):
        target = dicom / place
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", plain(text)).strip("_")

"""Missing and wrong attributes, as they occur in every archive: at a stated rate, each by name.

Belongs here: faults of a series' acquisition attributes and names. Never a wrong patient, never pixels or geometry
that would make the image another one. Does not belong here: files that are not sound DICOM (``hostile``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from spine_models.phantom.dicom.dialect import form_of
from spine_models.phantom.dicom.names import name_series, vocabulary
from spine_models.phantom.dicom.series import SeriesPlan
from spine_models.phantom.scanner.examination import Acquired
from spine_models.phantom.scanner.protocol import PROTOCOL

_HOW_MANY: Final = (0.70, 0.24, 0.06)
"""Shares of damaged series with one, two and three faults."""
_GARBAGE: Final = (
    "XXXX",
    "????",
    "MR",
    "Series 7",
    "unnamed",
    "%&$",
    "new",
    "test",
    "SAG",
    "AX",
    "1",
    "-",
    "T",
    "SPINE",
)
_WRONG_PARTS: Final = ("BRAIN", "KNEE", "ABDOMEN", "PELVIS", "CSPINE", "LSPINE", "SHOULDER", "WHOLEBODY")
_OTHER_NAME: Final = {
    "T1": "T2",
    "T2": "T1",
    "STIR": "T2",
    "T2-FS": "T1",
    "T1+C": "T2",
    "PD": "T2",
    "T2*": "T2",
    "Dixon": "T1",
}
"""Which protocol step a series is most often copied from."""

Values = dict[str, object]


def damaged(plan: SeriesPlan, rate: float, rng: np.random.Generator) -> SeriesPlan:
    """The plan with faults, or as it was.

    Args:
        plan: sound.
        rate: share of series that get faults.
        rng: decides whether, how many and which.
    """
    hit, count = rng.random() < rate, 1 + int(rng.choice(len(_HOW_MANY), p=_HOW_MANY))
    if not hit:
        return plan
    values, done = dict(plan.values), []
    for name in rng.permutation(sorted(FAULTS)):
        if len(done) == count:
            break
        if FAULTS[name](plan, values, rng):
            done.append(str(name))
    return replace(plan, values=values, damage=tuple(sorted(done)))


def _without(*keywords: str) -> Callable[[SeriesPlan, Values, np.random.Generator], bool]:
    def fault(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
        present = [keyword for keyword in keywords if keyword in values]
        for keyword in present:
            del values[keyword]
        return bool(present)

    return fault


def _wrong_body_part(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    right = vocabulary()["body_part"]["code"].get(plan.study.region.value)
    values["BodyPartExamined"] = str(rng.choice([part for part in _WRONG_PARTS if part != right]))
    return True


def _copied_description(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    """The step was copied from another one of the protocol and keeps its name."""
    other = _OTHER_NAME.get(plan.form)
    if other is None or "SeriesDescription" not in values:
        return False
    copy = Acquired(other, plan.acquired.plane, PROTOCOL[other], 0.0, 0.0, ())
    assert form_of(copy) != plan.form
    named = name_series(
        plan.study.scanner, copy, plan.study.region, np.random.default_rng(rng.integers(2**32)), rng
    )
    values["SeriesDescription"] = named.description
    if named.protocol is not None and "ProtocolName" in values:
        values["ProtocolName"] = named.protocol
    return True


def _garbage_description(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    if "SeriesDescription" not in values:
        return False
    values["SeriesDescription"] = str(rng.choice(_GARBAGE))
    return True


def _te_in_seconds(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    if "EchoTime" not in values or any(f.te_ms is not None for f in plan.acquired.frames):
        return False
    values["EchoTime"] = f"{float(str(values['EchoTime'])) / 1000:g}"
    return True


def _train_zero(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    values["EchoTrainLength"] = 0
    return True


def _no_manufacturer(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    values["Manufacturer"] = ""
    return True


def _agent_left(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    """The agent of the examination before was never cleared."""
    if plan.acquired.sequence.contrast_agent:
        return False
    values["ContrastBolusAgent"] = str(rng.choice(vocabulary()["agents"]))
    return True


def _image_type_other(plan: SeriesPlan, values: Values, rng: np.random.Generator) -> bool:
    values["ImageType"] = ["ORIGINAL", "PRIMARY", "OTHER"]
    return True


FAULTS: Final[dict[str, Callable[[SeriesPlan, Values, np.random.Generator], bool]]] = {
    "no_description": _without("SeriesDescription"),
    "no_protocol": _without("ProtocolName"),
    "no_body_part": _without("BodyPartExamined"),
    "no_scanning_sequence": _without("ScanningSequence", "SequenceName"),
    "no_timing": _without("RepetitionTime", "EchoTime"),
    "no_inversion_time": _without("InversionTime"),
    "no_spacing": _without("SpacingBetweenSlices"),
    "no_agent": _without("ContrastBolusAgent"),
    "wrong_body_part": _wrong_body_part,
    "copied_description": _copied_description,
    "garbage_description": _garbage_description,
    "te_in_seconds": _te_in_seconds,
    "train_zero": _train_zero,
    "no_manufacturer": _no_manufacturer,
    "agent_left": _agent_left,
    "image_type_other": _image_type_other,
}
"""A fault returns whether it applied to this series."""

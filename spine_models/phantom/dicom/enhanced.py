"""Enhanced MR multi-frame objects: a whole stack in one file, as Philips, Canon and newer Siemens store it.

Belongs here: functional groups, shared and per frame (PS3.3 C.7.6.16, C.8.13). Does not belong here: the values of
classic headers that they are made from (``dialect``, ``headers``).
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many
from typing import Final

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from spine_models.phantom.dicom.headers import geometry, pixel_facts, put, shared_elements
from spine_models.phantom.dicom.private import add_numbers
from spine_models.phantom.dicom.series import SeriesPlan
from spine_models.phantom.scanner.examination import Frame

_MOVED: Final = frozenset(
    {
        "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName", "RepetitionTime", "EchoTime",
        "InversionTime", "FlipAngle", "EchoTrainLength", "SliceThickness", "NumberOfAverages", "PixelBandwidth",
        "ImagingFrequency", "SAR", "PercentSampling", "PercentPhaseFieldOfView", "ReceiveCoilName",
        "TransmitCoilName", "EchoNumbers", "InPlanePhaseEncodingDirection", "VariableFlipAngleFlag", "AngioFlag",
        "NumberOfPhaseEncodingSteps", "ImageType", "ImagedNucleus", "ContrastBolusAgent", "ContrastBolusVolume",
        "ContrastBolusRoute", "SpacingBetweenSlices", "MRAcquisitionType",
    }
)  # fmt: skip
"""Attributes of a classic header that an enhanced one keeps in functional groups or writes otherwise."""
_CONTRAST_TERM: Final = {
    "T1": "T1", "T1+C": "T1", "T2": "T2", "T2-FS": "T2", "STIR": "STIR", "PD": "PROTON_DENSITY", "T2*": "T2_STAR",
    "DWI": "DIFFUSION", "ADC": "DIFFUSION", "FLAIR": "FLUID_ATTENUATED",
}  # fmt: skip
_DIXON_TERM: Final = {"water": "WATER", "fat": "FAT", "in": "IN_PHASE", "opposed": "OUT_OF_PHASE"}


def enhanced_object(plan: SeriesPlan) -> Dataset:
    """The header of one object that holds every frame of a series, without pixel data.

    What a fault took from the plan's values is missing here too.
    """
    frames, values = plan.acquired.frames, plan.values
    ds = shared_elements({k: v for k, v in values.items() if k not in _MOVED})
    put(ds, "SOPClassUID", EnhancedMRImageStorage)
    put(ds, "SOPInstanceUID", f"{plan.uid}.1")
    put(ds, "InstanceNumber", 1)
    for keyword, value in pixel_facts(plan, frames[0]).items():
        if keyword not in (
            "WindowCenter",
            "WindowWidth",
            "SmallestImagePixelValue",
            "LargestImagePixelValue",
        ):
            put(ds, keyword, value)
    put(ds, "NumberOfFrames", len(frames))
    put(ds, "ImageType", _image_type(plan))
    if "MRAcquisitionType" in values:
        put(ds, "MRAcquisitionType", values["MRAcquisitionType"])
    if "SpacingBetweenSlices" in values:
        put(ds, "SpacingBetweenSlices", values["SpacingBetweenSlices"])
    _pulse_sequence(ds, plan)
    if "ContrastBolusAgent" in values:
        agent = Dataset()
        put(agent, "CodeMeaning", values["ContrastBolusAgent"])
        put(agent, "ContrastBolusAgentNumber", 1)
        put(ds, "ContrastBolusAgentSequence", Sequence([agent]))
        put(ds, "ContrastBolusAgent", values["ContrastBolusAgent"])
    put(ds, "SharedFunctionalGroupsSequence", Sequence([_shared(plan)]))
    _dimensions(ds, plan)
    indices = _indices(frames)
    per_frame = [_per_frame(plan, frame, place) for frame, place in zip(frames, indices, strict=True)]
    put(ds, "PerFrameFunctionalGroupsSequence", Sequence(per_frame))
    return ds


def _dimensions(ds: Dataset, plan: SeriesPlan) -> None:
    """Frames are counted by stack, place in the stack and, where there are several, weighting."""
    uid = f"{plan.study.uid}.98.{plan.number}"
    organisation = Dataset()
    put(organisation, "DimensionOrganizationUID", uid)
    put(ds, "DimensionOrganizationSequence", Sequence([organisation]))
    pointers = ["StackID", "InStackPositionNumber"]
    pointers += ["DiffusionBValue"] if plan.acquired.frames[0].b_value is not None else []
    items = []
    for keyword in pointers:
        item, group = (
            Dataset(),
            "MRDiffusionSequence" if keyword == "DiffusionBValue" else "FrameContentSequence",
        )
        put(item, "DimensionOrganizationUID", uid)
        put(item, "DimensionIndexPointer", tag_for_keyword(keyword))
        put(item, "FunctionalGroupPointer", tag_for_keyword(group))
        items.append(item)
    put(ds, "DimensionIndexSequence", Sequence(items))


def _indices(frames: Many[Frame]) -> list[tuple[int, ...]]:
    """Place in the stack, and weighting where there are several, of every frame; both from 1."""
    places = list(dict.fromkeys(tuple(np.round(frame.grid.ipp_mm, 3)) for frame in frames))
    weightings = sorted({frame.b_value for frame in frames if frame.b_value is not None})
    return [
        (1 + places.index(tuple(np.round(frame.grid.ipp_mm, 3))),)
        + ((1 + weightings.index(frame.b_value),) if frame.b_value is not None else ())
        for frame in frames
    ]


def _image_type(plan: SeriesPlan) -> list[str]:
    """Four values: what it is, primary, the applicable contrast, the derivation."""
    told = plan.values.get("ImageType", ["ORIGINAL", "PRIMARY"])
    first = [str(v) for v in told] if isinstance(told, list) else [str(told)]
    if "image_type_other" in plan.damage:
        return [*first, "NONE"]
    if plan.form in ("MPR", "MIP", "SUB"):
        return [first[0], "PRIMARY", {"MIP": "PROJECTION IMAGE"}.get(plan.form, plan.form), "NONE"]
    if plan.form == "ADC":
        return ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]
    part = plan.acquired.sequence.dixon_part
    if part is not None:
        return ["DERIVED" if part in ("water", "fat") else "ORIGINAL", "PRIMARY", "DIXON", _DIXON_TERM[part]]
    # Philips names the contrast only for a part of its protocols; others write the magnitude.
    term = _CONTRAST_TERM.get(plan.form, "M")
    stated = plan.form == "DWI" or (plan.study.scanner.vendor == "Philips" and plan.number % 2 == 0)
    return [first[0], "PRIMARY", term if stated else "M", "NONE"]


def _pulse_sequence(ds: Dataset, plan: SeriesPlan) -> None:
    """The MR Pulse Sequence module, from what the classic header would have said."""
    values, sequence = plan.values, plan.acquired.sequence
    codes = values.get("ScanningSequence")
    if codes is not None:
        kinds = set(codes if isinstance(codes, list) else [codes])
        put(ds, "EchoPulseSequence", "GRADIENT" if "GR" in kinds else "SPIN")
        put(ds, "EchoPlanarPulseSequence", "YES" if sequence.kind == "epi" else "NO")
        put(
            ds,
            "PulseSequenceName",
            str(values.get("SequenceName") or values.get("PulseSequenceName") or "TSE"),
        )
    put(ds, "MultipleSpinEcho", "YES" if sequence.kind in ("se", "ir") and sequence.echo_train > 1 else "NO")
    put(ds, "MultiPlanarExcitation", "NO")
    put(ds, "PhaseContrast", "NO")
    put(ds, "TimeOfFlightContrast", "NO")
    put(ds, "SteadyStatePulseSequence", "NONE")
    put(ds, "SaturationRecovery", "NO")
    put(ds, "SpectrallySelectedSuppression", "FAT" if sequence.fat_suppression == "spectral" else "NONE")
    put(ds, "AcquisitionContrast", _CONTRAST_TERM.get(plan.form, "UNKNOWN"))
    put(ds, "ComplexImageComponent", "MAGNITUDE")


def _shared(plan: SeriesPlan) -> Dataset:
    """The groups that hold for every frame."""
    values, sequence, item = plan.values, plan.acquired.sequence, Dataset()
    measures = {"PixelSpacing": geometry(plan.acquired.frames[0])["PixelSpacing"]}
    _macro(item, "PixelMeasuresSequence", measures | _some(values, "SliceThickness", "SpacingBetweenSlices"))
    timing = _some(values, "RepetitionTime", "FlipAngle", "EchoTrainLength")
    if "EchoTrainLength" in values:
        timing |= {"RFEchoTrainLength": values["EchoTrainLength"], "GradientEchoTrainLength": 0}
    _macro(item, "MRTimingAndRelatedParametersSequence", timing)
    inverted = (
        {"InversionRecovery": "YES" if sequence.ti_ms else "NO"} if "ScanningSequence" in values else {}
    )
    if "InversionTime" in values:
        inverted["InversionTimes"] = [float(str(values["InversionTime"]))]
    _macro(item, "MRModifierSequence", inverted | {
        "SpectrallySelectedSuppression": "FAT" if sequence.fat_suppression == "spectral" else "NONE",
        "SpectrallySelectedExcitation": "NONE",
        "SpatialPresaturation": "NONE",
        "Spoiling": "RF" if sequence.kind == "gre" else "NONE",
        "PartialFourier": "NO",
        "FlowCompensation": "NONE",
    })  # fmt: skip
    _macro(item, "MRReceiveCoilSequence", _some(values, "ReceiveCoilName") | {"ReceiveCoilType": "MULTICOIL"})
    _macro(item, "MRAveragesSequence", _some(values, "NumberOfAverages"))
    bandwidth = _some(values, "PixelBandwidth")
    if "ImagingFrequency" in values:
        bandwidth["TransmitterFrequency"] = float(str(values["ImagingFrequency"]))
    _macro(item, "MRImagingModifierSequence", bandwidth)
    return item


def _per_frame(plan: SeriesPlan, frame: Frame, indices: tuple[int, ...]) -> Dataset:
    """The groups of one frame."""
    item, place = Dataset(), geometry(frame)
    _macro(item, "FrameContentSequence", {
        "FrameAcquisitionNumber": 1,
        "StackID": "1",
        "InStackPositionNumber": indices[0],
        "DimensionIndexValues": [1, *indices],
        "FrameAcquisitionDateTime": f"{plan.study.day.strftime('%Y%m%d')}{plan.study.time}",
    })  # fmt: skip
    _macro(item, "PlanePositionSequence", _some(place, "ImagePositionPatient"))
    _macro(item, "PlaneOrientationSequence", _some(place, "ImageOrientationPatient"))
    echo = frame.te_ms if frame.te_ms is not None else plan.values.get("EchoTime")
    if "EchoTime" in plan.values and echo is not None:
        _macro(item, "MREchoSequence", {"EffectiveEchoTime": float(str(echo))})
    _macro(
        item,
        "MRImageFrameTypeSequence",
        {"FrameType": _image_type(plan), "ComplexImageComponent": "MAGNITUDE"},
    )
    window = pixel_facts(plan, frame)
    _macro(item, "FrameVOILUTSequence", _some(window, "WindowCenter", "WindowWidth"))
    if frame.b_value is not None:
        values = {
            "DiffusionBValue": float(frame.b_value),
            "DiffusionDirectionality": "ISOTROPIC" if frame.b_value else "NONE",
        }
        _macro(item, "MRDiffusionSequence", values)
    add_numbers(item, plan, frame)
    return item


def _macro(item: Dataset, keyword: str, values: Mapping[str, object]) -> None:
    if values:
        put(item, keyword, Sequence([shared_elements(values)]))


def _some(values: Mapping[str, object], *keywords: str) -> dict[str, object]:
    return {keyword: values[keyword] for keyword in keywords if keyword in values}

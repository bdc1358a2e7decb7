"""What the report model reads of the lake, in training and in use, and the published model, opened.

Belongs here: from the store to studies as the domain takes them. Does not belong here: assets, the trainings'
functions (``trainers``), prompts and models (``spine_models.reporting.llava``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from pipelines.runtime.frozen import frozen_slices, handed_over, study_reports
from pipelines.runtime.judges import judges
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import content_version
from spine_models.corpus.deid.tables import REPORTS
from spine_models.findings.retrieval.tables import NEIGHBOURS

if TYPE_CHECKING:  # opening them imports torch
    from spine_models.reporting.llava.examples import ReportStudy
    from spine_models.reporting.llava.model import Llava

DECODER: Final = ("llava", "decoder")
WARMED: Final = ("llava", "warmed")
TUNED: Final = ("llava", "tuned")
CLAIMS: Final = ("agents", "claims")
PLACED: Final = (
    "study_key", "series_key", "slice_key", "slice_index", "contrast", "iop", "output_ipp_mm", "output_spacing_mm",
    "size_px",
)  # fmt: skip
"""What is read of a slice beside its vector."""


def models_folder(hospital: Hospital) -> Path:
    """Where decoders that are not our own lie: ``SPINE_ROOT/models``."""
    return Path(hospital.home).expanduser().absolute().parent / "models"


def demand_named_decoder(hospital: Hospital, *, again: bool = False) -> None:
    """Check the decoder that the profile names; nothing where a small one is trained, or one is published already.

    Args:
        hospital: profile and storage.
        again: whether it is published anew even so.

    Raises:
        DecoderError: it is missing or cannot be used; with the remedy.
    """
    name = hospital.numbers.llava.decoder
    if name is None or (hospital.lake.has_artifact(("llava", "decoder")) and not again):
        return
    from spine_models.reporting.llava.decoder import demand_decoder

    demand_decoder(name, models_folder(hospital))


def training_inputs(
    hospital: Hospital, manifest: pl.DataFrame, ledger: pl.DataFrame
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the trainings of this stage are given, and the parents that make them these trainings.

    Train and val patients of the frozen batches alone; what the agents say of train patients is what they would say
    had their heads not seen them. Where nothing was frozen there is nothing to give.

    Raises:
        StorageError: a table of a frozen batch is missing.
        LlavaDataError: vectors or claims of several versions.
    """
    from spine_models.reporting.agents import out_of_fold
    from spine_models.reporting.llava.images import study_images
    from spine_models.reporting.llava.packed import pack
    from spine_models.reporting.llava.studies import agents_of, encoders_of

    lake, batches = hospital.lake, manifest["batch_key"].unique().sort().to_list()
    if not batches:
        return {}, {}
    may = (pl.col("split") == "val") | ((pl.col("split") == "train") & pl.col("may_train"))
    allowed = ledger.filter(may).select("patient_key", "split")
    studies = (
        lake.read_table(("deid", "studies"), batches, columns=["batch_key", "patient_key", "study_key"])
        .join(allowed, on="patient_key", how="inner")
        .sort("study_key")
    )
    images: dict[str, Any] = {}
    made = []
    slices = frozen_slices(hospital, manifest, PLACED)
    for batch in batches:
        own = slices.filter(pl.col("batch_key") == batch)
        # ``outside`` slices and test patients are in no frozen tar.
        vectors = lake.read_table(("embeddings", "slices"), [batch]).join(own, on="slice_key", how="semi")
        images |= study_images(own, vectors, max_slices=hospital.numbers.llava.max_slices)
        made.append(vectors.select("route", "encoder", "model_version", "preprocessing_version").unique())
    claims = lake.read_table(CLAIMS, batches).join(studies, on="study_key", how="semi")
    claims = out_of_fold(
        claims,
        lake.read_table(("probes", "predictions"), [None]),
        lake.read_table(("probes", "operating_points"), [None]),
        settings=hospital.numbers.agents,
        guards=judges(hospital)[1],
        levels=lake.read_table(("localization", "level_predictions"), [None]),
    )
    train = studies.filter(pl.col("split") == "train")
    frames = {
        "studies": studies,
        "images": pack({key: images[key] for key in studies["study_key"] if key in images}),
        "reports": study_reports(hospital, manifest).join(studies, on="study_key", how="semi"),
        "claims": claims.sort("study_key", "condition"),
        "neighbours": lake.read_table(("retrieval", "neighbours"), batches)
        .join(studies, on="study_key", how="semi")
        .sort("study_key", "rank"),
        "items": lake.read_table(("instructions", "items"), [None])
        .join(train, on="study_key", how="semi")
        .sort("item_key"),
    }
    folder = hospital.training_folder(("llava", "inputs"), None, {}, code_version="1")
    parents: dict[str, Any] = {name: content_version(frame) for name, frame in frames.items()}
    parents |= {
        "encoders": encoders_of(pl.concat(made)),
        "agents": agents_of(claims),
        "manifest": content_version(manifest),
    }
    return dict(handed_over(folder, **frames)), parents


class Opened(NamedTuple):
    """The published report model: None where it was not trained; its version, and the card of its training."""

    llava: Llava | None
    version: str | None
    card: dict[str, Any] | None


def tuned_card(hospital: Hospital) -> dict[str, Any] | None:
    """What the training of the published model says of itself; None before the first."""
    return hospital.lake.card(TUNED)["training"] if hospital.lake.has_artifact(TUNED) else None


def open_tuned(hospital: Hospital) -> Opened:
    """The published model on its decoder, on the GPU where there is one.

    Raises:
        DecoderError, LlavaModelError: the decoder is gone or another one.
    """
    import torch

    from spine_models.reporting.llava.adapters import load_llava
    from spine_models.reporting.llava.decoder import located, open_decoder
    from spine_models.reporting.llava.run import DTYPES

    card = tuned_card(hospital)
    folder = hospital.trained(TUNED)
    if card is None or folder is None:
        return Opened(None, None, card)
    source, version = located(hospital.current(DECODER), models_folder(hospital))
    model, tokenizer = open_decoder(source, dtype=DTYPES[hospital.numbers.llava.precision])
    llava = load_llava(folder, model, tokenizer, decoder_version=version)
    if torch.cuda.is_available():
        llava.cuda()
    return Opened(llava, str(card["version"]), card)


def batch_studies(
    hospital: Hospital, studies: pl.DataFrame, batch: str
) -> tuple[list[ReportStudy], dict[str, list[str]]]:
    """Studies of a batch as the published model is asked about them to be scored, with the reports of their neighbours.

    Only reports of train patients of the frozen ledger are shown as similar ones.

    Args:
        hospital: profile and storage.
        studies: patient_key and study_key of those wanted.
        batch: that they are of.

    Raises:
        StorageError: a table of the batch is missing.
        LlavaDataError: as ``asked_studies``.
    """
    lake = hospital.lake
    near = lake.read_table(("retrieval", "neighbours"), [batch]).join(studies, on="study_key", how="semi")
    ledger = lake.read_table(("shards", "patients"), [None])
    return asked_studies(
        hospital,
        studies,
        lake.read_table(CLAIMS, [batch]),
        *slices_of_batch(hospital, batch),
        near=near,
        may_be_shown=set(ledger.filter((pl.col("split") == "train") & pl.col("may_train"))["patient_key"]),
    )


def slices_of_batch(hospital: Hospital, batch: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What ``asked_studies`` reads of a batch's slices, and their vectors."""
    slices = hospital.lake.read_table(("shards", "slices"), [batch], columns=list(PLACED))
    return slices, hospital.lake.read_table(("embeddings", "slices"), [batch])


def asked_studies(
    hospital: Hospital,
    studies: pl.DataFrame,
    claims: pl.DataFrame,
    slices: pl.DataFrame,
    vectors: pl.DataFrame,
    *,
    near: pl.DataFrame | None = None,
    may_be_shown: Collection[str] = (),
) -> tuple[list[ReportStudy], dict[str, list[str]]]:
    """Studies as the published model is asked about them, and the encoders of their vectors.

    Args:
        hospital: profile and storage.
        studies: patient_key and study_key of those wanted.
        claims: ``agents.CLAIMS`` of theirs, and perhaps of others.
        slices: ``PLACED`` of ``shards.SLICES``, as claims.
        vectors: ``embeddings.SLICES``, as claims.
        near: ``retrieval.NEIGHBOURS`` of the studies; drafts are written without.
        may_be_shown: patients whose reports may stand in a prompt.

    Raises:
        LlavaDataError: claims or vectors of several versions.
    """
    from spine_models.reporting.llava.images import study_images
    from spine_models.reporting.llava.studies import encoders_of, report_studies

    own = vectors.join(studies, on="study_key", how="semi")
    near = pl.DataFrame(schema=NEIGHBOURS) if near is None else near
    found = report_studies(
        studies,
        images=study_images(slices, own, max_slices=hospital.numbers.llava.max_slices),
        reports=_texts(hospital, near["neighbour_study_key"]),
        claims=claims.join(studies, on="study_key", how="semi"),
        neighbours=near,
        may_be_shown=may_be_shown,
    )
    return found, encoders_of(own)


def draft_texts(
    hospital: Hospital,
    studies: pl.DataFrame,
    ask: Callable[[], tuple[list[ReportStudy], dict[str, list[str]]]],
) -> pl.DataFrame:
    """``llava.WRITTEN`` of some studies: the published model's texts for their drafts where it may write, else why not.

    Args:
        hospital: profile and storage.
        studies: ``deid.STUDIES``.
        ask: ``asked_studies`` of the same studies; called only where the model may write.

    Raises:
        DecoderError, LlavaModelError: as ``open_tuned``.
        LlavaDataError: as ``asked_studies``.
    """
    from spine_models.reporting.llava import writing

    card = tuned_card(hospital)
    reason, version = writing.unfit(card), card.get("version") if card else None
    llava, asked = None, []
    if reason is None:
        asked, encoders = ask()
        reason = writing.encoder_mismatch(card or {}, encoders)
        llava = open_tuned(hospital).llava if reason is None else None
    return writing.written(studies, asked, llava, hospital.numbers.llava, version=version, reason=reason)


def _texts(hospital: Hospital, wanted: pl.Series) -> pl.DataFrame:
    """Texts of some studies of any batch; several reports of a study one after the other."""
    key = ("deid", "reports")
    batches = hospital.lake.partitions(key)
    reports = hospital.lake.read_table(key, batches) if batches else pl.DataFrame(schema=REPORTS)
    own = reports.filter(pl.col("study_key").is_in(wanted.unique().implode()))
    texts = pl.col("report_text").sort_by("report_key").str.join("\n\n")
    return own.group_by("study_key").agg(texts).sort("study_key")

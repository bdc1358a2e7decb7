"""What each part of the system adds: vectors of every variant, and the table.

Belongs here: wiring. Does not belong here: trainings of variants (``trainings``), encoding, scoring
(``spine_models.findings.ablations``).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from assets.findings.ablations.trainings import clip_key, gates_key
from pipelines.runtime.figures.ablations import gain_plot, length_plot
from pipelines.runtime.frozen import TARS, study_reports
from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.partitions import encoder_sequences
from pipelines.runtime.progress import reporter
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.findings.ablations import tables
from spine_models.findings.probes.compare import SPINEFM

if TYPE_CHECKING:  # it imports torch
    from spine_models.findings.ablations.aligned import Batch

LAYER = "findings"
CODE_VERSION = "3"
PAIRED = dg.AssetCheckSpec(
    "variants_are_paired",
    asset=["ablations", "scores"],
    description="All variants of a question, sequence set, evaluation and measure are scored on as many studies and "
    "conditions.",
    blocking=True,
)


@dg.multi_asset(
    name="ablation_vectors",
    ins={"slices": dg.AssetIn(["shards", "slices"]), "studies": dg.AssetIn(["embeddings", "studies"])},
    deps=[
        *of_all_partitions(
            ["shards", "tars"],
            ["embeddings", "slices"],
            ["deid", "reports"],
            ["backbone", "encoder"],
            ["backbone", "anchored"],
        ),
        ["clip", "aligned"],
        ["synthesizer", "aligned"],
        list(clip_key("bi_modal")),
        list(clip_key("concat")),
        list(gates_key("scalar")),
    ],
    outs={
        "vectors": table_out(
            ("ablations", "vectors"),
            tables.VECTORS,
            "Study vectors of every variant and of its reference.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "aligned": table_out(
            ("ablations", "aligned"),
            tables.ALIGNED,
            "Test studies and their reports in the own space of every variant that has a text side.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    pool="gpu",
)
def vectors(hospital: Hospital, slices: pl.DataFrame, studies: pl.DataFrame) -> Iterator[object]:
    """Encode each study by every variant; a variant that was not trained has no rows."""
    from spine_models.encoder.clip.model import load_clip, version_of
    from spine_models.encoder.synthesizer.alignment import load_alignment
    from spine_models.findings.ablations.aligned import variants_beside_reports
    from spine_models.findings.ablations.models import gram_models, length_models, synthesizer_models
    from spine_models.findings.ablations.variants import PLAIN, Question
    from spine_models.findings.ablations.vectors import aligned_studies, encoded_studies, stored_studies
    from spine_models.findings.embeddings.aligned import ClipSide

    routes = encoder_sequences.get_partition_keys()
    anchored = hospital.encoders()
    pretrained = hospital.artifacts(("backbone", "encoder"), routes)
    trained = {name: folder for name in ("scalar",) if (folder := hospital.trained(gates_key(name)))}
    conditional = hospital.trained(("synthesizer", "aligned"))
    models = gram_models(pretrained) | length_models(pretrained)
    models |= synthesizer_models(anchored, conditional, trained)
    batches = slices["batch_key"].unique().sort().to_list()
    frames = [
        encoded_studies(
            slices,
            hospital.artifacts(TARS, batches),
            models,
            progress=reporter("ablations", "slices"),
        ),
        stored_studies(studies, Question.GRAM, "with_gram"),
        stored_studies(studies, Question.LENGTH, "anchored"),
        stored_studies(studies, Question.ALIGNMENT, PLAIN),
    ]
    keys = {"tri_modal": ("clip", "aligned")} | {name: clip_key(name) for name in ("bi_modal", "concat")}
    clips = {
        name: ClipSide(load_clip(folder), version_of(folder), hospital.lake.card(key)["training"]["parents"])
        for name, key in keys.items()
        if (folder := hospital.trained(key)) is not None
    }
    for name, clip in clips.items():
        stored = (hospital.lake.read_table(("embeddings", "slices"), [batch]) for batch in batches)
        most = hospital.numbers.clip.max_slices
        frames.append(aligned_studies(name, clip.model, clip.version, stored, max_slices=most))
    frame = pl.concat(frames).sort("question", "variant", "route", "study_key")
    yield table_result(("ablations", "vectors"), frame, by_variant=counts(frame, "variant"))
    del models  # their encoders need not stay in memory beside the gates' own
    gates = trained | ({} if conditional is None else {"conditional": conditional})
    beside = variants_beside_reports(
        (_batch(hospital, slices, batch) for batch in batches),
        clips,
        {name: load_alignment(folder, anchored["t1"], anchored["t2"]) for name, folder in gates.items()},
        most=hospital.numbers.synthesizer.align.slices,
    )
    yield table_result(("ablations", "aligned"), beside, by_variant=counts(beside, "variant"))


def _batch(hospital: Hospital, slices: pl.DataFrame, key: str) -> "Batch":
    from spine_models.findings.ablations.aligned import Batch

    stored = pl.scan_parquet(hospital.lake.table_path(("embeddings", "slices"), key))
    return Batch(
        key,
        slices.filter(pl.col("batch_key") == key),
        study_reports(hospital, pl.DataFrame({"batch_key": [key]})),
        lambda keys: stored.filter(pl.col("slice_key").is_in(keys)).collect(engine="streaming"),
        hospital.current(TARS, key),
    )


@dg.multi_asset(
    name="ablation_scores",
    ins={
        "vectors": dg.AssetIn(["ablations", "vectors"]),
        "beside": dg.AssetIn(["ablations", "aligned"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
        "summary": dg.AssetIn(["probes", "summary"]),
    },
    deps=of_all_partitions(["embeddings", "aligned"], ["shards", "splits"], ["deid", "reports"]),
    outs={
        "scores": table_out(
            ("ablations", "scores"),
            tables.SCORES,
            "Mean AUROC and AUPRC of every variant, its recall of reports, and how far its reference is from it, with "
            "intervals.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[PAIRED],
)
def scores(
    hospital: Hospital,
    vectors: pl.DataFrame,
    beside: pl.DataFrame,
    consensus: pl.DataFrame,
    patients: pl.DataFrame,
    summary: pl.DataFrame,
) -> Iterator[object]:
    """Score every question on the studies that all of its variants have."""
    from spine_models.findings.ablations.recall import score_recall
    from spine_models.findings.ablations.scores import score_ablations

    lake = hospital.lake
    batches = lake.partitions(("embeddings", "aligned"))
    recall = score_recall(
        vectors,
        beside,
        lake.read_table(("embeddings", "aligned"), batches),
        splits=lake.read_table(("shards", "splits"), lake.partitions(("shards", "splits"))),
        reports=study_reports(hospital, pl.DataFrame({"batch_key": batches})),
        settings=hospital.numbers.retrieval,
    )
    frame = pl.concat(
        [score_ablations(vectors, consensus, patients, settings=hospital.numbers.probes), recall]
    )
    shown = frame.filter(pl.col("measure") != "auprc").select(
        "measure",
        "question",
        "variant",
        "sequence_set",
        "evaluation",
        "value",
        "low",
        "high",
        "relative_gain",
    )
    yield table_result(
        ("ablations", "scores"),
        frame,
        gains=gain_plot(frame),
        length=length_plot(frame, hospital.numbers.backbone.steps, _best_baselines(summary)),
        table=markdown(shown, rows=200),
    )
    valued = frame.filter(pl.col("value").is_not_null())
    paired = valued.group_by("question", "sequence_set", "evaluation", "measure").agg(
        pl.struct("conditions", "n_studies").n_unique().alias("kinds")
    )
    yield dg.AssetCheckResult(
        asset_key=["ablations", "scores"],
        check_name=PAIRED.name,
        passed=frame.height > 0 and (paired["kinds"] == 1).all(),
        metadata={"rows": frame.height, "comparisons": paired.height},
    )


def _best_baselines(summary: pl.DataFrame) -> dict[tuple[str, str], float]:
    """The highest mean AUROC of a linear head on a baseline's vectors, by sequence set and evaluation."""
    known = summary.filter(
        ~pl.col("encoder").str.starts_with(SPINEFM)
        & (pl.col("head") == "linear")
        & pl.col("auroc").is_not_null()
    )
    best = known.group_by("sequence_set", "evaluation").agg(pl.col("auroc").max())
    return {(sequence_set, evaluation): auroc for sequence_set, evaluation, auroc in best.rows()}

"""retrieval: what held-out studies, reports and slices find, beside chance and beside the baselines.

Belongs here: wiring of the scores and their figures. Does not belong here: ranks and intervals
(``spine_models.findings.retrieval``), the index (``index``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.aligned import space_versions, trained_clip
from pipelines.runtime.frozen import study_reports
from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.findings.retrieval import tables

LAYER = "findings"
CODE_VERSION = "2"
PRECISION_VERSION = "3"
ABOVE_CHANCE = dg.AssetCheckSpec(
    "reports_are_found",
    asset=["retrieval", "scores"],
    description="Held-out images find their report among the first five more often than by chance, interval and all.",
)


@dg.multi_asset(
    name="retrieval_scores",
    ins={"baselines": dg.AssetIn(["probes", "baselines"]), "consensus": dg.AssetIn(["labels", "consensus"])},
    deps=[
        *of_all_partitions(
            ["embeddings", "aligned"],
            ["embeddings", "aligned_slices"],
            ["embeddings", "studies"],
            ["shards", "splits"],
            ["shards", "slices"],
            ["shards", "tars"],
            ["deid", "reports"],
        ),
        ["clip", "aligned"],
        ["synthesizer", "aligned"],
        ["retrieval", "index"],
    ],
    outs={
        "scores": table_out(
            ("retrieval", "scores"),
            tables.SCORES,
            "Recall, median rank and reciprocal rank of each task and sequence set, with intervals, on test patients.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "gains": table_out(
            ("retrieval", "gains"),
            tables.GAINS,
            "Relative gain of recall at 5 over the best baseline and over no synthesizer, with a paired interval.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "precision": table_out(
            ("retrieval", "precision"),
            tables.PRECISION,
            "How many of the most similar studies share a condition, by encoder.",
            layer=LAYER,
            code_version=PRECISION_VERSION,
        ),
    },
    check_specs=[ABOVE_CHANCE],
)
def scores(hospital: Hospital, baselines: pl.DataFrame, consensus: pl.DataFrame) -> Iterator[object]:
    """Score on test patients; the baselines' maps are fitted on train patients and chosen on val."""
    from pipelines.runtime.figures.retrieval import found_slices, recall_plot
    from spine_models.findings.retrieval.evaluate import Vectors, evaluate_retrieval, sentence_vectors

    lake = hospital.lake
    batches = lake.partitions(("embeddings", "aligned"))
    columns = [
        "study_key", "patient_key", "route", "encoder", "model_version", "preprocessing_version", "vector",
    ]  # fmt: skip
    sentences = sentence_vectors(clip := trained_clip(hospital))
    space = space_versions(hospital)
    published = {} if space is None else {"clip": space.clip, "synthesizer": space.synthesizer}
    found = evaluate_retrieval(
        Vectors(
            aligned=lake.read_table(("embeddings", "aligned"), batches),
            slices=lambda: (lake.read_table(("embeddings", "aligned_slices"), [batch]) for batch in batches),
            frozen=lake.read_table(("embeddings", "studies"), batches, columns=columns),
            baselines=baselines,
        ),
        splits=lake.read_table(("shards", "splits"), lake.partitions(("shards", "splits"))),
        reports=study_reports(hospital, pl.DataFrame({"batch_key": batches})),
        consensus=consensus,
        sentences=sentences,
        versions={family: version for family, version in published.items() if version is not None},
        settings=hospital.numbers.retrieval,
    )
    yield table_result(
        ("retrieval", "scores"),
        found.scores,
        by_status=counts(found.scores, "status"),
        recall=recall_plot(found.scores),
        slices=found_slices(hospital, sentences, consensus, clip and clip.version),
        table=markdown(
            found.scores.filter(pl.col("status") == "evaluated").select(
                "task",
                "encoder",
                "query",
                "gallery",
                "n_queries",
                "recall_5",
                "chance_recall_5",
                "median_rank",
            )
        ),
    )
    yield table_result(("retrieval", "gains"), found.gains, table=markdown(found.gains))
    yield table_result(
        ("retrieval", "precision"),
        found.precision,
        table=markdown(found.precision.filter(pl.col("condition") == "all")),
    )
    own = found.scores.filter(
        pl.col("task") == "image_to_report", ~pl.col("encoder").str.ends_with("+linear")
    ).filter(pl.col("status") == "evaluated")
    above = own.filter(pl.col("recall_5_low") > pl.col("chance_recall_5"))
    yield dg.AssetCheckResult(
        asset_key=["retrieval", "scores"],
        check_name=ABOVE_CHANCE.name,
        passed=own.height > 0 and above.height == own.height,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"evaluated": own.height, "above_chance": above.height},
    )

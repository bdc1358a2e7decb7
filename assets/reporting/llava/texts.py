"""What the report model writes: texts for the drafts of a batch, and answers that are scored.

Belongs here: wiring. Does not belong here: prompts, generation, why there is no text
(``spine_models.reporting.llava``).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from dagster import AssetExecutionContext

from pipelines.runtime.metadata import counts, table_out, table_result
from pipelines.runtime.partitions import study_batches
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.report_model import (
    asked_studies,
    batch_studies,
    draft_texts,
    open_tuned,
    slices_of_batch,
)
from pipelines.runtime.resources import Hospital
from spine_models.reporting.llava import tables

LAYER = "reporting"
CODE_VERSION = "2"
WRITTEN = ("llava", "written")
ANSWERS = ("llava", "answers")
SAYS_WHY = dg.AssetCheckSpec(
    "every_study_has_a_text_or_a_reason",
    asset=WRITTEN,
    description="Every study of the batch has one row, with a text or the reason why there is none.",
    blocking=True,
)
HELD_OUT = dg.AssetCheckSpec(
    "only_held_out_patients",
    asset=ANSWERS,
    description="What is scored was written of val and test patients alone.",
    blocking=True,
)


@dg.multi_asset(
    name="llava_written",
    ins={"studies": dg.AssetIn(["deid", "studies"]), "claims": dg.AssetIn(["agents", "claims"])},
    deps=[["llava", "tuned"], ["llava", "decoder"], ["embeddings", "slices"], ["shards", "slices"]],
    outs={
        "written": table_out(
            WRITTEN,
            tables.WRITTEN,
            "The report model's text of each study's claims, where it is fit for drafts; else why there is none.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    partitions_def=study_batches,
    check_specs=[SAYS_WHY],
    pool="gpu",
)
def written(
    context: AssetExecutionContext, hospital: Hospital, studies: pl.DataFrame, claims: pl.DataFrame
) -> Iterator[object]:
    """Write the batch's reports as its claims have them, where the model may."""
    frame = draft_texts(
        hospital,
        studies,
        lambda: asked_studies(hospital, studies, claims, *slices_of_batch(hospital, context.partition_key)),
    )
    yield table_result(
        WRITTEN, frame, texts=int((frame["text"] != "").sum()), reasons=counts(frame, "reason")
    )
    silent = frame.filter((pl.col("text") == "") & pl.col("reason").is_null()).height
    yield dg.AssetCheckResult(
        asset_key=list(WRITTEN),
        check_name=SAYS_WHY.name,
        passed=silent == 0 and set(frame["study_key"]) == set(studies["study_key"]),
        metadata={"studies": studies.height, "silent": silent},
    )


@dg.multi_asset(
    name="llava_answers",
    deps=[
        *of_all_partitions(
            ["agents", "claims"], ["embeddings", "slices"], ["retrieval", "neighbours"], ["shards", "splits"]
        ),
        ["llava", "tuned"],
        ["llava", "decoder"],
    ],
    outs={
        "answers": table_out(
            ANSWERS,
            tables.ANSWERS,
            "What the report model writes of val and test studies under their images alone and under the agents.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[HELD_OUT],
    pool="gpu",
)
def answers(hospital: Hospital) -> Iterator[object]:
    """Write of every held-out study twice; nothing where no report model has been trained."""
    from spine_models.reporting.llava import writing

    opened, lake = open_tuned(hospital), hospital.lake
    batches = lake.partitions(("agents", "claims")) if opened.llava is not None else []
    held: dict[str | None, tuple[list[pl.DataFrame], list[Any]]] = {}
    for batch in batches:
        splits = lake.read_table(("shards", "splits"), [batch]).filter(pl.col("split").is_in(["val", "test"]))
        studies = lake.read_table(("deid", "studies"), [batch]).join(
            splits.select("patient_key", "split"), on="patient_key", how="inner"
        )
        asked, encoders = batch_studies(hospital, studies, batch)
        of_batch = held.setdefault(writing.encoder_mismatch(opened.card or {}, encoders), ([], []))
        of_batch[0].append(studies)
        of_batch[1].extend(asked)
    # Of all batches together, so that many texts are written at a time.
    settings, version = hospital.numbers.llava, opened.version
    frames = [
        writing.answers(pl.concat(own), asked, opened.llava, settings, version=version, reason=reason)
        for reason, (own, asked) in held.items()
    ]
    frame = pl.concat([pl.DataFrame(schema=tables.ANSWERS), *frames]).sort("study_key", "conditioning")
    yield table_result(
        ANSWERS, frame, by_conditioning=counts(frame, "conditioning"), reasons=counts(frame, "reason")
    )
    train = frame.filter(~pl.col("split").is_in(["val", "test"])).height
    yield dg.AssetCheckResult(
        asset_key=list(ANSWERS),
        check_name=HELD_OUT.name,
        passed=train == 0,
        metadata={"studies": frame["study_key"].n_unique(), "of_others": train},
    )

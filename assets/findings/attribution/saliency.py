"""attribution of slices: saliency maps of test patients' slices, judged by curves and by annotated boxes.

Belongs here: wiring. Does not belong here: maps, measures or intervals (``spine_models.findings.attribution``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.figures.attribution import saliency_curves, saliency_sheet
from pipelines.runtime.metadata import markdown, table_out, table_result
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from spine_models.findings.attribution import tables

LAYER = "findings"
CODE_VERSION = "2"
SYNTHESIZER = ("synthesizer", "aligned")
TEST_ONLY = dg.AssetCheckSpec(
    "only_test_patients_are_judged",
    asset=["attribution", "measured"],
    description="Saliency is judged on slices of patients of the test split alone.",
    blocking=True,
)


@dg.multi_asset(
    name="attribution_scores",
    ins={
        "slices": dg.AssetIn(["shards", "slices"]),
        "annotations": dg.AssetIn(["deid", "annotations"]),
        "consensus": dg.AssetIn(["labels", "consensus"]),
        "patients": dg.AssetIn(["shards", "patients"]),
    },
    deps=[["probes", "heads"], ["shards", "tars"], ["backbone", "anchored"], list(SYNTHESIZER)],
    outs={
        "measured": table_out(
            ("attribution", "measured"),
            tables.MEASURED,
            "Deletion, insertion and overlap with boxes of every judged slice and saliency method.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "scores": table_out(
            ("attribution", "scores"),
            tables.SCORES,
            "Saliency methods against chance and the centre per condition, with intervals over patients.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[TEST_ONLY],
    pool="gpu",
)
def attribution_scores(
    hospital: Hospital,
    slices: pl.DataFrame,
    annotations: pl.DataFrame,
    consensus: pl.DataFrame,
    patients: pl.DataFrame,
) -> Iterator[object]:
    """Draw slices of test patients, map them by every method, and measure the maps."""
    from spine_models.findings.attribution.drawn import drawn_slices
    from spine_models.findings.attribution.judge import judge
    from spine_models.findings.attribution.scores import ALL, saliency_scores
    from spine_models.findings.attribution.sight import open_sights, slice_heads
    from spine_models.findings.probes.heads import load_heads

    settings = hospital.numbers.attribution
    heads = load_heads(hospital.current(("probes", "heads")))
    synthesizer = hospital.current(SYNTHESIZER) if hospital.lake.has_artifact(SYNTHESIZER) else None
    sights = open_sights(heads, hospital.encoders(), synthesizer, batch_size=settings.batch_size)
    widths = {route: sight.dim for route, sight in sights.items()}
    drawn = drawn_slices(
        slices,
        annotations,
        consensus,
        patients,
        routes=sorted(sights),
        preprocessings=heads.preprocessing_versions,
        settings=settings,
        points=hospital.numbers.localization,
    )
    judged = judge(
        drawn,
        sights,
        {route: slice_heads(heads, sight, widths) for route, sight in sights.items()},
        hospital.artifacts(("shards", "tars"), drawn["batch_key"].unique().sort().to_list()),
        settings=settings,
        progress=reporter("saliency", "slices"),
    )
    scores = saliency_scores(judged.measured, heads.conditions, settings=settings)
    yield table_result(
        ("attribution", "measured"),
        judged.measured,
        slices=judged.measured["slice_key"].n_unique(),
        patients=judged.measured["patient_key"].n_unique(),
        examples=saliency_sheet(judged.examples),
    )
    shown = scores.filter(condition=ALL, status="evaluated")
    yield table_result(
        ("attribution", "scores"),
        scores,
        curves=saliency_curves(judged.curves),
        table=markdown(
            shown.select(
                "measure", "method", "n", "value", "low", "high", "chance", "centre", "over_chance_low"
            )
        ),
    )
    test = patients.filter(pl.col("split") == "test")
    strangers = judged.measured.join(test, on="patient_key", how="anti")
    yield dg.AssetCheckResult(
        asset_key=["attribution", "measured"],
        check_name=TEST_ONLY.name,
        passed=strangers.is_empty(),
        metadata={"rows": judged.measured.height, "strangers": strangers["patient_key"].n_unique()},
    )

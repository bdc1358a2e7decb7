"""The report model's answers to the held-out benchmark, scored like those of the other answerers.

They stand here and not beside the others, since the report model learns from the instruction items: the benchmark
comes before it and its answers after. Belongs here: wiring. Does not belong here: choosing, scores
(``spine_models.reporting.llava.benchmark``).
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.report_model import CLAIMS, asked_studies, open_tuned, slices_of_batch
from pipelines.runtime.resources import Hospital
from spine_models.reporting.instructions import tables as instruction_tables
from spine_models.reporting.llava import tables

LAYER = "reporting"
CODE_VERSION = "1"
BENCHMARK_ANSWERS = ("llava", "benchmark_answers")
BENCHMARK_SCORES = ("llava", "benchmark_scores")
LABELS = (
    ("deid", "reports"),
    ("labels", "consensus"),
    ("labels", "mentions"),
    ("labels", "contradictions"),
    ("sequences", "series"),
)
CHOSEN = dg.AssetCheckSpec(
    "every_choice_has_an_answer_or_a_reason",
    asset=BENCHMARK_ANSWERS,
    description="Every choice of the benchmark has a row of either answerer, with an option or the reason for none.",
    blocking=True,
)


@dg.multi_asset(
    name="llava_benchmark",
    ins={
        "benchmark": dg.AssetIn(["instructions", "benchmark"]),
        "written": dg.AssetIn(["llava", "answers"]),
    },
    deps=[
        *of_all_partitions(["agents", "claims"], ["embeddings", "slices"], *map(list, LABELS)),
        ["llava", "tuned"],
        ["llava", "decoder"],
    ],
    outs={
        "benchmark_answers": table_out(
            BENCHMARK_ANSWERS,
            tables.BENCHMARK_ANSWERS,
            "Which option of every choice of the benchmark the report model finds likeliest, or why there is none.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
        "benchmark_scores": table_out(
            BENCHMARK_SCORES,
            instruction_tables.BENCHMARK_SCORES,
            "How well the report model answers the benchmark, by dimension and section; no rows without a model.",
            layer=LAYER,
            code_version=CODE_VERSION,
        ),
    },
    check_specs=[CHOSEN],
    pool="gpu",
)
def chosen(hospital: Hospital, benchmark: pl.DataFrame, written: pl.DataFrame) -> Iterator[object]:
    """Let the report model choose, and score what it chose and wrote."""
    from spine_models.reporting.instructions import cases_of
    from spine_models.reporting.llava.benchmark import ANSWERERS, answer_choices, score_answers
    from spine_models.reporting.llava.writing import encoder_mismatch, unfit

    lake, numbers = hospital.lake, hospital.numbers.instructions
    opened = open_tuned(hospital)
    frames = [pl.DataFrame(schema=tables.BENCHMARK_ANSWERS)]
    for (batch,), own in benchmark.group_by("batch_key", maintain_order=True):
        if opened.llava is None:
            frames.append(answer_choices(own, [], None, reason=unfit(opened.card)))
            continue
        studies = own.select("patient_key", "study_key").unique()
        asked, encoders = asked_studies(
            hospital, studies, lake.read_table(CLAIMS, [str(batch)]), *slices_of_batch(hospital, str(batch))
        )
        reason = encoder_mismatch(opened.card or {}, encoders)
        frames.append(answer_choices(own, asked, opened.llava, version=opened.version, reason=reason))
    answered = pl.concat(frames).sort("item_key", "answerer")
    yield table_result(
        BENCHMARK_ANSWERS,
        answered,
        by_answerer=counts(answered, "answerer"),
        reasons=counts(answered, "reason"),
    )
    labels = [lake.read_table(key, lake.partitions(key)) for key in LABELS]
    cases = cases_of(*labels, set(benchmark["patient_key"]))
    scores = score_answers(
        benchmark, answered, written, cases, bootstrap=numbers.bootstrap, seed=numbers.seed
    )
    shown = scores.select("dimension", "answerer", "n", "answered", "score", "low", "high", "chance")
    yield table_result(BENCHMARK_SCORES, scores, scores=markdown(shown))
    wanted = benchmark.filter(kind="choice").height * len(ANSWERERS)
    silent = answered.filter(pl.col("chosen").is_null() & pl.col("reason").is_null()).height
    yield dg.AssetCheckResult(
        asset_key=list(BENCHMARK_ANSWERS),
        check_name=CHOSEN.name,
        passed=silent == 0 and answered.height == wanted,
        metadata={"choices": wanted, "rows": answered.height, "silent": silent},
    )

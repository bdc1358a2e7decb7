"""instructions: question and answer data of train patients, a benchmark of test patients, proof that they are apart.

Belongs here: wiring. Does not belong here: what is asked, written, verified or scored
(``spine_models.reporting.instructions``).
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.models import LanguageModels
from pipelines.runtime.profiles import Settings
from pipelines.runtime.progress import reporter
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.config import load_profile
from spine_models.reporting.instructions import tables

LAYER = "reporting"
CODE_VERSION = "2"
ITEMS = ("instructions", "items")
LEVELS = ("localization", "level_predictions")
SCORES = ("instructions", "benchmark_scores")
SOURCES = (
    ("deid", "reports"),
    ("labels", "consensus"),
    ("labels", "mentions"),
    ("labels", "contradictions"),
    ("sequences", "series"),
)
ASKS_A_MODEL = load_profile(Settings().profile).instructions.llm is not None
MOST_DUPLICATES = 0.01
VERIFIED = dg.AssetCheckSpec(
    "every_answer_is_verified",
    asset=list(ITEMS),
    description="Every item holds against its labels and its passage when it is read again.",
    blocking=True,
)
VARIED = dg.AssetCheckSpec(
    "duplicates_and_positions",
    asset=list(ITEMS),
    description="Under 1 % of the items share their text with another, and right options stand in all places alike.",
    blocking=True,
)
APART = dg.AssetCheckSpec(
    "nothing_held_out_is_in_it",
    asset=["instructions", "contamination"],
    description="No patient, study, report or text of the test split or the benchmark is among the items.",
    blocking=True,
)
SCORED = dg.AssetCheckSpec(
    "every_dimension_is_scored",
    asset=list(SCORES),
    description="Each dimension of the benchmark has a score of every answerer.",
)


@dg.multi_asset(
    name="instructions",
    ins={"ledger": dg.AssetIn(["shards", "patients"])},
    deps=of_all_partitions(*map(list, SOURCES), ["shards", "splits"]),
    outs={
        name: table_out(("instructions", name), schema, description, layer=LAYER, code_version=CODE_VERSION)
        for name, schema, description in (
            (
                "items",
                tables.ITEMS,
                "Verified questions and answers on studies of train patients, with evidence.",
            ),
            ("refused", tables.ITEMS, "What verification did not let pass, each with its reason."),
            ("benchmark", tables.BENCHMARK, "Choices and reports on studies of test patients."),
            (
                "contamination",
                tables.CONTAMINATION,
                "Overlaps of items with test patients and benchmark: all 0.",
            ),
        )
    },
    check_specs=[VERIFIED, VARIED, APART],
    pool="gpu" if ASKS_A_MODEL else None,
)
def instructions(
    hospital: Hospital, language_models: LanguageModels, ledger: pl.DataFrame
) -> Iterator[object]:
    """Draft, revise and verify items of the frozen train patients, and the benchmark of the test patients."""
    from spine_models.reporting.instructions import (
        build_benchmark,
        build_items,
        cases_of,
        contamination,
        duplicate_share,
        held_out_patients,
        unevenness,
        verify,
    )

    numbers = hospital.numbers.instructions
    sources = [_whole(hospital, key) for key in SOURCES]
    reports, splits = sources[0], _whole(hospital, ("shards", "splits"))
    test = held_out_patients(ledger, splits)
    train = set(ledger.filter(pl.col("may_train"))["patient_key"]) - test
    cases = cases_of(*sources, train)
    theirs = reports.filter(pl.col("patient_key").is_in(sorted(test)), pl.col("report_text").is_not_null())
    held_out = dict(theirs.select("report_key", "report_text").iter_rows())
    with _asking(hospital, language_models) as ask:
        built = build_items(cases, numbers, held_out=held_out, ask=ask)
    benchmark = build_benchmark(cases_of(*sources, test), numbers)
    found = contamination(
        built.items,
        benchmark,
        reports=reports,
        ledger=ledger,
        splits=splits,
        threshold=numbers.near_duplicate,
    )
    duplicates, uneven = duplicate_share(built.items), unevenness(built.items)
    yield table_result(
        ITEMS,
        built.items,
        by_kind=counts(built.items, "kind"),
        by_dimension=counts(built.items, "dimension"),
        by_writer=counts(built.items, "writer"),
        studies=built.items["study_key"].n_unique(),
        duplicate_share=duplicates,
        left_out_for_balance=built.surplus,
    )
    yield table_result(
        ("instructions", "refused"), built.refused, reasons=counts(built.refused, "rejected_reason")
    )
    yield table_result(("instructions", "benchmark"), benchmark, by_dimension=counts(benchmark, "dimension"))
    yield table_result(("instructions", "contamination"), found, overlaps=markdown(found))
    wrong = [
        row["item_key"]
        for row in built.items.iter_rows(named=True)
        if verify(row, cases.get(row["study_key"]))
    ]
    yield dg.AssetCheckResult(
        asset_key=list(ITEMS),
        check_name=VERIFIED.name,
        passed=not wrong,
        metadata={"items": built.items.height, "wrong": len(wrong), "refused": built.refused.height},
    )
    yield dg.AssetCheckResult(
        asset_key=list(ITEMS),
        check_name=VARIED.name,
        passed=duplicates < MOST_DUPLICATES and uneven <= 1,
        metadata={"duplicate_share": duplicates, "largest_difference_of_positions": uneven},
    )
    yield dg.AssetCheckResult(
        asset_key=["instructions", "contamination"],
        check_name=APART.name,
        passed=not (found["overlap"] > 0).any(),
        metadata={"broken": markdown(found.filter(pl.col("overlap") > 0).select("rule", "overlap"))},
    )


@dg.multi_asset(
    name="instructions_scores",
    ins={
        "items": dg.AssetIn(["instructions", "items"]),
        "benchmark": dg.AssetIn(["instructions", "benchmark"]),
        "ledger": dg.AssetIn(["shards", "patients"]),
    },
    deps=[
        *of_all_partitions(["agents", "claims"], *map(list, SOURCES), ["shards", "splits"]),
        list(LEVELS),
    ],
    outs={
        "benchmark_scores": table_out(
            SCORES,
            tables.BENCHMARK_SCORES,
            "How well the agents, and what is frequent in training, answer the benchmark; by dimension and section.",
            layer=LAYER,
            code_version=CODE_VERSION,
        )
    },
    check_specs=[SCORED],
)
def benchmark_scores(
    hospital: Hospital, items: pl.DataFrame, benchmark: pl.DataFrame, ledger: pl.DataFrame
) -> Iterator[object]:
    """Let the answerers that need no language model answer, and score them."""
    from spine_models.reporting import instructions as room

    numbers = hospital.numbers.instructions
    sources = [_whole(hospital, key) for key in SOURCES]
    test = room.held_out_patients(ledger, _whole(hospital, ("shards", "splits")))
    train = set(ledger.filter(pl.col("may_train"))["patient_key"]) - test
    held, known = room.cases_of(*sources, test), room.cases_of(*sources, train)
    studies = benchmark["study_key"].unique()
    claims = _whole(hospital, ("agents", "claims")).filter(pl.col("study_key").is_in(studies.implode()))
    levels = hospital.lake.read_table(LEVELS, [None]).filter(pl.col("study_key").is_in(studies.implode()))
    drawn = {"bootstrap": numbers.bootstrap, "seed": numbers.seed}
    found = [
        room.score_choices(benchmark, room.agents_choose(benchmark, claims, levels), room.AGENTS, **drawn),
        room.score_choices(benchmark, room.prior_chooses(benchmark, items), room.PRIOR, **drawn),
        room.score_reports(benchmark, held, room.agents_report(claims), room.AGENTS, **drawn),
        room.score_reports(benchmark, held, room.prior_report(known, studies.to_list()), room.PRIOR, **drawn),
    ]
    scores = pl.concat(found)
    shown = scores.select("dimension", "answerer", "n", "answered", "score", "low", "high", "chance")
    yield table_result(SCORES, scores, scores=markdown(shown))
    expected = set(benchmark.filter(kind="choice")["dimension"])
    scored = scores.group_by("answerer").agg(pl.col("dimension"))
    passed = all(expected <= set(own) for own in scored["dimension"].to_list())
    yield dg.AssetCheckResult(
        asset_key=list(SCORES), check_name=SCORED.name, passed=passed, metadata={"dimensions": len(expected)}
    )


@contextmanager
def _asking(hospital: Hospital, language_models: LanguageModels) -> Iterator[Any]:
    """The configured model as a function of questions, its server up from the first open one on; None without one."""
    from spine_models.reporting.chat import Question, Reply, ask_all, count_open

    llm = hospital.numbers.instructions.writer
    if llm is None:
        yield None
        return
    folder = hospital.answers_root / "instructions"
    with ExitStack() as stack:
        endpoints: list[str] = []

        def ask(questions: list[Question]) -> Mapping[str, Reply]:
            if count_open(questions, settings=llm, log_folder=folder) and not endpoints:
                endpoints.append(stack.enter_context(language_models.serving(llm)))
            return ask_all(
                questions,
                settings=llm,
                endpoint=endpoints[0] if endpoints else "",
                log_folder=folder,
                api_key=language_models.api_key or None,
                progress=reporter(f"instructions by {llm.name}", "questions"),
            )

        yield ask


def _whole(hospital: Hospital, key: tuple[str, str]) -> pl.DataFrame:
    """All batches of a table."""
    return hospital.lake.read_table(key, hospital.lake.partitions(key))

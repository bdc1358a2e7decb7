"""scores: what drafted reports are worth against the studies' own, by the metric, by a judge and by readers.

Belongs here: wiring. Does not belong here: the metric, the harness, the analysis (``spine_models.reporting.scores``).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg
import polars as pl

from pipelines.runtime.frozen import study_reports
from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.models import LanguageModels
from pipelines.runtime.profiles import Settings
from pipelines.runtime.progress import reporter
from pipelines.runtime.provenance import of_all_partitions
from pipelines.runtime.resources import Hospital
from spine_models.config import load_profile
from spine_models.reporting.scores import tables

if TYPE_CHECKING:
    from spine_models.corpus.statements import Reference
    from spine_models.reporting.scores.harness import Case, Text

LAYER = "reporting"
CODE_VERSION = "2"
CONFIGURED = load_profile(Settings().profile).scores
"""Whether anybody is asked is decided when the code location is loaded: only then is the GPU's pool waited for."""
WANTED = 1.5
"""How many times the F1 of reports from images alone those with agents should reach."""

TEXTS = [
    *of_all_partitions(
        ["reports", "drafts"],
        ["agents", "claims"],
        ["retrieval", "neighbours"],
        ["deid", "studies"],
        ["deid", "reports"],
        ["labels", "consensus"],
        ["labels", "mentions"],
        ["shards", "splits"],
    ),
    dg.AssetDep(["llava", "answers"]),
]
MOVES = dg.AssetCheckSpec(
    "errors_lower_the_score",
    asset=["scores", "perturbations"],
    description="Every finding dropped, invented, flipped, moved, regraded or hedged lowers the score as it should.",
)
COUNTED = dg.AssetCheckSpec(
    "no_study_is_dropped",
    asset=["scores", "studies"],
    description="Every study of a test patient stands under every method, scored or with the reason why not.",
    blocking=True,
)
BETTER = dg.AssetCheckSpec(
    "agents_help",
    asset=["scores", "comparisons"],
    description="With agents: 1.5 times the F1 of reports from images alone, fewer inventions and fewer omissions.",
)
KNOWN = dg.AssetCheckSpec(
    "drafts_are_known",
    asset=["scores", "readers"],
    description="Every reading is of a draft that is still there.",
)


class Material(NamedTuple):
    """Studies of test patients, all reports, references, each method's texts, and text beside reference."""

    studies: pl.DataFrame
    reports: pl.DataFrame
    known: "Mapping[str, Reference | str]"
    texts: "Mapping[str, Mapping[str, Text]]"
    cases: "Sequence[Case]"


def _out(thing: str, schema: pl.Schema, description: str) -> dg.AssetOut:
    return table_out(("scores", thing), schema, description, layer=LAYER, code_version=CODE_VERSION)


@dg.multi_asset(
    name="report_scores",
    deps=TEXTS,
    outs={
        "studies": _out(
            "studies", tables.STUDIES, "One row per test patient's study and method: claims and texts."
        ),
        "methods": _out(
            "methods", tables.SCORES, "Each method's claim scores, errors and text scores with intervals."
        ),
        "comparisons": _out(
            "comparisons",
            tables.COMPARISONS,
            "Methods beside each other on the same studies, paired intervals.",
        ),
        "conditions": _out("conditions", tables.CONDITIONS, "Report AUROC of each condition, by method."),
        "perturbations": _out(
            "perturbations", tables.PERTURBATIONS, "What known errors in a right draft do to the metric."
        ),
    },
    check_specs=[MOVES, COUNTED, BETTER],
)
def report_scores(hospital: Hospital) -> Iterator[object]:
    """Score every method's reports of the test patients."""
    from spine_models.corpus.statements import Reference
    from spine_models.reporting.scores.conditions import score_conditions
    from spine_models.reporting.scores.harness import METHODS, metric_of, study_table
    from spine_models.reporting.scores.perturb import perturbations
    from spine_models.reporting.scores.summary import compare_methods, score_methods

    settings = hospital.numbers.scores
    metric = metric_of(settings)
    found = _material(hospital)
    frame = study_table(found.cases)
    yield table_result(("scores", "studies"), frame, by_status=counts(frame, "status"))
    scored = score_methods(found.cases, metric, settings=settings)
    shown = ["method", "strictness", "n_studies", "n_missing", "n_unreadable", "f1", "f1_low", "f1_high"]
    shown += ["precision", "recall", "false_positives", "omissions", "reason"]
    yield table_result(("scores", "methods"), scored, table=markdown(scored.select(shown)))
    beside = compare_methods(found.cases, settings=settings)
    narrow = beside.select(
        "method",
        "against",
        "measure",
        "value",
        "against_value",
        "difference",
        "ratio",
        "ratio_low",
        "ratio_high",
    )
    yield table_result(("scores", "comparisons"), beside, table=markdown(narrow))
    claims = hospital.lake.read_table(("agents", "claims"), _both(hospital, ("agents", "claims")))
    areas = score_conditions(found.cases, claims, settings=settings)
    means = areas.filter(pl.col("condition") == "all")
    yield table_result(("scores", "conditions"), areas, table=markdown(means))
    known = [one for one in found.known.values() if isinstance(one, Reference)]
    spoilt = perturbations(known, metric, most=settings.perturbed_studies, seed=settings.seed)
    yield table_result(("scores", "perturbations"), spoilt, table=markdown(spoilt))
    tried = spoilt.filter(pl.col("status") == "evaluated")
    yield dg.AssetCheckResult(
        asset_key=["scores", "perturbations"],
        check_name=MOVES.name,
        passed=tried.height > 0 and (tried["n_right"] == tried["n_tried"]).all(),
        # Without a test patient nothing was tried, and nothing is wrong.
        severity=dg.AssetCheckSeverity.ERROR if tried.height else dg.AssetCheckSeverity.WARN,
        metadata={"tried": int(tried["n_tried"].sum()), "right": int(tried["n_right"].sum())},
    )
    yield dg.AssetCheckResult(
        asset_key=["scores", "studies"],
        check_name=COUNTED.name,
        passed=frame.height == len(METHODS) * found.studies.height,
        metadata={"studies": found.studies.height, "rows": frame.height},
    )
    yield _better(beside, scored)


@dg.multi_asset(
    name="report_judge",
    deps=TEXTS,
    outs={
        "judged": _out(
            "judged", tables.JUDGED, "A language model's verdict on every finding of report and draft."
        ),
        "judgements": _out("judgements", tables.JUDGEMENTS, "Those verdicts by method, with intervals."),
    },
    pool="gpu" if CONFIGURED.llm is not None else None,
)
def report_judge(hospital: Hospital, language_models: LanguageModels) -> Iterator[object]:
    """Ask the language model of the profile about every draft; what it answered before is not asked again."""
    from spine_models.reporting.chat import ask_all, count_open
    from spine_models.reporting.scores.judge import judged, judgements, questions

    settings = hospital.numbers.scores
    found = _material(hospital)
    texts = {
        (method, study): text.text
        for method, held in found.texts.items()
        for study, text in held.items()
        if text.text is not None
    }
    reports = dict(found.reports.select("study_key", "report_text").iter_rows())
    asked = questions(found.cases, texts, reports, settings)
    replies = {}
    if settings.judge is not None and asked:
        folder = hospital.answers_root / "scores"
        unanswered = count_open(asked, settings=settings.judge, log_folder=folder)
        with language_models.serving(settings.judge) if unanswered else nullcontext("") as endpoint:
            replies = ask_all(
                asked,
                settings=settings.judge,
                endpoint=endpoint,
                log_folder=folder,
                api_key=language_models.api_key or None,
                progress=reporter("judge", "drafts"),
            )
    verdicts = judged(found.cases, replies, settings)
    yield table_result(("scores", "judged"), verdicts, by_verdict=counts(verdicts, "verdict"))
    summed = judgements(found.cases, verdicts, settings=settings)
    yield table_result(("scores", "judgements"), summed, asked=len(asked), table=markdown(summed))


@dg.multi_asset(
    name="report_readers",
    deps=of_all_partitions(["reports", "drafts"]),
    outs={
        "readers": _out("readers", tables.READERS, "RADPEER scores of drafts with what each reader changed."),
        "radpeer": _out(
            "radpeer", tables.RADPEER, "Spread of scores, edits by score, agreement between readers."
        ),
    },
    check_specs=[KNOWN],
)
def report_readers(hospital: Hospital) -> Iterator[object]:
    """Compare what readers wrote with the drafts that they read."""
    from spine_models.reporting.scores.harness import metric_of
    from spine_models.reporting.scores.radpeer import radpeer
    from spine_models.reporting.scores.readers import readings_table

    settings = hospital.numbers.scores
    # The version first: a reading that is written meanwhile makes the table due again.
    version, readings = hospital.readings_version(), hospital.readings()
    drafts = hospital.lake.read_table(
        ("reports", "drafts"),
        hospital.lake.partitions(("reports", "drafts")),
        columns=["study_key", "draft_key", "report_text"],
    )
    frame = readings_table(readings, drafts, metric_of(settings))
    yield table_result(("scores", "readers"), frame, by_status=counts(frame, "status"), by_hand=version)
    analysed = radpeer(frame, bootstrap=settings.bootstrap, seed=settings.seed)
    yield table_result(("scores", "radpeer"), analysed, table=markdown(analysed))
    lost = frame.filter(pl.col("status") != "read").height
    yield dg.AssetCheckResult(
        asset_key=["scores", "readers"],
        check_name=KNOWN.name,
        passed=lost == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"readings": frame.height, "of_other_drafts": lost},
    )


def _material(hospital: Hospital) -> Material:
    """Read once from the lake what metric and judge are about."""
    from spine_models.reporting.scores.harness import compare_texts, metric_of, references
    from spine_models.reporting.scores.sources import studies_of_test_patients, texts_of_methods

    lake = hospital.lake
    batches = _both(hospital, ("reports", "drafts"))

    def table(*key: str) -> pl.DataFrame:
        return lake.read_table(key, [batch for batch in batches if lake.table_path(key, batch).is_file()])

    studies = studies_of_test_patients(table("deid", "studies"), table("shards", "splits"))
    # A neighbour's report may be of any batch.
    reports = study_reports(hospital, pl.DataFrame({"batch_key": lake.partitions(("deid", "reports"))}))
    known = references(studies, reports, table("labels", "consensus"), table("labels", "mentions"))
    answers = lake.table_path(("llava", "answers"))
    texts = texts_of_methods(
        table("reports", "drafts"),
        pl.read_parquet(answers) if answers.is_file() else None,
        table("retrieval", "neighbours") if lake.partitions(("retrieval", "neighbours")) else None,
        reports,
    )
    cases = compare_texts(studies, known, reports, texts, metric_of(hospital.numbers.scores))
    return Material(studies, reports, known, texts, cases)


def _both(hospital: Hospital, key: tuple[str, str]) -> list[str]:
    """Batches that have this table and were released."""
    released = set(hospital.lake.partitions(("deid", "studies")))
    return [batch for batch in hospital.lake.partitions(key) if batch in released]


def _better(beside: pl.DataFrame, scored: pl.DataFrame) -> dg.AssetCheckResult:
    rows = {row["measure"]: row for row in beside.filter(method="agents", against="image_only").to_dicts()}
    f1, fewer = rows["f1"], [rows[name] for name in ("false_positives", "omissions")]
    passed = f1["status"] == "evaluated" and f1["value"] > 0 and f1["value"] >= WANTED * f1["against_value"]
    told = {"f1": f1["value"], "f1_image_only": f1["against_value"], "f1_ratio": f1["ratio"]}
    told |= {f"{row['measure']}_difference": row["difference"] for row in fewer}
    # Beside texts that say nothing nobody invents less: whoever reads the check must know how many there are.
    told["image_only_unreadable"] = scored.filter(method="image_only", strictness="graded")["n_unreadable"][0]
    return dg.AssetCheckResult(
        asset_key=["scores", "comparisons"],
        check_name=BETTER.name,
        passed=passed and all(row["difference"] < 0 for row in fewer),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={name: value for name, value in told.items() if value is not None}
        | {"reason": f1["reason"] or f1["ratio_reason"] or "none"},
    )

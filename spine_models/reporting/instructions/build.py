"""From cases to items and benchmark: drafted, balanced, written, verified, and their right options dealt evenly.

Belongs here: the order of the stages and what becomes of a refused item. Does not belong here: the stages themselves
(``drafting``, ``revise``, ``writer``, ``verify``).

Positions of right options are dealt last, in shuffled blocks by dimension and number of options, so that no two
positions of a block differ by more than one item, and the dealt rows are verified once more.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import polars as pl

from spine_models.config import InstructionSettings
from spine_models.domain import Split
from spine_models.reporting.chat import ANSWERED, model_version
from spine_models.reporting.instructions.alike import alike, normal
from spine_models.reporting.instructions.cases import Case
from spine_models.reporting.instructions.drafting import Draft, drafts_of
from spine_models.reporting.instructions.report import Body, body_of
from spine_models.reporting.instructions.revise import Worded, option_text, plain, revised, text_of
from spine_models.reporting.instructions.tables import BENCHMARK, ITEMS
from spine_models.reporting.instructions.verify import Refusal, verify
from spine_models.reporting.instructions.wording import words
from spine_models.reporting.instructions.writer import Ask, prompt_version, write

Row = dict[str, Any]
LETTERS = "ABCDEFGH"
REPORT_RUN = 5
"""Words in a run when whole reports are compared."""


@dataclass(frozen=True)
class Built:
    """Items that may be used, and those that may not.

    Attributes:
        items: ``ITEMS``, verified.
        refused: ``ITEMS``, each with its reason; those of a model are replaced by templates where these hold.
        surplus: drafts left out so that answers are balanced.
    """

    items: pl.DataFrame
    refused: pl.DataFrame
    surplus: int


def build_items(
    cases: Mapping[str, Case],
    settings: InstructionSettings,
    *,
    held_out: Mapping[str, str] | None = None,
    ask: Ask | None = None,
) -> Built:
    """The instruction items of some studies.

    Args:
        cases: of train patients (``cases_of``).
        settings: numbers, seed, and the model where ``ask`` is given.
        held_out: report key to text of reports of patients who are held out; a study whose report is like one of
            them is left out as a whole.
        ask: a language model; templates alone where None.
    """
    theirs = {key: content_of(text) for key, text in (held_out or {}).items()}
    ours = {f"{c.study_key} {key}": content_of(text) for c in cases.values() for key, text in c.texts.items()}
    near = alike(ours, theirs, threshold=settings.near_duplicate, size=REPORT_RUN)
    tainted = {key.split(" ")[0] for key, _, _ in near}
    clean = {key: case for key, case in cases.items() if key not in tainted}
    refused = [
        _row(draft, worded, settings, refused=Refusal.HELD_OUT)
        for key in sorted(tainted)
        for draft in drafts_of(cases[key], settings, _frequency(clean))
        if (worded := plain(draft, "train")) is not None
    ]
    return _build(clean, settings, "train", None, ask, refused)


def build_benchmark(cases: Mapping[str, Case], settings: InstructionSettings) -> pl.DataFrame:
    """The benchmark of some studies: choices and reports in questions of their own, ``BENCHMARK``.

    Always of templates, so that two models are asked the same.

    Args:
        cases: of test patients.
        settings: numbers and seed.
    """
    built = _build(cases, settings, "benchmark", ("choice", "report"), None, [])
    return built.items.with_columns(split=pl.lit(Split.TEST.value)).select(BENCHMARK.names()).cast(BENCHMARK)


def duplicate_share(items: pl.DataFrame) -> float:
    """Share of items whose text (question, answer and options, in whichever order) another one has too; 0 of none."""
    texts = Counter(item_text(row) for row in items.iter_rows(named=True))
    return sum(n for n in texts.values() if n > 1) / items.height if items.height else 0.0


def unevenness(items: pl.DataFrame) -> int:
    """The largest difference between two places of the right option, of one dimension and number of options."""
    choices = items.filter(kind="choice").with_columns(size=pl.col("options").list.len())
    found = 0
    for (_, size), own in choices.group_by("dimension", "size"):
        counted = Counter(own["correct"])
        numbers = [counted[place] for place in range(int(size))]
        found = max(found, max(numbers) - min(numbers))
    return found


def item_text(row: Mapping[str, Any]) -> str:
    """The normal form of an item's words; of a choice without the order of its options."""
    if row["options"]:
        return normal(" ".join([row["question"], row["answer"], *sorted(row["options"])]))
    return normal(" ".join(part for turn in row["turns"] for part in (turn["question"], turn["answer"])))


def content_of(report: str) -> str:
    """What two reports are compared by: findings and impression, or the whole text where they cannot be told."""
    body = body_of(report)
    return report if body is None else body.text


def _build(
    cases: Mapping[str, Case],
    settings: InstructionSettings,
    part: str,
    kinds: tuple[str, ...] | None,
    ask: Ask | None,
    refused: list[Row],
) -> Built:
    frequency = _frequency(cases)
    drafted = [d for case in cases.values() for d in drafts_of(case, settings, frequency, kinds=kinds)]
    drafts = _balanced(drafted, settings)
    taken: set[str] = set()
    rows: list[Row] = []
    written = {}
    if ask is not None:
        written = write(drafts, ask, settings.prompt_version, part)
    for draft in drafts:
        case = cases[draft.case.study_key]
        mine = written.get(draft.key)
        if mine is not None:
            row = _row(draft, mine.worded, settings, said=mine.draft, model=True)
            row["rejected_reason"] = (
                verify(row, case) if mine.worded is not None else f"model: {mine.outcome}"
            )
            if mine.worded is not None and text_of(draft, mine.worded) in taken:
                row["rejected_reason"] = Refusal.DUPLICATE
            if row["rejected_reason"] is None and mine.outcome == ANSWERED:
                assert mine.worded is not None
                taken.add(text_of(draft, mine.worded))
                rows.append(row)
                continue
            refused.append(row)  # templates stand in for it
        first = plain(draft, part)
        worded = None if first is None else revised(draft, part, settings.seed, taken)
        if worded is None:
            reason = Refusal.NO_REPORT if first is None else Refusal.DUPLICATE
            refused.append(_row(draft, first, settings, refused=reason))
            continue
        row = _row(draft, worded, settings)
        row["rejected_reason"] = verify(row, case)
        if row["rejected_reason"] is None:
            taken.add(text_of(draft, worded))
        (rows if row["rejected_reason"] is None else refused).append(row)
    dealt = _dealt(rows, settings.seed)
    for row in dealt:
        row["rejected_reason"] = verify(row, cases[row["study_key"]])
        row["verified"] = row["rejected_reason"] is None
    good = [row for row in dealt if row["verified"]]
    return Built(
        _frame(good),
        _frame([*refused, *(row for row in dealt if not row["verified"])]),
        len(drafted) - len(drafts),
    )


def _frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ITEMS).sort("patient_key", "study_key", "item_key", "writer")


def _frequency(cases: Mapping[str, Case]) -> dict[str, float]:
    """Share of the studies with each condition."""
    present = Counter(u for case in cases.values() for u in {unit.condition for unit in case.reference.units})
    return {condition: number / len(cases) for condition, number in present.items()}


def _balanced(drafts: Iterable[Draft], settings: InstructionSettings) -> list[Draft]:
    """As many yes as no of each condition; of a choice no answer much more often than the others."""
    kept: list[Draft] = []
    groups: dict[tuple[str, ...], dict[str, list[Draft]]] = defaultdict(lambda: defaultdict(list))
    for draft in drafts:
        condition = draft.finding.condition if draft.finding else ""
        if draft.kind in ("short", "long") and draft.dimension == "condition":
            groups[draft.kind, condition][draft.right or ""].append(draft)
        elif draft.kind == "choice":
            groups[draft.kind, draft.dimension][draft.right or ""].append(draft)
        else:
            kept.append(draft)
    for (kind, _), answers in groups.items():
        sizes = [len(own) for own in answers.values()]
        if kind == "choice":
            most = max(2, round(settings.most_of_one_answer * median(sizes)))
        else:
            most = min(sizes) if len(sizes) == 2 else max(1, sizes[0] // 10)
        for own in answers.values():
            own.sort(key=lambda d: hashlib.sha256(f"{settings.seed}|{d.key}".encode()).digest())
            kept += own[:most]
    return sorted(kept, key=lambda d: (d.case.patient_key, d.case.study_key, d.key))


def _dealt(rows: Iterable[Row], seed: int) -> list[Row]:
    """The rows with the right options of choices dealt over all positions alike."""
    done: list[Row] = []
    blocks: dict[tuple[str, int], list[int]] = defaultdict(list)
    rng = random.Random(f"{seed}|positions")
    ordered = sorted(rows, key=lambda row: hashlib.sha256(f"{seed}|{row['item_key']}".encode()).digest())
    for row in ordered:
        if row["kind"] == "choice":
            size = len(row["options"])
            block = blocks[row["dimension"], size]
            if not block:
                block.extend(rng.sample(range(size), size))
            wrong = [option for option in row["options"] if option != row["answer"]]
            rng.shuffle(wrong)
            position = block.pop()
            row = row | _choice(
                row["question"], [*wrong[:position], row["answer"], *wrong[position:]], position
            )
        done.append(row)
    return done


def _choice(question: str, options: list[str], correct: int) -> Row:
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    answer = f"{LETTERS[correct]}. {options[correct]}"
    turns = [{"question": f"{question}\n{listed}", "answer": answer}]
    return {"options": options, "correct": correct, "turns": turns}


def _row(
    draft: Draft,
    worded: Worded | None,
    settings: InstructionSettings,
    *,
    said: str | None = None,
    model: bool = False,
    refused: Refusal | None = None,
) -> Row:
    case, finding = draft.case, draft.finding
    turns = worded.turns if worded is not None else ()
    key, start, end = _passage(draft)
    first = plain(draft, "train") if said is None and draft.kind != "report" else None
    row: Row = {
        "item_key": draft.key,
        "kind": draft.kind,
        "dimension": draft.dimension,
        "batch_key": case.batch_key,
        "patient_key": case.patient_key,
        "study_key": case.study_key,
        "report_key": key,
        "region": case.region.value,
        "condition": finding.condition if finding else None,
        "status": finding.status.value if finding else None,
        "level": finding.level if finding else None,
        "side": finding.side if finding else None,
        "severity": finding.severity if finding else None,
        "sequence": draft.sequence,
        "asks": list(draft.asks),
        "turns": [{"question": q, "answer": a} for q, a in turns],
        "question": turns[0][0] if turns else None,
        "answer": turns[-1][1] if turns else None,
        "options": None,
        "correct": None,
        "evidence": case.texts[key][start:end],
        "evidence_start": start,
        "evidence_end": end,
        "writer": model_version(settings.llm) if model and settings.llm else "templates",
        "prompt_version": prompt_version(settings.prompt_version) if model else words().version,
        "labels_version": case.labels_version,
        # What a report is revised from is its own passage.
        "draft": said
        or (" ".join(p for turn in first.turns for p in turn) if first else case.texts[key][start:end]),
        "template": worded.template if worded is not None else None,
        "seed": settings.seed,
        "verified": False,
        "rejected_reason": refused,
    }
    if draft.kind == "choice" and turns:
        row |= _choice(turns[0][0], [option_text(draft, option) for option in draft.options], 0)
    return row


def _passage(draft: Draft) -> tuple[str, int, int]:
    """Report and span that an item rests on."""
    if draft.finding is not None:
        return draft.finding.report_key, draft.finding.start, draft.finding.end
    key, text = next(iter(draft.case.texts.items()))
    body: Body | None = body_of(text)
    return (key, 0, len(text)) if body is None else (key, body.start, body.end)

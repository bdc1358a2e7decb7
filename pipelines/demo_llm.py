"""``make demo-llm``: a few phantom reports through a real vLLM on this CPU, and what was asked and answered.

Belongs here: the demo's numbers and its summary. Does not belong here: the server (``runtime.models``), any step of
the graph. A model of 135 million parameters shows that the wiring holds; what it says of a report is worth nothing.
"""

from __future__ import annotations

import time

import polars as pl
from rich.console import Console

from pipelines.demo import run_phantom
from pipelines.runtime.profiles import Settings
from pipelines.runtime.resources import Hospital
from pipelines.summaries import Summary

PATIENTS = 4
SEED = 11


def main(patients: int = PATIENTS, seed: int = SEED) -> None:
    """Write a small phantom inbox, run the graph through the labels, print what the model cost and said."""
    from sql.ask import ask

    settings = Settings()
    hospital = Hospital.from_settings(settings)
    if not hospital.numbers.labels.llms:
        raise SystemExit(
            "the profile has no language model: set SPINE_PROFILE=phantom_llm, as make demo-llm does"
        )
    console = Console(width=110)
    started = time.monotonic()
    source = settings.root.absolute() / "phantom_llm_inbox"
    run_phantom(settings, hospital, source, patients=patients, seed=seed, through="labels")

    def answer(question: str) -> pl.DataFrame:
        return pl.DataFrame(ask(hospital.warehouse, question))

    told = Summary(console)
    told.say(
        "A model of 135 million parameters: this shows that prompts, schema, prefix cache and answer log work "
        "together. Its labels are worth nothing."
    )
    cost = answer("label_cost").transpose(
        include_header=True, header_name="label_cost", column_names=["value"]
    )
    told.table("What the model was asked (spineagent sql label_cost)", cost)
    outcomes = answer(
        "SELECT outcome, finish_reason, count(*) AS n FROM labels.requests GROUP BY ALL ORDER BY n DESC"
    )
    told.table("What became of the questions", outcomes)
    verdicts = answer(
        "SELECT labeller, status, count(*) AS n FROM labels.verdicts GROUP BY ALL ORDER BY labeller, n DESC"
    )
    told.table("What each labeller says", verdicts)
    overall = answer(
        "SELECT first, second, studies, observed, kappa, pabak FROM labels.agreement WHERE condition = 'all'"
    )
    told.table("How far they agree (spineagent sql label_agreement)", overall)
    reliability = answer(
        "SELECT * FROM labels.reliability WHERE condition = 'all' ORDER BY labeller, measure"
    )
    told.table("Reliability", reliability)
    quotes = answer(
        "SELECT labeller, condition, status, quote FROM queries.label_evidence ORDER BY hash(quote) LIMIT 6"
    )
    told.table("Some of the words that labels stand on (spineagent sql label_evidence)", quotes)
    waiting = answer(
        "SELECT rank, condition, reason, statuses FROM labels.review_queue ORDER BY rank LIMIT 6"
    )
    told.table("What waits for a person first (spineagent sql review_queue)", waiting)
    console.print(f"server log  {hospital.home}/llm", highlight=False)
    console.print(f"answers     {hospital.home}/answers", highlight=False)
    console.print(f"\nThe whole demo took {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()

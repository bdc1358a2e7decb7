"""A lake in memory: rows are written down by column name, the schemas of the domain fill in the rest with nulls.

A column that the domain adds so reaches the SQL declarations through the tests. Belongs here: the lake, its schemas,
names that its rows share. Does not belong here: the rows of the valid one (`conftest`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from spine_models.corpus.deid import tables as deid
from spine_models.corpus.labels import tables as labels
from spine_models.corpus.sequences import tables as sequences
from spine_models.corpus.shards import tables as shards
from spine_models.encoder import seen
from spine_models.encoder.backbone import tables as backbone
from spine_models.encoder.clip import tables as clip
from spine_models.encoder.synthesizer import tables as synthesizer
from spine_models.findings.ablations import tables as ablations
from spine_models.findings.attribution import tables as attribution
from spine_models.findings.embeddings import aligned_tables as aligned
from spine_models.findings.embeddings import tables as embeddings
from spine_models.findings.levelwise import tables as levelwise
from spine_models.findings.localization import tables as localization
from spine_models.findings.probes import tables as probes
from spine_models.findings.probes.strata import tables as strata
from spine_models.findings.retrieval import tables as retrieval
from spine_models.reporting.agents import tables as agents
from spine_models.reporting.instructions import tables as instructions
from spine_models.reporting.llava import tables as llava
from spine_models.reporting.reports import tables as reports
from spine_models.reporting.scores import tables as scores

SCHEMAS = {
    "deid.files": deid.FILES,
    "deid.instances": deid.INSTANCES,
    "deid.studies": deid.STUDIES,
    "deid.reports": deid.REPORTS,
    "deid.ehr_patients": deid.EHR_PATIENTS,
    "deid.ehr_encounters": deid.EHR_ENCOUNTERS,
    "deid.ehr_orders": deid.EHR_ORDERS,
    "deid.annotations": deid.ANNOTATIONS,
    "deid.audit": deid.AUDIT,
    "deid.date_integrity": deid.DATE_INTEGRITY,
    "sequences.series": sequences.SERIES,
    "sequences.disagreements": sequences.DISAGREEMENTS,
    "labels.mentions": labels.MENTIONS,
    "labels.verdicts": labels.LABELS,
    "labels.requests": labels.REQUESTS,
    "labels.consensus": labels.CONSENSUS,
    "labels.review_queue": labels.REVIEW_QUEUE,
    "labels.contradictions": labels.CONTRADICTIONS,
    "labels.agreement": labels.AGREEMENT,
    "labels.raters": labels.RATERS,
    "labels.audit": labels.AUDIT,
    "labels.reliability": labels.RELIABILITY,
    "labels.drift": labels.DRIFT,
    "shards.slices": shards.SLICES,
    "shards.skipped": shards.SKIPPED,
    "shards.quality": shards.QUALITY,
    "shards.splits": shards.SPLITS,
    "shards.manifest": shards.MANIFEST,
    "shards.patients": shards.PATIENTS,
    "backbone.curves": backbone.CURVES,
    "backbone.gram_curves": backbone.CURVES,
    "backbone.patients": seen.PATIENTS,
    "backbone.gram_patients": seen.PATIENTS,
    "clip.curves": clip.CURVES,
    "clip.retrieval": clip.RETRIEVAL,
    "clip.patients": seen.PATIENTS,
    "synthesizer.curves": backbone.CURVES,
    "synthesizer.gates": synthesizer.GATES,
    "synthesizer.patients": seen.PATIENTS,
    "synthesizer.align_curves": synthesizer.ALIGN_CURVES,
    "synthesizer.retrieval": synthesizer.ALIGN_RETRIEVAL,
    "synthesizer.align_patients": seen.PATIENTS,
    "embeddings.slices": embeddings.SLICES,
    "embeddings.series": embeddings.SERIES,
    "embeddings.studies": embeddings.STUDIES,
    "embeddings.refreshed": embeddings.REFRESHED,
    "probes.baselines": probes.BASELINES,
    "probes.predictions": probes.PREDICTIONS,
    "probes.metrics": probes.METRICS,
    "probes.operating_points": probes.OPERATING_POINTS,
    "attribution.weights": attribution.WEIGHTS,
    "attribution.knockouts": attribution.KNOCKOUTS,
    "attribution.measured": attribution.MEASURED,
    "attribution.scores": attribution.SCORES,
    "embeddings.aligned": aligned.ALIGNED,
    "embeddings.aligned_slices": aligned.ALIGNED_SLICES,
    "retrieval.neighbours": retrieval.NEIGHBOURS,
    "retrieval.scores": retrieval.SCORES,
    "retrieval.gains": retrieval.GAINS,
    "retrieval.precision": retrieval.PRECISION,
    "probes.summary": probes.SUMMARY,
    "probes.comparisons": probes.COMPARISONS,
    "probes.contrasts": strata.CONTRASTS,
    "probes.vendors": strata.VENDORS,
    "probes.cohorts": strata.COHORTS,
    "probes.subgroups": strata.SUBGROUPS,
    "probes.conformal": strata.CONFORMAL,
    "probes.scope": strata.SCOPE,
    "probes.null": strata.NULL,
    "probes.guard_patients": strata.GUARD_PATIENTS,
    "probes.probabilities": strata.PROBABILITIES,
    "localization.findings": localization.FINDINGS,
    "localization.scores": localization.SCORES,
    "localization.level_scores": localization.LEVEL_SCORES,
    "localization.patients": seen.PATIENTS,
    "localization.level_views": levelwise.VIEWS,
    "localization.level_predictions": levelwise.PREDICTIONS,
    "localization.level_skill": levelwise.SKILL,
    "localization.level_patients": seen.PATIENTS,
    "localization.level_findings": levelwise.FINDINGS,
    "agents.registry": agents.REGISTRY,
    "agents.results": agents.RESULTS,
    "agents.gradings": agents.GRADINGS,
    "agents.scorecard": agents.SCORECARD,
    "agents.claims": agents.CLAIMS,
    "instructions.items": instructions.ITEMS,
    "instructions.refused": instructions.ITEMS,
    "instructions.benchmark": instructions.BENCHMARK,
    "instructions.benchmark_scores": instructions.BENCHMARK_SCORES,
    "instructions.contamination": instructions.CONTAMINATION,
    "llava.decoder_curves": llava.CURVES,
    "llava.warmed_curves": llava.CURVES,
    "llava.tuned_curves": llava.CURVES,
    "llava.decoder_patients": seen.PATIENTS,
    "llava.warmed_patients": seen.PATIENTS,
    "llava.tuned_patients": seen.PATIENTS,
    "llava.fitness": llava.FITNESS,
    "llava.written": llava.WRITTEN,
    "llava.answers": llava.ANSWERS,
    "llava.benchmark_answers": llava.BENCHMARK_ANSWERS,
    "llava.benchmark_scores": instructions.BENCHMARK_SCORES,
    "reports.drafts": reports.DRAFTS,
    "reports.sentences": reports.SENTENCES,
    "reports.removed": reports.REMOVED,
    "reports.provenance": reports.PROVENANCE,
    "reports.nights": reports.NIGHTS,
    "scores.studies": scores.STUDIES,
    "scores.methods": scores.SCORES,
    "scores.comparisons": scores.COMPARISONS,
    "scores.conditions": scores.CONDITIONS,
    "scores.perturbations": scores.PERTURBATIONS,
    "scores.judged": scores.JUDGED,
    "scores.judgements": scores.JUDGEMENTS,
    "scores.readers": scores.READERS,
    "scores.radpeer": scores.RADPEER,
    "ablations.vectors": ablations.VECTORS,
    "ablations.aligned": ablations.ALIGNED,
    "ablations.scores": ablations.SCORES,
    "ablations.clip_bi_modal_patients": seen.PATIENTS,
    "ablations.clip_concat_patients": seen.PATIENTS,
    "ablations.gates_scalar_patients": seen.PATIENTS,
}

FIRST, SECOND = "internal-0001", "internal-0002"
REPORT = "Süd-Zentrum. Severe canal stenosis at L4-L5. No fracture."
# patient, batch, split, study date, age, sex
STUDIES = [
    ("ann", FIRST, "train", "2024-03-01", 61, "F"),
    ("ben", FIRST, "test", "2024-03-02", 45, "M"),
    ("cem", SECOND, "val", "2024-04-01", 90, "M"),
    ("ann", SECOND, "train", "2024-04-30", 61, "F"),
    ("dot", SECOND, "train", "2024-05-01", 30, "F"),
]


def key(*parts: object) -> str:
    """A pseudonym as the lake writes it."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()[:32]


@dataclass
class Lake:
    """Rows of every table by its name; ``write`` makes the Parquet files, one a batch where there is one."""

    rows: dict[str, list[dict[str, object]]] = field(default_factory=lambda: {name: [] for name in SCHEMAS})

    def add(self, table: str, **row: object) -> None:
        assert set(row) <= set(SCHEMAS[table]), set(row) - set(SCHEMAS[table])
        self.rows[table].append(row)

    def change(self, table: str, *, where: dict[str, object] | None = None, **values: object) -> None:
        """Set values in the first row that matches."""
        assert set(values) <= set(SCHEMAS[table])
        self.first(table, **(where or {})).update(values)

    def repeat(self, table: str, **where: object) -> None:
        self.rows[table].append(dict(self.first(table, **where)))

    def drop(self, table: str, **where: object) -> None:
        self.rows[table].remove(self.first(table, **where))

    def first(self, table: str, **where: object) -> dict[str, object]:
        return next(row for row in self.rows[table] if all(row.get(k) == v for k, v in where.items()))

    def frame(self, table: str) -> pl.DataFrame:
        schema = SCHEMAS[table]
        return pl.DataFrame(
            [[row.get(column) for column in schema] for row in self.rows[table]], schema=schema, orient="row"
        )

    def write(self, folder: Path, *only: str) -> Path:
        for name in only or SCHEMAS:
            frame = self.frame(name)
            target = folder.joinpath(*name.split("."))
            target.mkdir(parents=True, exist_ok=True)
            for former in target.glob("*.parquet"):
                former.unlink()
            if "batch_key" in frame.columns and name != "shards.manifest":
                for (batch,), part in frame.partition_by("batch_key", as_dict=True).items():
                    part.write_parquet(target / f"{batch}.parquet")
            else:
                frame.write_parquet(target / "all.parquet")
        return folder

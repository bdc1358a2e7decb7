"""The SQL declarations say what the domain says."""

from __future__ import annotations

import importlib
from pathlib import Path

import duckdb
import polars as pl
import pytest

import spine_models
from spine_models.domain import ROUTE_OF_CONTRAST, conditions
from sql.catalogue import STAGES
from sql.catalogue import schemas as schema_files
from sql.declarations import declarations

TYPES = {
    pl.String: "VARCHAR",
    pl.Int8: "TINYINT",
    pl.Int32: "INTEGER",
    pl.Int64: "BIGINT",
    pl.Float32: "FLOAT",
    pl.Float64: "DOUBLE",
    pl.Boolean: "BOOLEAN",
    pl.Datetime: "TIMESTAMP",
}


def duckdb_type(kind: pl.DataType) -> str:
    if isinstance(kind, pl.Struct):
        return f"STRUCT({', '.join(f'{field.name} {duckdb_type(field.dtype)}' for field in kind.fields)})"
    return f"{duckdb_type(kind.inner)}[]" if isinstance(kind, pl.List) else TYPES[kind.base_type()]


def test_the_tables_and_columns_are_those_of_the_domain(schemas):
    tables, _ = declarations()
    declared = {t.name: [(c.name, c.type.replace('"', "")) for c in t.columns] for t in tables}
    wanted = {name: [(c, duckdb_type(k)) for c, k in schema.items()] for name, schema in schemas.items()}
    assert declared == wanted


def test_no_schema_of_the_domain_is_forgotten(schemas):
    """Those that are not in the lake: the restricted archive, what waits for a person, and what becomes metadata."""
    elsewhere = {"deid.QUARANTINE", "deid.GATE", "labels.ADJUDICATIONS"}
    # Slices and studies that a training read, which become patients; what an alignment's vectors were made of.
    elsewhere |= {"backbone.SEEN", "clip.SEEN", "clip.VECTORS", "llava.SEEN"}
    elsewhere |= {"localization.TARGETS"}  # what the annotations come to while models are fitted
    shown = list(schemas.values())
    for path in sorted(Path(spine_models.__file__).parent.rglob("tables.py")):
        stage = path.parent.name
        if stage == "archive":
            continue
        module = importlib.import_module(
            ".".join(path.relative_to(Path(spine_models.__file__).parents[1]).with_suffix("").parts)
        )
        for name, schema in vars(module).items():
            if (
                isinstance(schema, pl.Schema)
                and name not in ("ACQUISITION", "MOSAIC")
                and f"{stage}.{name}" not in elsewhere
            ):
                assert schema in shown, f"{stage}.{name} has no table in sql/schema/{stage}.sql"


@pytest.mark.parametrize("stage", STAGES)
def test_a_schema_file_is_plain_sql(stage):
    """Any DuckDB runs the files, in flow order: the declarations need no program of ours."""
    with duckdb.connect() as connection:
        for name, schema in schema_files().items():
            connection.execute(schema.text)
            if name == stage:
                break
        assert connection.execute(
            "SELECT COUNT(*) > 0 FROM information_schema.tables WHERE table_schema = ?", [stage]
        ).fetchone() == (True,)


def test_every_table_and_view_is_described():
    tables, views = declarations()
    for thing in (*tables, *views):
        assert thing.description.endswith("."), thing.name
        assert "stored:" not in thing.description


def test_comments_of_columns_reach_the_declaration():
    tables, _ = declarations()
    comments = {f"{t.name}.{c.name}": c.comment for t in tables for c in t.columns}
    assert comments["deid.instances.flip_deg"] == "flip angle"
    assert comments["deid.instances.vendor"].endswith("null when absent")
    assert comments["localization.level_views.left"] == "the same of the slices to the left of the patient"
    assert comments["reports.sentences.claim_keys"] == "empty only for technique and notice"


def test_vectors_and_texts_of_the_sources_are_not_copied():
    copied = {table.name for table in declarations()[0] if table.stored == "copy"}
    assert copied.isdisjoint(
        {
            "embeddings.slices",
            "embeddings.series",
            "embeddings.studies",
            "embeddings.aligned",
            "embeddings.aligned_slices",
            "probes.baselines",
            "localization.level_views",
        }
    )
    assert copied.isdisjoint({"deid.instances", "deid.reports", "shards.slices"})
    assert {
        "labels.consensus", "labels.verdicts", "labels.requests", "labels.review_queue", "labels.contradictions",
        "labels.agreement", "labels.raters", "labels.audit", "labels.reliability", "labels.drift",
        "embeddings.refreshed", "probes.metrics", "deid.files", "deid.studies",
        "agents.claims", "agents.registry", "agents.results", "agents.gradings", "agents.scorecard",
        "probes.operating_points", "attribution.scores", "retrieval.neighbours", "retrieval.scores",
        "retrieval.gains", "retrieval.precision", "probes.summary", "probes.comparisons",
        "probes.contrasts", "probes.vendors", "probes.cohorts", "probes.subgroups",
        "probes.conformal", "probes.scope", "probes.null", "probes.guard_patients",
        "localization.findings", "localization.scores", "localization.level_scores", "localization.patients",
        "localization.level_skill", "localization.level_patients", "localization.level_findings",
        "instructions.benchmark_scores", "instructions.contamination",
        "llava.decoder_curves", "llava.warmed_curves", "llava.tuned_curves", "llava.decoder_patients",
        "llava.warmed_patients", "llava.tuned_patients", "llava.fitness", "llava.written", "llava.answers",
        "llava.benchmark_answers", "llava.benchmark_scores",
        "reports.sentences", "reports.drafts", "reports.removed", "reports.nights",
        "shards.manifest", "shards.patients", "shards.splits",
        "shards.skipped", "shards.quality",
        "sequences.series", "sequences.disagreements",
        "backbone.curves", "backbone.gram_curves", "backbone.patients", "backbone.gram_patients",
        "clip.curves", "clip.retrieval", "clip.patients",
        "synthesizer.curves", "synthesizer.gates", "synthesizer.patients",
        "synthesizer.align_curves", "synthesizer.retrieval", "synthesizer.align_patients",
        "scores.studies", "scores.methods", "scores.comparisons", "scores.conditions", "scores.perturbations",
        "scores.judged", "scores.judgements", "scores.readers", "scores.radpeer",
        "ablations.scores", "ablations.clip_bi_modal_patients", "ablations.clip_concat_patients",
        "ablations.gates_scalar_patients",
    } == copied  # fmt: skip


def declared_rows(view: str) -> list[tuple]:
    with duckdb.connect() as connection:
        for schema in schema_files().values():
            connection.execute(schema.text)
        return connection.execute(f"SELECT * FROM {view}").fetchall()


def test_the_conditions_are_those_of_the_domain():
    wanted = [(i, c.key, c.name, c.category) for i, c in enumerate(conditions(), start=1)]
    assert declared_rows("labels.conditions") == wanted


def test_the_contrasts_and_routes_are_those_of_the_domain():
    assert dict(declared_rows("sequences.contrasts")) == {
        str(c): str(r) for c, r in ROUTE_OF_CONTRAST.items()
    }


def test_the_wide_labels_have_a_column_for_each_condition():
    with duckdb.connect() as connection:
        for schema in schema_files().values():
            connection.execute(schema.text)
        columns = connection.sql("FROM labels.studies").columns
    assert columns == ["batch_key", "patient_key", "study_key", *(c.key for c in conditions())]

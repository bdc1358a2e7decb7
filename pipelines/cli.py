"""``spineagent``: what a person types.

Belongs here: arguments, progress and error lines. Does not belong here: work (``runner``, ``study``, ``demo``).
"""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli_models import models_app
from pipelines.plain_errors import plain_errors

app = typer.Typer(
    name="spineagent",
    help="Spine MRI to embeddings, findings and drafted reports. Configured by SPINE_PROFILE, SPINE_ROOT and "
    "SPINE_KEY_FILE, also from .env. Every draft is for research and to be read by a radiologist.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
key_app = typer.Typer(
    help="The key that pseudonyms, UIDs and date shifts are derived from.", no_args_is_help=True
)
app.add_typer(key_app, name="key")
app.add_typer(models_app, name="models")


class Layout(StrEnum):
    """What ``spineagent phantom`` writes."""

    HOSPITAL = "hospital"
    RSNA = "rsna"


class Format(StrEnum):
    """Output formats of ``spineagent sql``."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class ReportFormat(StrEnum):
    """Output formats of ``spineagent report``."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _progress_to_stderr() -> None:
    logger = logging.getLogger("spineagent")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("  %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


@app.command()
@plain_errors
def phantom(
    out: Annotated[Path, typer.Argument(help="folder to write inbox/ and truth/ into")],
    patients: Annotated[int, typer.Option(min=1, help="number of patients")] = 24,
    seed: Annotated[int, typer.Option(help="the same seed gives the same bytes")] = 0,
    layout: Annotated[
        Layout, typer.Option(help="a hospital's inbox, or a cohort in the RSNA LumbarDISC layout")
    ] = Layout.HOSPITAL,
    damage_rate: Annotated[
        float, typer.Option(min=0, max=1, help="share of series with missing or wrong header attributes")
    ] = 0.1,
) -> None:
    """Write a phantom hospital's inbox, and its truth beside it."""
    from pipelines.runtime.progress import reporter
    from spine_models.phantom import write_hospital

    _progress_to_stderr()
    summary = write_hospital(
        out,
        patients=patients,
        seed=seed,
        progress=reporter("phantom", "patients"),
        layout=layout.value,
        damage_rate=damage_rate,
    )
    _say(f"{summary}")


@key_app.command("new")
@plain_errors
def key_new(
    file: Annotated[Path, typer.Argument(help="file to write, mode 0600; never overwritten")],
) -> None:
    """Make a key for pseudonyms."""
    from spine_models.corpus.deid import new_key_file

    new_key_file(file)
    _say(
        f"wrote {file}: set SPINE_KEY_FILE to it, keep a copy apart from the data; without it no pseudonym recurs"
    )


@key_app.command("rotate")
@plain_errors
def key_rotate(
    file: Annotated[Path, typer.Argument(help="the new key file; made, mode 0600, where it does not exist")],
) -> None:
    """Change to another key: seal the crosswalks under it; the next run releases every batch anew."""
    from pipelines.keys import rotate
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    done = rotate(Hospital.from_settings(Settings()), file)
    _say(
        f"key {done.old_id} is retired, its crosswalks of {done.batches} batches are sealed under key {done.new_id}.\n"
        f"Now set SPINE_KEY_FILE to {file} and run the inboxes again with --retrain: everything is released under new "
        f"pseudonyms, and splits are drawn anew.\nThen `spineagent key purge {done.old_id}` forgets the old pseudonyms."
    )


@key_app.command("reverse")
@plain_errors
def key_reverse(
    pseudonym: Annotated[str, typer.Argument(help="32 hex digits of a patient, study, series or instance")],
) -> None:
    """Print who or what a pseudonym stands for, from the restricted zone; this is identifying."""
    from pipelines.keys import reverse
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    found = reverse(Hospital.from_settings(Settings()), pseudonym)
    if not found:
        raise ValueError("no crosswalk of this installation knows this pseudonym")
    for kind, identifier in found:
        typer.echo(f"{kind}\t{identifier}")


@key_app.command("purge")
@plain_errors
def key_purge(
    key_id: Annotated[str, typer.Argument(help="fingerprint of a retired key, as `rotate` printed it")],
) -> None:
    """Forget a retired key: its crosswalks and superseded files in the lake are deleted."""
    from pipelines.keys import purge
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    count = purge(Hospital.from_settings(Settings()), key_id)
    _say(f"key {key_id} is forgotten: {count} crosswalks and all superseded versions of the lake are deleted")


@app.command()
@plain_errors
def run(
    inbox: Annotated[Path, typer.Argument(help="folder that a site dropped")],
    through: Annotated[str, typer.Option(help="last stage: archive, deid, ... scores")] = "scores",
    cohort: Annotated[str, typer.Option(help="cohort name of this inbox")] = "internal",
    retrain: Annotated[
        bool,
        typer.Option(help="freeze a new manifest and train on it; what is unchanged is not trained twice"),
    ] = False,
) -> None:
    """Register an inbox and materialise its batches up to a stage; what is fresh is not done again."""
    from pipelines.definitions import build_defs
    from pipelines.home import open_instance
    from pipelines.runner import Runner
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    _progress_to_stderr()
    settings = Settings()
    hospital = Hospital.from_settings(settings)
    hospital.key()
    runner = Runner(hospital, build_defs(hospital), open_instance(settings.dagster_home), _say)
    runner.run(inbox, through=through, cohort=cohort, retrain=retrain)
    if through not in ("archive",):
        _print_query(hospital, "file_ledger", Format.TABLE)


@app.command()
@plain_errors
def refresh() -> None:
    """Take what is new or stale in the known inboxes through to the drafts, and say why; nothing is trained."""
    from pipelines.definitions import build_defs
    from pipelines.home import open_instance
    from pipelines.nights import told
    from pipelines.runner import Runner
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital

    _progress_to_stderr()
    settings = Settings()
    hospital = Hospital.from_settings(settings)
    hospital.key()
    runner = Runner(hospital, build_defs(hospital), open_instance(settings.dagster_home), _say)
    for line in told(runner.refresh()):
        typer.echo(line)


@app.command()
@plain_errors
def sql(
    question: Annotated[
        str | None, typer.Argument(help="name of a query in sql/queries, or a SELECT")
    ] = None,
    format: Annotated[Format, typer.Option(help="output format")] = Format.TABLE,
) -> None:
    """Ask the warehouse; without a question, list the named ones."""
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital
    from sql.catalogue import queries

    if question is None:
        for query in queries().values():
            typer.echo(f"{query.name:24} {query.description}")
        return
    _print_query(Hospital.from_settings(Settings()), question, format)


@app.command()
@plain_errors
def sizes(
    profile: Annotated[
        str | None, typer.Option(help="profile, or path of one; default that of SPINE_PROFILE")
    ] = None,
    gpu: Annotated[
        str, typer.Option(help="device of each process: a100-80, h100, h200, l40s, rtx4090")
    ] = "a100-80",
    utilisation: Annotated[
        float, typer.Option(help="share of the device's peak rate that is reached")
    ] = 0.35,
    studies: Annotated[
        int, typer.Option(help="studies of the corpus; default the published 32,047")
    ] = 32_047,
    slices: Annotated[
        int, typer.Option(min=0, help="slices of the corpus; default the published 13,441,191")
    ] = 13_441_191,
) -> None:
    """Estimate parameters, FLOPs, memory, hours and disk of a profile's training stages; nothing is trained."""
    from pipelines.runtime.profiles import Settings
    from spine_models.config import load_profile
    from spine_models.encoder.sizes.devices import gpu_named
    from spine_models.encoder.sizes.table import sizes_table

    device = gpu_named(gpu)
    numbers = load_profile(profile or Settings().profile)
    typer.echo(
        sizes_table(numbers, device, utilisation=utilisation, studies=studies, slices=slices), nl=False
    )


@app.command()
@plain_errors
def embed(
    dicom_dir: Annotated[Path, typer.Argument(help="folder of one study")],
    out: Annotated[Path, typer.Option(help="Parquet file to write")],
) -> None:
    """Write slice, series and study embeddings of one study folder."""
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital
    from pipelines.study import embed_study

    _progress_to_stderr()
    vectors, without = embed_study(Hospital.from_settings(Settings()), dicom_dir)
    aside = out.with_name(f".{out.name}.partial")
    vectors.write_parquet(aside)
    aside.replace(out)
    units = dict(vectors.group_by("unit").len().sort("unit").rows())
    _say(
        f"wrote {out}: " + ", ".join(f"{n} {unit} vectors" for unit, n in units.items())
        if units
        else f"wrote {out}: no series of this folder has vectors"
    )
    for reason in without:
        _say(f"without vectors: {reason}")


@app.command()
@plain_errors
def report(
    dicom_dir: Annotated[Path, typer.Argument(help="folder of one study")],
    format: Annotated[
        ReportFormat, typer.Option(help="text, markdown, or json by a published schema")
    ] = ReportFormat.TEXT,
    pages: Annotated[
        Path | None, typer.Option(help="folder to write HTML pages into, with key slices and boxes")
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="by templates, without asking the report model")
    ] = False,
) -> None:
    """Print a drafted report of one study folder; a draft for research, to be read by a radiologist.

    The report model writes it where one was trained and is fit for drafts, else templates; which of them, and why, is
    said at the end.
    """
    from pipelines.runtime.profiles import Settings
    from pipelines.runtime.resources import Hospital
    from pipelines.study_report import report_study, who_wrote
    from spine_models.reporting.reports.documents import printed

    _progress_to_stderr()
    drafted = report_study(Hospital.from_settings(Settings()), dicom_dir, pages, template=template)
    typer.echo(printed(drafted.tables, drafted.claims, form=format.value), nl=False)
    for line in who_wrote(drafted.tables):
        _say(line)
    if pages is not None:
        _say(f"wrote {drafted.tables.drafts.height} pages and index.html into {pages}")


def _print_query(hospital: Any, question: str, format: Format) -> None:
    from sql.ask import ask
    from sql.render import render

    typer.echo(render(ask(hospital.warehouse, question), format.value), nl=False)


def main() -> None:
    """Console entry point."""
    app()

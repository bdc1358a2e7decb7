"""Figures of the retrieval: recall beside chance, and the slices that a sentence finds.

Belongs here: drawing. Does not belong here: scores and search (``spine_models.findings.retrieval``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.metadata import png_of
from pipelines.runtime.resources import Hospital

SHOWN: Final = ("canal", "herniation", "compression", "spondylolisthesis", "hemangioma")
"""Conditions whose sentences are shown with what they find."""

TITLES: Final = {
    "image_to_report": "image → report",
    "report_to_image": "report → image",
    "text_to_slice": "report → slice",
    "condition_to_slice": "sentence → slice",
    "orientation": "sagittal ↔ axial",
}
AT: Final = (1, 5, 10)


class FoundSlice(NamedTuple):
    """One result: image uint16 [S, S], cosine, and whether its study has the condition (None: not known)."""

    image: np.ndarray
    score: float
    has_it: bool | None


def recall_plot(scores: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Recall at 1, 5 and 10 with 95 % bands, a panel a task; chance is dashed."""
    known = scores.filter(pl.col("status") == "evaluated")
    tasks = [task for task in TITLES if known.filter(pl.col("task") == task).height]
    if not tasks:
        return dg.MetadataValue.md("nothing was evaluated")
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    hues = {
        name: colormaps["tab20"](n) for n, name in enumerate(sorted({*known["query"], *known["gallery"]}))
    }
    figure = Figure(figsize=(3.4 * len(tasks), 4.6), layout="constrained")
    for axis, task in zip(np.atleast_1d(figure.subplots(1, len(tasks), sharey=True)), tasks, strict=True):
        for row in known.filter(pl.col("task") == task).iter_rows(named=True):
            # Of report and image, of text and slice, it is the image side that differs.
            side = row["gallery"] if task == "report_to_image" else row["query"]
            hue, mapped = hues[side], row["encoder"].endswith("+linear")
            who = row["encoder"] if mapped else row["encoder"].split("-")[0]
            label = f"{side} ({who})" if task in ("image_to_report", "report_to_image") else side
            if task in ("text_to_slice", "orientation"):
                label, hue = f"{row['query']}, {row['sequence_set']}", None
            (line,) = axis.plot(
                range(len(AT)), [row[f"recall_{k}"] for k in AT], ":" if mapped else "-", color=hue, linewidth=1.3,
                marker="." if mapped else None, label=label,
            )  # fmt: skip
            if not mapped:
                colour = line.get_color()
                low, high = ([row[f"recall_{k}_{end}"] for k in AT] for end in ("low", "high"))
                axis.fill_between(range(len(AT)), low, high, color=colour, alpha=0.12, linewidth=0)
                chance = [row[f"chance_recall_{k}"] for k in AT]
                axis.plot(range(len(AT)), chance, "--", color=colour, linewidth=0.8, alpha=0.8)
        axis.set_title(TITLES[task], fontsize=9)
        axis.set_xticks(range(len(AT)), [str(k) for k in AT])
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlabel("k", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, ncols=2)
    figure.axes[0].set_ylabel("recall at k (dashed: chance; dotted: mapped to the reports)", fontsize=7)
    return png_of(figure, dpi=110)


def slice_sheet(found: Mapping[str, Sequence[FoundSlice]]) -> dg.MarkdownMetadataValue:
    """The best slices of each text query side by side; green titles have the condition, red ones do not."""
    rows = {query: slices for query, slices in found.items() if slices}
    if not rows:
        return dg.MetadataValue.md("no text was asked for")
    from matplotlib.figure import Figure

    columns = max(len(slices) for slices in rows.values())
    figure = Figure(figsize=(1.9 * columns + 1.6, 2.0 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, (query, slices) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
        line[0].set_ylabel(query, fontsize=8, rotation=0, ha="right", va="center")
        for axis, one in zip(line, slices, strict=False):
            axis.imshow(one.image, cmap="gray", vmin=0, vmax=65535)
            colour = {True: "tab:green", False: "tab:red", None: "0.4"}[one.has_it]
            axis.set_title(f"{one.score:.3f}", fontsize=7, color=colour)
    return png_of(figure, dpi=90)


def found_slices(
    hospital: Hospital,
    sentences: Mapping[str, np.ndarray],
    consensus: pl.DataFrame,
    clip_version: str | None,
) -> dg.MarkdownMetadataValue:
    """The best slices of the index for a few conditions' sentences, at most one of a patient."""
    from spine_models.findings.embeddings.images import stored_images
    from spine_models.findings.retrieval.index import SLICES, open_index

    asked = {name: sentences[name] for name in SHOWN if name in sentences}
    if not asked or clip_version is None:
        return slice_sheet({})
    index = open_index(hospital.current(("retrieval", "index")), clip_version=clip_version)
    shown = hospital.numbers.retrieval.shown
    labels = dict(zip(consensus.select("study_key", "condition").rows(), consensus["label"], strict=True))
    results: dict[str, list[tuple[str, str, str, float]]] = {}
    for name, vector in asked.items():
        patients: set[str] = set()
        results[name] = []
        while len(results[name]) < shown:
            found = index.search(vector[None], 1, what=SLICES, exclude_patients=[patients])
            if not len(found.rows[0]):
                break
            row = index.slices.keys.row(int(found.rows[0][0]), named=True)
            patients.add(row["patient_key"])
            results[name].append(
                (row["slice_key"], row["study_key"], row["batch_key"], float(found.scores[0][0]))
            )
    images: dict[str, np.ndarray] = {}
    for batch in sorted({own[2] for rows in results.values() for own in rows}):
        wanted = [own[0] for rows in results.values() for own in rows if own[2] == batch]
        table = hospital.lake.read_table(
            ("shards", "slices"), [batch], columns=["slice_key", "shard", "pixel_hash"]
        )
        images.update(
            stored_images(
                table.filter(pl.col("slice_key").is_in(wanted)), hospital.current(("shards", "tars"), batch)
            )
        )
    known = {1: True, 0: False}
    return slice_sheet(
        {
            name: [
                FoundSlice(images[key], score, known.get(labels.get((study, name), -1)))
                for key, study, _, score in rows
            ]
            for name, rows in results.items()
        }
    )

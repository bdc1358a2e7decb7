"""The data-quality page: one self-contained HTML file over all batches, made of pseudonyms and pixels alone.

Belongs here: its plots, tables and thumbnails. Does not belong here: the scores (``quality``), where the page is
kept (assets), reading a lake.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from PIL import Image

from spine_models.corpus.shards.quality import LIMITS

WORST: Final = 24
_PLOTS: Final = (
    ("snr", "signal to noise"),
    ("motion_score", "motion score"),
    ("clipped_fraction", "share outside the window"),
    ("spacing_deviation", "uneven spacing"),
    ("slice_spacing_mm", "slice spacing, mm"),
    ("bits_used", "bits used"),
)
_MEANING: Final = {
    "low_snr": "tissue is less than five times its noise",
    "motion": "ghosts in air above a twentieth of the brightest tissue",
    "missing_slices": "the stack has holes that whole slices would fill",
    "uneven_spacing": "slice distances differ from their median by more than 5 %",
    "repeated_positions": "frames share a place: echoes, b-values or repeats in one series",
    "empty_slices": "slices with hardly a pixel above the background",
    "clipped": "more than 2 % of the pixels outside the window (they stay in the shards)",
    "few_grey_values": "fewer than 8 bits of grey values: exported after windowing",
    "no_geometry": "no position, orientation or spacing in the header",
}
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{font-size:1.5rem} h2{font-size:1.15rem;margin-top:2.2rem} table{border-collapse:collapse;width:100%;font-size:13px}
td,th{padding:.25rem .5rem;border-bottom:1px solid #dde3ea;text-align:right} td:first-child,th:first-child{text-align:left}
td.t,th.t{text-align:left} img.plot{width:100%} .worst{display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:14px}
.card{border:1px solid #dde3ea;border-radius:6px;padding:8px;font-size:12px} .card img{width:100%;image-rendering:auto;background:#000}
.flag{display:inline-block;background:#fdecd8;border-radius:4px;padding:0 .35rem;margin:1px} .key{color:#66717f;word-break:break-all}
.figures{display:flex;gap:2.2rem;flex-wrap:wrap} .figures b{display:block;font-size:1.5rem;font-weight:600} .quiet{color:#66717f}
"""  # noqa: E501 - style sheet

Thumbnail = Callable[[str], np.ndarray | None]
"""Series key to its middle slice, uint16 [S, S]; None where there is none."""


def missing_planes(quality: pl.DataFrame) -> pl.DataFrame:
    """Studies of a spine without a sagittal or without an axial series that can be read.

    Args:
        quality: ``QUALITY`` rows.

    Returns:
        study_key, planes (list of those that are there), missing (list), sorted by study_key.
    """
    spine = quality.filter(~pl.col("region").is_in(["other", "unknown"]))
    studies = spine.group_by("study_key").agg(planes=pl.col("plane").drop_nulls().unique().sort())
    absent = [
        pl.when(~pl.col("planes").list.contains(plane)).then(pl.lit(plane)) for plane in ("axial", "sagittal")
    ]
    missing = pl.concat_list(absent).list.drop_nulls()
    return studies.with_columns(missing=missing).filter(pl.col("missing").list.len() > 0).sort("study_key")


def worst_series(rows: pl.DataFrame, limit: int = WORST) -> pl.DataFrame:
    """Series to look at: most flags first, then the least signal to noise for their vendor, contrast and plane.

    Args:
        rows: ``QUALITY`` with a column ``vendor``.
        limit: how many.
    """
    kind = ("vendor", "contrast", "plane")
    ranked = rows.with_columns(
        _flags=pl.col("flags").list.len(), _poor=pl.col("snr") / pl.col("snr").median().over(kind)
    )
    order = ranked.sort(
        "_flags", "_poor", "series_key", descending=[True, False, False], nulls_last=True, maintain_order=True
    )
    return order.head(limit).drop("_flags", "_poor")


def render_page(quality: pl.DataFrame, vendors: Mapping[str, str | None], thumbnail: Thumbnail) -> str:
    """The page as HTML text.

    Args:
        quality: ``QUALITY`` rows of all batches.
        vendors: series key to scanner vendor.
        thumbnail: asked for the worst series only.
    """
    rows = quality.with_columns(
        vendor=pl.col("series_key").replace_strict(vendors, default=None, return_dtype=pl.String)
    ).with_columns(pl.col("vendor").fill_null("unknown"), pl.col("contrast").fill_null("abstained"))
    flagged = rows.filter(pl.col("flags").list.len() > 0)
    gaps = missing_planes(quality)
    figures = (
        ("studies", rows["study_key"].n_unique()),
        ("series", rows.height),
        ("slices", int(rows["n_slices"].sum() or 0)),
        ("series with a flag", flagged.height),
        ("studies without a sagittal or axial series", gaps.height),
    )
    shown = "".join(f"<div><b>{value:,}</b>{html.escape(name)}</div>" for name, value in figures)
    parts = [f"<div class=figures>{shown}</div>"]
    if rows.height:
        parts += [
            "<h2>Flags</h2>",
            _table(_flag_counts(rows), texts=2),
            "<h2>Distributions by vendor</h2>",
            f"<img class=plot alt='Distributions of the scores by vendor' src='{_plots(rows)}'>",
            "<h2>By vendor and sequence</h2>",
            _table(_groups(rows), texts=3),
            "<h2>Series to look at</h2>",
            "<p class=quiet>Flagged ones first, then those with the least signal to noise of their vendor, contrast "
            "and plane. Middle slices, as the encoders see them.</p>",
            _cards(worst_series(rows), thumbnail),
        ]
    body = "\n".join(parts) if rows.height else "<p class=quiet>No series has been sharded yet.</p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Data quality</title><style>{_STYLE}</style><h1>Data quality of the shards</h1>"
        "<p class=quiet>Measured on source pixels when the shards were written. Pseudonyms only; for research, "
        f"not for clinical use.</p>{body}</html>\n"
    )


def _flag_counts(rows: pl.DataFrame) -> pl.DataFrame:
    counts = (
        rows.explode("flags").group_by("flags").agg(series=pl.len(), studies=pl.col("study_key").n_unique())
    )
    by_flag = {flag: (series, studies) for flag, series, studies in counts.rows()}
    table = [
        (flag, _MEANING[flag], *by_flag.get(flag, (0, 0)), 100 * by_flag.get(flag, (0, 0))[0] / rows.height)
        for flag in ("no_geometry", *LIMITS)
    ]
    return pl.DataFrame(table, schema=["flag", "meaning", "series", "studies", "% of series"], orient="row")


def _groups(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.group_by("vendor", "contrast", "plane")
        .agg(
            pl.len().alias("series"),
            pl.col("n_slices").sum().alias("slices"),
            pl.col("snr").median().alias("SNR, median"),
            pl.col("snr").quantile(0.05).alias("SNR, 5 %"),
            pl.col("motion_score").median().alias("motion, median"),
            pl.col("motion_score").quantile(0.95).alias("motion, 95 %"),
            pl.col("slice_spacing_mm").median().alias("spacing, mm"),
            (pl.col("flags").list.len() > 0).sum().alias("flagged"),
        )
        .sort("vendor", "contrast", "plane")
    )


def _table(frame: pl.DataFrame, *, texts: int) -> str:
    def cell(value: object, column: int) -> str:
        text = (
            "–"
            if value is None
            else f"{value:,.3g}"
            if isinstance(value, float)
            else f"{value:,}"
            if isinstance(value, int)
            else str(value)
        )
        return f"<td{' class=t' if column < texts else ''}>{html.escape(text)}</td>"

    head = "".join(
        f"<th{' class=t' if i < texts else ''}>{html.escape(name)}</th>"
        for i, name in enumerate(frame.columns)
    )
    lines = ["".join(cell(value, i) for i, value in enumerate(row)) for row in frame.rows()]
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _plots(rows: pl.DataFrame) -> str:
    from matplotlib.figure import Figure

    vendors = sorted(rows["vendor"].unique())
    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    limits = {column: limit for column, _, limit in LIMITS.values()}
    for axis, (column, title) in zip(figure.subplots(2, 3).ravel(), _PLOTS, strict=True):
        values = [
            rows.filter(vendor=vendor)[column].drop_nulls().cast(pl.Float64).to_numpy() for vendor in vendors
        ]
        known = np.concatenate(values)
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=8)
        axis.locator_params(axis="x", nbins=5)
        if not len(known):
            axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes, fontsize=8)
            continue
        low, high = float(known.min()), float(known.max())
        edges = np.linspace(low, high if high > low else low + 1, 31)
        axis.hist(values, bins=edges, stacked=True, label=vendors)
        if column in limits and low <= limits[column] <= high:
            axis.axvline(limits[column], color="black", linestyle="--", linewidth=0.8)
        axis.set_ylabel("series", fontsize=8)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, frameon=False
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return _data_uri(buffer.getvalue())


def _cards(rows: pl.DataFrame, thumbnail: Thumbnail) -> str:
    cards = [_card(row, thumbnail(row["series_key"])) for row in rows.iter_rows(named=True)]
    return f"<div class=worst>{''.join(cards)}</div>"


def _card(row: Mapping[str, Any], image: np.ndarray | None) -> str:
    picture = "" if image is None else f"<img alt='middle slice' src='{_data_uri(_png(image))}'>"
    flags: Sequence[str] = row["flags"]
    labels = "".join(f"<span class=flag>{html.escape(flag.replace('_', ' '))}</span>" for flag in flags)
    numbers = ", ".join(
        f"{name} {row[column]:.3g}"
        for column, name in (("snr", "SNR"), ("motion_score", "motion"), ("spacing_deviation", "spacing ±"))
        if row[column] is not None
    )
    what = f"{row['contrast']} {row['plane']}, {row['vendor']}, {row['n_slices']} slices"
    return (
        f"<div class=card>{picture}<div>{html.escape(what)}</div><div>{labels}</div>"
        f"<div class=quiet>{html.escape(numbers)}</div><div class=key>{html.escape(row['series_key'])}</div></div>"
    )


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((image >> 8).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"

"""The scores against what was done to the image: added noise, moved k-space lines, holes in stacks."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from spine_models.config import ShardSettings
from spine_models.corpus.geometry import FrameGeometry
from spine_models.corpus.shards import write_shards
from spine_models.corpus.shards.pixels import PixelsError, read_frames
from spine_models.corpus.shards.quality import SliceScores, score_slice, scored_indices, series_quality
from spine_models.corpus.shards.quality_page import missing_planes, render_page, worst_series
from spine_models.corpus.shards.tables import QUALITY

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture(scope="module")
def phantom_slices(phantom_source) -> list[np.ndarray]:
    """Some magnitude images of the phantom hospital, float32."""
    images = []
    for path in sorted((phantom_source / "inbox" / "dicom").rglob("*")):
        if len(images) < 24 and path.is_file() and hash_of(path) % 9 == 0:
            try:
                frame = next(iter(read_frames(path)))
            except (PixelsError, StopIteration):
                continue
            if min(frame.stored.shape) >= 96 and frame.stored.max() > 200:
                images.append(frame.stored.astype(np.float32))
    assert len(images) >= 12
    return images


def hash_of(path) -> int:
    return sum(path.name.encode()) + path.stat().st_size


def magnitude(image, sigma, rng):
    return np.hypot(image + rng.normal(0, sigma, image.shape), rng.normal(0, sigma, image.shape)).astype(
        np.float32
    )


def test_the_noise_score_follows_known_noise_within_a_tenth(phantom_slices):
    rng = np.random.default_rng(0)
    truth, found = [], []
    for image in phantom_slices:
        own, top = score_slice(image).noise_sigma, np.percentile(image, 99)
        for share in (0.01, 0.02, 0.04, 0.08):
            truth.append(np.hypot(own, share * top) / top)
            found.append(score_slice(magnitude(image, share * top, rng)).noise_sigma / top)
    truth, found = np.array(truth), np.array(found)
    assert spearmanr(truth, found)[0] > 0.95
    assert abs(np.mean(found / truth) - 1) < 0.1


def test_noise_over_an_image_without_any_is_measured_absolutely():
    rng = np.random.default_rng(1)
    smooth = gaussian_filter(rng.uniform(0, 1, (160, 160)), 12)
    body = np.where(np.indices((160, 160))[1] < 110, 300 + 4000 * (smooth - smooth.min()), 0)
    for sigma in (5.0, 20.0, 60.0):
        assert score_slice(magnitude(body, sigma, rng)).noise_sigma == pytest.approx(sigma, rel=0.1)


def move(image, amplitude_px, axis, rng):
    """Breathing while k-space lines are taken one after another: each line of ``axis`` is shifted along it."""
    count = image.shape[axis]
    frequency = np.fft.fftfreq(count)
    breath = amplitude_px * np.sin(2 * np.pi * np.arange(count) / (count / 9) + rng.uniform(0, 6))
    phase = np.exp(-2j * np.pi * frequency * np.fft.ifftshift(breath))
    lines = phase[:, None] if axis == 0 else phase[None, :]
    return np.abs(np.fft.ifft2(np.fft.fft2(image) * lines)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_motion_score_rises_with_simulated_breathing(phantom_slices, axis):
    rng = np.random.default_rng(2)
    amplitudes = (0.0, 0.5, 1.0, 2.0, 4.0)
    within, still, moved = [], [], []
    for image in phantom_slices:
        seed = int(rng.integers(1 << 30))
        scores = [
            score_slice(move(image, a, axis, np.random.default_rng(seed)) if a else image).motion_score
            for a in amplitudes
        ]
        if None not in scores:
            # A score that never moves has seen nothing: it counts as no correlation, not as no answer.
            within.append(spearmanr(scores, amplitudes)[0] if len(set(scores)) > 1 else 0.0)
            still.append(scores[0])
            moved.append(scores[3])
    assert len(within) >= len(phantom_slices) / 3
    assert np.mean(within) > 0.7
    wins = np.mean([[a > b for a in moved] for b in still])
    assert wins > 0.85  # AUROC of two pixels of motion against none


def test_noise_alone_is_no_motion(phantom_slices):
    rng = np.random.default_rng(3)
    for image in phantom_slices[:8]:
        noisy = score_slice(magnitude(image, 0.05 * np.percentile(image, 99), rng)).motion_score
        assert noisy is None or noisy < 0.05


def test_an_image_that_fills_its_frame_has_no_motion_score():
    rng = np.random.default_rng(4)
    assert score_slice(rng.normal(900, 40, (96, 96)).astype(np.float32)).motion_score is None
    assert score_slice(np.zeros((96, 96), np.float32)) == SliceScores(None, None, None)


def stack(*positions, thickness=4.0):
    return [FrameGeometry(SAGITTAL, (float(x), 0.0, 0.0), (0.5, 0.5), thickness) for x in positions]


def judged(geometries, **changes):
    scores = [SliceScores(10.0, 200.0, 0.0)] * 2
    arguments = {"clipped": [0.01] * len(geometries), "empty": 0, "stored_span": 4000.0} | changes
    return series_quality(geometries, changes.pop("scores", scores), arguments.pop("clipped"), **{
        k: v for k, v in arguments.items() if k in ("empty", "stored_span")
    })  # fmt: skip


def test_a_sound_stack_has_no_flag():
    row = judged(stack(0, 5, 10, 15))
    assert row["flags"] == []
    assert (row["slice_spacing_mm"], row["slice_gap_mm"], row["missing_slices"], row["bits_used"]) == (
        5,
        1,
        0,
        12,
    )
    assert row["snr"] == 20.0


@pytest.mark.parametrize(
    ("geometries", "changes", "flag"),
    [
        (stack(0, 5, 15, 20, 25), {}, "missing_slices"),
        (stack(0, 5, 10, 17, 22), {}, "uneven_spacing"),
        (stack(0, 5, 5, 10), {}, "repeated_positions"),
        (stack(0, 5, 10), {"empty": 1}, "empty_slices"),
        (stack(0, 5, 10), {"clipped": [0.2, 0.0, 0.0]}, "clipped"),
        (stack(0, 5, 10), {"stored_span": 100.0}, "few_grey_values"),
        (stack(0, 5, 10), {"scores": [SliceScores(50.0, 100.0, 0.0)]}, "low_snr"),
        (stack(0, 5, 10), {"scores": [SliceScores(1.0, 100.0, 0.2)]}, "motion"),
        ([FrameGeometry(None, None)] * 3, {}, "no_geometry"),
    ],
)
def test_each_fault_has_its_flag(geometries, changes, flag):
    assert flag in judged(geometries, **changes)["flags"]


def test_holes_are_counted_in_slices():
    assert judged(stack(0, 4, 8, 20, 24))["missing_slices"] == 2


def test_scored_slices_are_spread_and_bounded():
    assert scored_indices(3) == {0, 1, 2}
    for count in (7, 20, 400):
        found = sorted(scored_indices(count))
        assert len(found) <= 6
        assert 0 <= found[0] < count / 3
        assert found[-1] > count / 2


def test_the_shards_carry_one_row_for_every_readable_series(batch, noise, make_dataset, tmp_path):
    for i in range(4):
        batch.add(make_dataset(noise(i), number=i, position_mm=4.0 * i), patient="p", series="good")
    for i, position in enumerate((0.0, 4.0, 12.0, 16.0)):
        batch.add(make_dataset(noise(i), number=i, position_mm=position), patient="p", series="hole")
    flat = np.full((24, 20), 7, np.uint16)
    batch.add(make_dataset(flat), patient="p", series="flat")
    batch.add(b"junk", patient="p", series="junk")
    settings = ShardSettings(size_px=32, workers=1)
    tables = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=tmp_path / "out", settings=settings
    )
    quality = tables.quality
    assert quality.schema == QUALITY
    rows = {row["series_key"]: row for row in quality.iter_rows(named=True)}
    assert set(rows) == {"good", "hole", "flat"}
    assert (rows["hole"]["missing_slices"], rows["good"]["missing_slices"]) == (1, 0)
    assert "missing_slices" in rows["hole"]["flags"]
    assert (rows["flat"]["empty_slices"], rows["flat"]["snr"]) == (1, None)
    assert rows["good"]["bits_used"] == 10


def quality_rows(*rows) -> pl.DataFrame:
    names = ("study_key", "series_key", "plane", "region", "contrast", "snr", "flags")
    frame = pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=QUALITY)
    return frame.with_columns(n_slices=pl.lit(3, pl.Int32))


QUALITY_ROWS = quality_rows(
    ("s1", "a", "sagittal", "lumbar", "T1", 20.0, []),
    ("s1", "b", "axial", "lumbar", "T2", 30.0, []),
    ("s2", "c", "sagittal", "lumbar", "T1", 4.0, ["low_snr"]),
    ("s3", "d", "sagittal", "other", "T1", 19.0, []),
    ("s4", "e", "axial", "cervical", None, None, ["no_geometry", "motion"]),
)


def test_studies_without_a_plane_are_named_but_not_of_other_body_parts():
    assert missing_planes(QUALITY_ROWS).select("study_key", "missing").rows() == [
        ("s2", ["axial"]),
        ("s4", ["sagittal"]),
    ]


def test_the_worst_series_come_first():
    rows = QUALITY_ROWS.with_columns(vendor=pl.lit("GE"))
    assert worst_series(rows)["series_key"].to_list() == ["e", "c", "b", "d", "a"]
    assert worst_series(rows, 2).height == 2


def test_the_page_stands_alone_and_shows_what_is_wrong():
    asked = []

    def thumbnail(key):
        asked.append(key)
        return np.full((16, 16), 40000, np.uint16) if key != "e" else None

    page = render_page(QUALITY_ROWS, {"a": "GE", "b": "<b>&", "c": "Siemens"}, thumbnail)
    assert asked == ["e", "c", "a", "b", "d"]
    for text in (
        "low snr",
        "no geometry",
        "&lt;b&gt;&amp;",
        "Siemens",
        "data:image/png;base64,",
        "abstained",
    ):
        assert text in page
    for outside in ("http", "<script", "src='/", "url("):
        assert outside not in page
    assert page == render_page(QUALITY_ROWS, {"a": "GE", "b": "<b>&", "c": "Siemens"}, thumbnail)


def test_an_empty_lake_has_a_page_too():
    assert "No series has been sharded yet" in render_page(pl.DataFrame(schema=QUALITY), {}, lambda _: None)

from __future__ import annotations

import numpy as np

from spine_models.config import ShardSettings
from spine_models.corpus.shards import read_slices, write_shards
from spine_models.corpus.shards.contacts import middle_slices, series_thumbnail


def test_the_middle_slice_of_every_contrast_and_vendor(batch, noise, make_dataset, tmp_path):
    for number, (series, contrast) in enumerate((("a", "T1"), ("b", "T1"), ("c", "T2"), ("d", None))):
        for i in range(3):
            ds = make_dataset(noise(10 * number + i), number=i, position_mm=4.0 * i)
            batch.add(ds, patient="p", series=series, contrast=contrast, route="other")
    out = tmp_path / "out"
    settings = ShardSettings(size_px=32, workers=1)
    slices = write_shards(
        batch.instances, batch.series, dicom=batch.folder, out=out, settings=settings
    ).slices
    sheet = middle_slices(slices, {"a": "GE", "b": "GE", "c": "Philips"}, out)
    assert sorted(sheet) == [
        ("T1 sagittal", "GE"),
        ("T2 sagittal", "Philips"),
        ("abstained sagittal", "unknown"),
    ]
    stored = dict(read_slices(sorted(out.rglob("*.tar"))))
    middle = slices.filter((slices["series_key"] == "a") & (slices["slice_index"] == 1))["slice_key"][0]
    np.testing.assert_array_equal(sheet["T1 sagittal", "GE"], stored[middle])
    np.testing.assert_array_equal(series_thumbnail(slices, "a", {"internal-0001": out}), stored[middle])
    assert series_thumbnail(slices, "z", {"internal-0001": out}) is None
    assert series_thumbnail(slices, "a", {}) is None
    assert middle_slices(slices.head(0), {}, out) == {}

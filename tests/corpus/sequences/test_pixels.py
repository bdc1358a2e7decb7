from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from spine_models.config import SequenceSettings
from spine_models.corpus.deid.tables import INSTANCES
from spine_models.corpus.sequences import classify_batch
from spine_models.corpus.sequences.header_model import CLASSES
from spine_models.corpus.sequences.pixel_model import middle_slices, pixel_model, pixel_opinion
from spine_models.corpus.sequences.pixel_net import FACTS, PixelNet, prepared, slice_facts

SAGITTAL = [0.0, 1, 0, 0, 0, -1]


def spine(seed: int = 0, size: int = 96) -> np.ndarray:
    """A bright line of fluid beside a column of blocks, in a bright rim, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / size
    image = 300.0 * ((x > 0.15) & (x < 0.9))
    image += (
        200 * ((x > 0.35) & (x < 0.5) & (y * 8 % 1 > 0.2))
        + 900 * ((x > 0.55) & (x < 0.62))
        + 500 * (x > 0.82)
    )
    return (image + rng.normal(0, 12, image.shape)).clip(0).astype(np.uint16)


def write(path, pixels: np.ndarray, **changes: object) -> None:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.ImageOrientationPatient, ds.ImagePositionPatient = SAGITTAL, [0, 0, 0]
    ds.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    ds.save_as(path, enforce_file_format=True)


def test_what_a_slice_becomes_ignores_scale_and_keeps_to_its_range():
    one, other = prepared(spine()), prepared(spine() * 7.0)
    assert one.shape == (2, 64, 64)
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert one[0].min() >= 0
    assert one[0].max() <= 1.5
    assert np.abs(one[1]).max() <= 1.5


def test_resolution_changes_little_and_small_images_are_enlarged():
    image = spine(size=256)
    coarse = image.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert np.abs(prepared(image)[0] - prepared(coarse)[0]).mean() < 0.02
    assert prepared(spine(size=40)).shape == (2, 64, 64)
    assert np.isfinite(prepared(np.zeros((50, 70)))).all()


def test_a_constant_survives_resampling_of_any_size():
    for size in (25, 63, 64, 65, 200):
        np.testing.assert_allclose(prepared(np.full((size, size + 7), 5.0))[0], 1, atol=1e-5)


def test_the_network_gives_what_torch_gives(tmp_path):
    torch = pytest.importorskip("torch")
    net = pixel_model().net
    x = torch.from_numpy(np.stack([prepared(spine(1)), prepared(spine(2, 120))]))
    for kernel, bias in zip(net.kernels, net.biases, strict=True):
        x = torch.relu(
            torch.nn.functional.conv2d(
                x, torch.from_numpy(kernel), torch.from_numpy(bias), stride=2, padding=1
            )
        )
    facts = torch.from_numpy(
        np.stack([slice_facts(spine(1), "sagittal"), slice_facts(spine(2, 120), "axial")])
    )
    pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3)), facts], dim=1)
    wanted = (pooled @ torch.from_numpy(net.head).T + torch.from_numpy(net.head_bias)).numpy().mean(axis=0)
    np.testing.assert_allclose(
        net.scores([spine(1), spine(2, 120)], ["sagittal", "axial"]), wanted, atol=1e-4
    )
    net.save(tmp_path / "net")
    again = PixelNet.load(tmp_path / "net")
    np.testing.assert_array_equal(again.scores([spine()], ["axial"]), net.scores([spine()], ["axial"]))


def test_facts_of_a_slice():
    image = np.zeros((128, 512))
    image[:64] = 1
    assert slice_facts(image, "axial").tolist() == [0, 1, 0, 1, 0.5]
    assert len(slice_facts(image, "oblique")) == FACTS


def test_contrasts_that_no_picture_taught_have_a_neutral_likelihood():
    opinion = pixel_model().opinion([spine()], ["sagittal"])
    untaught = [c.value for c, prior in zip(CLASSES, pixel_model().prior, strict=True) if prior == 0]
    assert set(untaught) == {"MT", "other"}
    assert all(opinion.probabilities[[c.value for c in CLASSES].index(name)] == 1 for name in untaught)
    assert opinion.contrast.value not in untaught
    assert 0 <= opinion.confidence < 1


def test_only_the_middle_of_a_series_is_opened(tmp_path):
    for n in range(20):
        write(tmp_path / f"{n:02d}.dcm", spine(n))
    paths = sorted(tmp_path.glob("*.dcm"))
    wanted, planes = middle_slices(paths)
    assert planes == ["sagittal"] * 3
    for n in (0, 1, 2, 3, 18, 19):
        paths[n].write_bytes(b"not to be read")
    again, _ = middle_slices(paths)
    np.testing.assert_array_equal(np.stack(wanted), np.stack(again))


def test_frames_of_one_object_and_broken_files(tmp_path):
    volume = np.stack([spine(n) for n in range(10)])
    write(tmp_path / "many.dcm", volume)
    slices, _ = middle_slices([tmp_path / "many.dcm"])
    np.testing.assert_array_equal(np.stack(slices), volume[[3, 5, 7]].astype(np.float32))
    (tmp_path / "broken.dcm").write_bytes(b"x" * 300)
    assert pixel_opinion([tmp_path / "broken.dcm"]) is None
    assert pixel_opinion([tmp_path / "absent.dcm", tmp_path / "many.dcm"]) is not None


def test_inverted_photometry_is_put_right(tmp_path):
    write(tmp_path / "a.dcm", spine())
    write(
        tmp_path / "b.dcm",
        (2000 - spine().astype(int)).astype(np.uint16),
        PhotometricInterpretation="MONOCHROME1",
    )
    one, other = (prepared(middle_slices([tmp_path / name])[0][0]) for name in ("a.dcm", "b.dcm"))
    np.testing.assert_allclose(one[0], other[0], atol=0.05)


@pytest.fixture
def batch(tmp_path) -> pl.DataFrame:
    """Series s1 is plain; s2 has a name that its timing contradicts; s3 has nothing."""
    facts = {
        "s1": {"series_description": "t1_tse_sag", "tr_ms": 600.0, "te_ms": 10.0},
        "s2": {"series_description": "t2_tse_sag", "tr_ms": 600.0, "te_ms": 10.0},
        "s3": {},
    }
    rows = []
    for series, known in facts.items():
        for n in range(4):
            name = f"{series}-{n}.dcm"
            write(tmp_path / name, spine(n))
            keys = {
                "batch_key": "b",
                "patient_key": "p",
                "study_key": "st",
                "series_key": series,
                "instance_key": name,
            }
            geometry = {"iop": SAGITTAL, "ipp_mm": [4.0 * n, 0, 0], "instance_number": n, "dicom_path": name}
            common = {"scanning_sequence": "SE", "vendor": "Siemens"} if known else {}
            rows.append(dict.fromkeys(INSTANCES) | keys | geometry | common | known)
    return pl.DataFrame(rows, schema=INSTANCES)


def test_pixels_are_asked_only_where_a_header_is_open(batch, tmp_path):
    series = classify_batch(batch, settings=SequenceSettings(), dicom=tmp_path).series.to_dicts()
    asked = {row["series_key"]: row["pixel_contrast"] is not None for row in series}
    assert asked == {"s1": False, "s2": True, "s3": True}
    assert series[0]["decided_by"] == "rules"
    assert all(row["pixel_confidence"] is not None for row in series[1:])


def test_pixels_never_decide_without_a_header(batch, tmp_path):
    row = classify_batch(batch, settings=SequenceSettings(), dicom=tmp_path).series.row(2, named=True)
    assert (row["contrast"], row["decided_by"]) == (None, "nobody")


def test_without_a_folder_or_by_setting_no_file_is_opened(batch, tmp_path):
    alone = classify_batch(batch, settings=SequenceSettings())
    for path in tmp_path.glob("*.dcm"):
        path.unlink()
    off = classify_batch(batch, settings=SequenceSettings(pixels=False), dicom=tmp_path)
    assert alone.series.equals(off.series)
    assert alone.series["pixel_contrast"].null_count() == 3
    gone = classify_batch(batch, settings=SequenceSettings(), dicom=tmp_path)
    assert gone.series["pixel_contrast"].null_count() == 3

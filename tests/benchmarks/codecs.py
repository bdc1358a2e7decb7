"""Which lossless codec the shards use: bytes a slice and decoded slices per CPU second of every candidate.

    python tests/benchmarks/codecs.py [FOLDER_OF_REAL_FILES]

The criterion: of the codecs that decode at least five times as many slices a CPU second as 16-bit PNG read by Pillow,
on every set of images, the one with the fewest bytes. Reading is repeated every epoch and competes with augmentation
for the data workers; writing happens once.

Slices are in stored form (a quarter of the source's step, ``preprocess.Quantum``). Sets: a phantom hospital rendered on
the spot, at 112 and 224 px; real T1w, T2w (spinal cord toolbox), an MR phantom at 12 bits (dcm_qa_ts) and a head of
Hitachi (dicom2nifti) where the folder is there (default ``SPINE_REAL_DATA``). Every round trip is proved.

Belongs here: the measurement. Does not belong here: the codec itself (``spine_models.corpus.shards.codec``).
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import imagecodecs as ic
import jpeg_ls
import numpy as np
import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.table import Table

from spine_models.corpus.shards.pixels import PixelsError, read_frames
from spine_models.corpus.shards.preprocess import Quantum, preprocess

FASTER_THAN_PNG = 5.0
SECONDS = 0.25  # of decoding, for each codec and set
CORPUS = 13_441_191

Encode = Callable[[np.ndarray], bytes]
Decode = Callable[[bytes, tuple[int, int]], np.ndarray]


def codecs() -> dict[str, tuple[Encode, Decode]]:
    """Name to encoder and decoder; the first is what the others are compared with."""
    found: dict[str, tuple[Encode, Decode]] = {
        "PNG, Pillow, level 6": _png(6),
        "PNG, Pillow, level 1": _png(1),
        "PNG, Pillow, level 9": _png(9),
        "PNG, libpng, level 6": (lambda a: ic.png_encode(a, level=6), lambda b, _: ic.png_decode(b)),
        "raw, zlib 6": (
            lambda a: zlib.compress(a.tobytes(), 6),
            lambda b, s: np.frombuffer(zlib.decompress(b), np.uint16).reshape(s),
        ),
        "raw, zstd 3": _arrow("zstd", 3, plain=True),
        "raw, zstd 9": _arrow("zstd", 9, plain=True),
        "raw, lz4": _arrow("lz4", None, plain=True),
        "delta, bytes shuffled, zstd 3": _arrow("zstd", 3),
        "delta, bytes shuffled, zstd 9": _arrow("zstd", 9),
        "delta, bytes shuffled, lz4": _arrow("lz4", None),
        "delta, bytes shuffled, brotli 5": _arrow("brotli", 5),
        "blosc2, bytes shuffled": (
            lambda a: ic.blosc2_encode(a.tobytes(), level=5, typesize=2),
            lambda b, s: np.frombuffer(ic.blosc2_decode(b), np.uint16).reshape(s),
        ),
        "Rice (rcomp)": (
            lambda a: ic.rcomp_encode(a.view(np.int16)),
            lambda b, s: ic.rcomp_decode(b, shape=s, dtype=np.int16).view(np.uint16),
        ),
        "JPEG-LS, pyjpegls": (
            lambda a: bytes(jpeg_ls.encode(a)),
            lambda b, _: jpeg_ls.decode(np.frombuffer(b, np.uint8)),
        ),
        "JPEG-LS, imagecodecs": (ic.jpegls_encode, lambda b, _: ic.jpegls_decode(b)),
        "JPEG 2000, OpenJPEG": (
            lambda a: ic.jpeg2k_encode(a, reversible=True, level=0),
            lambda b, _: ic.jpeg2k_decode(b),
        ),
        "HTJ2K, OpenJPH": (lambda a: ic.htj2k_encode(a, reversible=True), lambda b, _: ic.htj2k_decode(b)),
        "JPEG XL, effort 1": (
            lambda a: ic.jpegxl_encode(a, lossless=True, effort=1),
            lambda b, _: ic.jpegxl_decode(b),
        ),
        "JPEG XL, effort 3": (
            lambda a: ic.jpegxl_encode(a, lossless=True, effort=3),
            lambda b, _: ic.jpegxl_decode(b),
        ),
    }
    for level in (4, 8):
        found[f"pcodec {level}"] = (
            lambda a, level=level: ic.pcodec_encode(a, level=level),
            lambda b, s: ic.pcodec_decode(b, out=np.empty(s, np.uint16)),
        )
    found["delta of rows, pcodec 8"] = (
        lambda a: ic.pcodec_encode(np.diff(a, axis=0, prepend=np.zeros_like(a[:1])), level=8),
        lambda b, s: np.cumsum(ic.pcodec_decode(b, out=np.empty(s, np.uint16)), axis=0, dtype=np.uint16),
    )
    return found


def _png(level: int) -> tuple[Encode, Decode]:
    def encode(array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, "PNG", compress_level=level)
        return buffer.getvalue()

    def decode(content: bytes, _: tuple[int, int]) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image).astype(np.uint16, copy=False)

    return encode, decode


def _arrow(name: str, level: int | None, *, plain: bool = False) -> tuple[Encode, Decode]:
    """A byte codec of pyarrow, over raw pixels or over zigzagged first differences with their bytes apart."""
    codec = pa.Codec(name, level) if level is not None else pa.Codec(name)

    def encode(array: np.ndarray) -> bytes:
        if plain:
            return codec.compress(array.tobytes(), asbytes=True)
        left = np.diff(array, axis=1, prepend=np.zeros_like(array[:, :1]))
        left[1:, 0] -= array[:-1, 0]
        signed = left.view(np.int16)
        folded = ((signed << 1) ^ (signed >> 15)).view(np.uint8).reshape(-1, 2)
        return codec.compress(folded.T.tobytes(), asbytes=True)

    def decode(content: bytes, shape: tuple[int, int]) -> np.ndarray:
        raw = np.frombuffer(codec.decompress(content, shape[0] * shape[1] * 2), np.uint8)
        if plain:
            return raw.view(np.uint16).reshape(shape)
        folded = np.empty((raw.size // 2, 2), np.uint8)
        folded[:, 0], folded[:, 1] = raw[: raw.size // 2], raw[raw.size // 2 :]
        values = folded.view(np.uint16).reshape(shape)
        left = (values >> 1) ^ (-(values & 1).astype(np.int16)).view(np.uint16)
        np.add.accumulate(left[:, 0], out=left[:, 0])
        return np.add.accumulate(left, axis=1, dtype=np.uint16)

    return encode, decode


def image_sets(real: Path | None) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Names and stored slices, uint16."""
    from spine_models.phantom import write_hospital

    with tempfile.TemporaryDirectory() as name:
        write_hospital(Path(name), patients=4, seed=5, workers=1)
        frames = list(_frames(sorted((Path(name) / "inbox" / "dicom").rglob("*"))))[::3][:60]
        yield "phantom, 112 px", [_stored(frame, 112) for frame in frames]
        yield "phantom, 224 px", [_stored(frame, 224) for frame in frames]
    if real is None:
        return
    spine = real / "real_spine_nifti" / "sct_testing"
    volumes = [
        _nifti(path) for path in (spine / "t1" / "t1w.nii.gz", spine / "t2" / "t2.nii.gz") if path.is_file()
    ]
    if volumes:
        cuts = [np.ascontiguousarray(v[i]) for v in volumes for i in range(0, len(v), 2)]
        yield "real cervical T1w and T2w, own size", [_stored(cut, max(cut.shape)) for cut in cuts]
    for title, folder, size in (
        ("real 12-bit MR (dcm_qa_ts), 224 px", "dcm_qa_ts", 224),
        ("real head (Hitachi), own size", "dicom2nifti/hitachi", 64),
    ):
        frames = list(_frames(sorted((real / "real_dicom" / folder).rglob("*"))))[:8]
        if frames:
            yield title, [_stored(frame, size) for frame in frames]


def _frames(paths: list[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        if path.is_file():
            try:
                frame = next(iter(read_frames(path)))
            except (PixelsError, StopIteration):
                continue
            if min(frame.stored.shape) >= 64:
                yield frame.stored


def _stored(source: np.ndarray, size_px: int) -> np.ndarray:
    low, high = float(source.min()), float(source.max())
    quantum = Quantum.spanning(low, high, 1.0)
    return preprocess(source.astype(np.float32), (low, high + 1), size_px, quantum=quantum).stored


def _nifti(path: Path) -> np.ndarray:
    """Voxels of a little-endian NIfTI-1 file of 16-bit integers, first axis slowest."""
    raw = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(raw[42:48], "<i2").astype(int)
    kind = {4: "<i2", 512: "<u2"}[int(np.frombuffer(raw[70:72], "<i2")[0])]
    offset = int(np.frombuffer(raw[108:112], "<f4")[0])
    return np.frombuffer(raw, kind, count=int(shape.prod()), offset=offset).reshape(shape, order="F")


def measure(images: list[np.ndarray], encode: Encode, decode: Decode) -> tuple[float, float, float]:
    """Bytes a slice, encoded and decoded slices per CPU second.

    Raises:
        ValueError: the codec does not give the pixels back.
    """
    began = time.process_time()
    packed = [encode(image) for image in images]
    encoding = time.process_time() - began
    for image, content in zip(images, packed, strict=True):
        if not np.array_equal(decode(content, image.shape), image):
            raise ValueError("the codec is not lossless")
    count, began = 0, time.process_time()
    while time.process_time() - began < SECONDS:
        for image, content in zip(images, packed, strict=True):
            decode(content, image.shape)
        count += len(images)
    decoding = time.process_time() - began
    return float(np.mean([len(c) for c in packed])), len(images) / encoding, count / decoding


def main(real: Path | None) -> None:
    """Print a table for each set, and what the criterion chooses over all of them."""
    console = Console(width=120)
    against_png: dict[str, list[tuple[float, float]]] = {}
    for title, images in image_sets(real):
        table = Table(title=f"{title}: {len(images)} slices of {images[0].shape}", title_justify="left")
        for name in (
            "codec",
            "bytes a slice",
            "bits a pixel",
            "encoded/s",
            "decoded/s",
            "x PNG",
            "TB in all",
        ):
            table.add_column(name, justify="left" if name == "codec" else "right")
        base = None
        for name, (encode, decode) in codecs().items():
            size, encoded, decoded = measure(images, encode, decode)
            base = base or (size, decoded)
            against_png.setdefault(name, []).append((size / base[0], decoded / base[1]))
            bits = 8 * size / float(np.mean([image.size for image in images]))
            table.add_row(
                name, f"{size:,.0f}", f"{bits:.2f}", f"{encoded:,.0f}", f"{decoded:,.0f}", f"{decoded / base[1]:.1f}",
                f"{size * CORPUS / 1e12:.2f}",
            )  # fmt: skip
        console.print(table)
    quick = {n: [s for s, _ in v] for n, v in against_png.items() if min(r for _, r in v) >= FASTER_THAN_PNG}
    console.print(
        f"at least {FASTER_THAN_PNG:g} times PNG in every set, bytes over PNG's (mean over the sets):"
    )
    for name, sizes in sorted(quick.items(), key=lambda item: np.mean(item[1])):
        console.print(f"  {np.mean(sizes):.3f}  {name}")


if __name__ == "__main__":
    named = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SPINE_REAL_DATA")
    main(Path(named) if named else None)

"""Fits the models of the sequence classifier and writes them into the package, with their cards.

    python tests/benchmarks/train_sequences.py headers
    python tests/benchmarks/train_sequences.py pixels

Deterministic: the same code, seed and inputs give the same files. Headers need SPINE_REAL_DATA (or shared/data beside
the checkout); the shipped model is fitted on all sites, its calibration and figures on sites and scanners left out.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from sequence_drawn_images import drawn_pictures
from sequence_headers import Example, real_examples, real_folder
from sequence_images import real_pictures
from sequence_phantom import phantom_examples
from sequence_protocols import drawn_examples

from spine_models.corpus.sequences.calibration import Calibration, expected_calibration_error
from spine_models.corpus.sequences.classify import facts_of_row
from spine_models.corpus.sequences.features import FEATURES_VERSION, NAMES, header_features
from spine_models.corpus.sequences.header_model import CLASSES, FOLDER, HeaderModel
from spine_models.corpus.sequences.pixel_model import PixelModel
from spine_models.corpus.sequences.pixel_net import PIXELS_VERSION, PixelNet, prepared, slice_facts
from spine_models.corpus.sequences.pixel_training import NetRecipe, fit_net
from spine_models.corpus.sequences.training import Recipe, calibrated, fit_trees, out_of_fold
from spine_models.corpus.sequences.trees import Trees

NAMES_OF_CLASSES = [contrast.value for contrast in CLASSES]
DRAWN, PHANTOM = 9000, 4000
TRAINING_SEED, DAMAGE = 2026, 0.35
RECIPE = Recipe()
PICTURED_PATIENTS, HELD_EVERY = 360, 6
NET_RECIPE = NetRecipe()


def training_examples() -> list[Example]:
    """Drawn, phantom and real headers, each as written and as released, some of the real ones with tags taken away."""
    rng = np.random.default_rng([TRAINING_SEED, 7])
    real, _ = real_examples(released=True)
    return [
        *drawn_examples(DRAWN, TRAINING_SEED, damage_rate=DAMAGE),
        *drawn_examples(DRAWN // 6, TRAINING_SEED + 1, damage_rate=DAMAGE, released=False),
        *phantom_examples(PHANTOM, TRAINING_SEED, damage_rate=DAMAGE),
        *real,
        *(thinned(example, rng) for example in real),
    ]


def thinned(example: Example, rng: np.random.Generator) -> Example:
    """The same header with about a third of its facts taken away, truth unchanged."""
    gone = {name for name in example.row if rng.random() < 0.35}
    row = {name: None if name in gone else value for name, value in example.row.items()}
    return Example(row, example.truth, example.group, example.vendor, example.source, True)


def weights_of(examples: Sequence[Example]) -> np.ndarray:
    """Each source weighs what is stated here in all, however many examples it has, and each real site the same."""
    share = {"drawn": 1.0, "phantom": 0.6, "real": 0.4}
    count = Counter((e.source, e.group) if e.source == "real" else (e.source, "") for e in examples)
    groups = Counter(source for source, _ in count)
    weights = [
        share[e.source]
        / groups[e.source]
        / count[(e.source, e.group) if e.source == "real" else (e.source, "")]
        for e in examples
    ]
    return np.array(weights) * len(examples) / sum(weights)


def features_of(examples: Sequence[Example]) -> np.ndarray:
    """``[N, F]`` features of headers."""
    return np.stack([header_features(facts_of_row(e.row)) for e in examples])


def fit_header_model(examples: Sequence[Example], *, folds: int = 5) -> tuple[HeaderModel, dict[str, Any]]:
    """A model on all examples, calibrated on scores for groups left out, and the figures of those scores."""
    x, weights = features_of(examples), weights_of(examples)
    truth, groups = [e.truth for e in examples], [e.group for e in examples]
    held = out_of_fold(x, truth, weights, groups, NAMES_OF_CLASSES, RECIPE, folds)
    calibration = calibrated(held, truth, NAMES_OF_CLASSES, weights)
    figures = _figures(held, calibration, examples)
    return HeaderModel(fit_trees(x, truth, weights, NAMES_OF_CLASSES, RECIPE), calibration, {}), figures


def _figures(scores: np.ndarray, calibration: Calibration, examples: Sequence[Example]) -> dict[str, Any]:
    p = calibration.probabilities(scores)
    confidence = calibration.confidence(p.max(axis=1))
    right = np.array(NAMES_OF_CLASSES)[p.argmax(axis=1)] == np.array([e.truth for e in examples])
    figures = {}
    for source in sorted({e.source for e in examples}):
        inside = np.array([e.source == source for e in examples])
        figures[source] = {
            "headers": int(inside.sum()),
            "accuracy_groups_left_out": round(float(right[inside].mean()), 4),
            "ece": round(expected_calibration_error(confidence[inside], right[inside]), 4),
        }
    return figures


def store(name: str, weights: Trees | PixelNet, card: dict[str, Any]) -> None:
    """Write ``models/<name>.safetensors`` and its card beside it."""
    FOLDER.mkdir(exist_ok=True)
    weights.save(FOLDER / f"{name}.safetensors")
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    (FOLDER / f"{name}.safetensors").chmod(0o644)


def train_headers() -> None:
    """Fit and store the header model."""
    examples = training_examples()
    model, figures = fit_header_model(examples)
    card = {
        "model": "header model of the sequence classifier: gradient-boosted trees on header facts",
        "made_by": "python tests/benchmarks/train_sequences.py headers",
        "features_version": FEATURES_VERSION,
        "features": len(NAMES),
        "classes": NAMES_OF_CLASSES,
        "recipe": vars(RECIPE),
        "training": {
            "seed": TRAINING_SEED,
            "damage_rate": DAMAGE,
            "drawn": "headers from published ranges of protocols, tests/benchmarks/sequence_protocols.py",
            "phantom": "headers of spine_models.phantom",
            "real": "spine-generic/data-multi-subject, 1,302 acquisition headers of 30 sites, CC-BY 4.0 "
            "(Cohen-Adad et al., Scientific Data 2021); only facts derived from them are in the trees",
            "by_source": dict(sorted(Counter(e.source for e in examples).items())),
            "by_class": dict(sorted(Counter(e.truth for e in examples).items())),
        },
        "calibration": model.calibration.to_json(),
        "left_out": figures,
        "intended_use": "which encoder a series goes to; not a device, not for care of patients",
    }
    store("header", model.trees, card)
    print(json.dumps(figures, indent=2))


def train_pixels() -> None:
    """Fit and store the pixel model, calibrated on patients left out, and say how it does on the real images."""
    pictures = drawn_pictures(PICTURED_PATIENTS, TRAINING_SEED)
    order = {name: index for index, name in enumerate(NAMES_OF_CLASSES)}
    held = [p for p in pictures if p.patient % HELD_EVERY == 0]
    seen = [p for p in pictures if p.patient % HELD_EVERY]
    slices = [(i, plane, order[p.truth]) for p in seen for i, plane in zip(p.slices, p.planes, strict=True)]
    net = fit_net(
        np.stack([prepared(image) for image, _, _ in slices]),
        np.stack([slice_facts(image, plane) for image, plane, _ in slices]),
        np.array([label for _, _, label in slices]),
        len(NAMES_OF_CLASSES),
        NET_RECIPE,
        progress=lambda epoch, loss: print(
            f"epoch {epoch + 1} of {NET_RECIPE.epochs}: loss {loss:.3f}", flush=True
        ),
    )
    scores = np.stack([net.scores(p.slices, p.planes) for p in held])
    truth = [p.truth for p in held]
    calibration = calibrated(scores, truth, NAMES_OF_CLASSES, np.ones(len(truth)))
    counts = Counter(p.truth for p in seen)
    prior = [round(counts.get(name, 0) / len(seen), 6) for name in NAMES_OF_CLASSES]
    p = calibration.probabilities(scores)
    right = np.array(NAMES_OF_CLASSES)[p.argmax(axis=1)] == np.array(truth)
    model = PixelModel(net, calibration, np.array(prior), {})
    card = {
        "model": "pixel model of the sequence classifier: a small convolutional network on middle slices",
        "made_by": "python tests/benchmarks/train_sequences.py pixels",
        "pixels_version": PIXELS_VERSION,
        "classes": NAMES_OF_CLASSES,
        "prior": prior,
        "recipe": vars(NET_RECIPE),
        "training": {
            "seed": TRAINING_SEED,
            "pictures": "phantom anatomy with tissues, protocols and coils drawn anew for every series, "
            "tests/benchmarks/sequence_drawn_images.py",
            "patients": PICTURED_PATIENTS,
            "left_out": f"every patient with a number that {HELD_EVERY} divides, for calibration",
            "by_class": dict(sorted(counts.items())),
        },
        "calibration": calibration.to_json(),
        "patients_left_out": {
            "accuracy": round(float(right.mean()), 4),
            "ece": round(expected_calibration_error(calibration.confidence(p.max(axis=1)), right), 4),
        },
        "real_images": _on_real_images(model),
        "limits": "taught on simulated images alone: its likelihood counts with the square root in the decision, "
        "and it never decides without a header",
    }
    store("pixels", net, card)
    print(json.dumps({name: card[name] for name in ("patients_left_out", "real_images")}, indent=2))


def _on_real_images(model: PixelModel) -> list[dict[str, Any]]:
    folder = real_folder()
    rows = []
    for name, picture in real_pictures(folder) if folder is not None else []:
        opinion = model.opinion(picture.slices, picture.planes)
        assert opinion.contrast is not None
        said, sure = opinion.contrast.value, round(opinion.confidence, 3)
        rows.append({"file": name, "truth": picture.truth, "says": said, "confidence": sure})
    return rows


def main() -> None:
    """Run what is asked for."""
    commands = {"headers": train_headers, "pixels": train_pixels}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(f"usage: train_sequences.py {'|'.join(commands)}")
    commands[sys.argv[1]]()


if __name__ == "__main__":
    main()

"""How often the sequence classifier is right, as the Markdown tables of the README.

    python tests/benchmarks/sequence_accuracy.py            all tables; about four minutes of one core
    python tests/benchmarks/sequence_accuracy.py phantom    one of: phantom, sites, scanners, pixels

phantom: headers of an unseen seed, a fifth of them damaged, by the model in the package.
sites: the 1,302 real headers, each judged by a model that saw no header of its site.
scanners: the headers of one maker at a time, judged by a model that saw none of that maker.
pixels: what the picture adds where a header of the unseen seed is left open, and the pixel model alone.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from sequence_headers import Example, real_examples
from sequence_images import phantom_pictures
from sequence_phantom import phantom_examples
from train_sequences import fit_header_model, training_examples

from spine_models.config import SequenceSettings
from spine_models.corpus.sequences.calibration import expected_calibration_error
from spine_models.corpus.sequences.classify import facts_of_row
from spine_models.corpus.sequences.contrast import judge
from spine_models.corpus.sequences.decision import Decision, Opinion, by_header, is_open, with_pixels
from spine_models.corpus.sequences.header_model import CLASSES, HeaderModel, header_model
from spine_models.corpus.sequences.pixel_model import pixel_model
from spine_models.corpus.sequences.training import group_folds
from spine_models.corpus.sequences.verdict import Verdict

UNSEEN_SEED, HEADERS, DAMAGE = 99, 6000, 0.2
SITE_FOLDS, CALIBRATION_FOLDS = 5, 2
PICTURED_PATIENTS = 18
SETTINGS = SequenceSettings()


@dataclass(frozen=True)
class Judged:
    """One example and what every source said of it."""

    example: Example
    rules: Verdict
    model: Opinion
    decision: Decision

    @property
    def right(self) -> bool:
        return self.decision.contrast == self.example.truth

    @property
    def decided(self) -> bool:
        return self.decision.contrast is not None


def judged(examples: Sequence[Example], model: HeaderModel) -> list[Judged]:
    """What rules, model and their decision say of each header."""
    facts = [facts_of_row(e.row) for e in examples]
    found = []
    for example, fact, p in zip(examples, facts, model.probabilities(facts), strict=True):
        rules, best = judge(fact), int(p.argmax())
        opinion = Opinion(CLASSES[best], model.confidence(float(p[best])), p)
        found.append(Judged(example, rules, opinion, by_header(rules, opinion, SETTINGS)))
    return found


def table(title: str, found: Sequence[Judged], by: Callable[[Judged], str], first: str) -> None:
    """One Markdown table of shares right and abstained by what ``by`` gives, and the sum."""
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in found:
        groups[by(one)].append(one)
    print(f"\n{title}\n")
    print(f"| {first} | headers | right where decided | abstained | wrong |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in [*sorted(groups), "all"]:
        some = found if name == "all" else groups[name]
        decided = [one for one in some if one.decided]
        wrong = sum(not one.right for one in decided)
        share = "–" if not decided else f"{1 - wrong / len(decided):.2%}"
        print(f"| {name} | {len(some):,} | {share} | {1 - len(decided) / len(some):.2%} | {wrong} |")


def confusions(found: Sequence[Judged]) -> None:
    """Which contrasts were taken for which, most frequent first."""
    wrong = Counter(
        (one.example.truth, one.decision.contrast.value, one.decision.by)
        for one in found
        if one.decision.contrast is not None and not one.right
    )
    said = "; ".join(f"{t} taken for {s} by {by} {n}×" for (t, s, by), n in wrong.most_common(12))
    print(f"\nWrong ones: {said or 'none'}.")


def reliability(title: str, found: Sequence[Judged]) -> None:
    """Expected calibration error of each source where it says anything."""
    rows: Iterable[tuple[str, list[tuple[float, bool]]]] = (
        (
            "rules",
            [(o.rules.confidence, o.rules.contrast == o.example.truth) for o in found if o.rules.contrast],
        ),
        ("header model", [(o.model.confidence, o.model.contrast == o.example.truth) for o in found]),
        ("decision", [(o.decision.confidence, o.right) for o in found if o.decided]),
    )
    print(f"\n{title}\n")
    print("| source | says something of | right | mean confidence | expected calibration error |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, pairs in rows:
        confidence, right = [c for c, _ in pairs], [r for _, r in pairs]
        error = expected_calibration_error(confidence, right)
        print(f"| {name} | {len(pairs):,} | {np.mean(right):.2%} | {np.mean(confidence):.3f} | {error:.4f} |")


def phantom() -> list[Judged]:
    """Unseen phantom headers by the model in the package."""
    found = judged(phantom_examples(HEADERS, UNSEEN_SEED, damage_rate=DAMAGE), header_model())
    print(f"\n### Phantom headers, unseen seed, {DAMAGE:.0%} of them damaged")
    table("By contrast:", found, lambda one: one.example.truth, "contrast")
    table("By maker:", found, lambda one: one.example.vendor, "maker")
    table("By damage:", found, lambda one: "damaged" if one.example.damaged else "sound", "header")
    confusions(found)
    reliability("Reliability on these headers:", found)
    return found


def sites() -> list[Judged]:
    """Real headers, each by a model of the other sites' (and of drawn and phantom) headers."""
    real, empty = real_examples(released=True)
    others = [e for e in _thin(training_examples()) if e.source != "real"]
    thinned = [e for e in training_examples() if e.source == "real"]
    fold = group_folds([e.group for e in real], SITE_FOLDS, 3)
    of_site = {e.group: int(f) for e, f in zip(real, fold, strict=True)}
    found = []
    for k in range(SITE_FOLDS):
        seen = others + [e for e in thinned if of_site[e.group] != k]
        model, _ = fit_header_model(seen, folds=CALIBRATION_FOLDS)
        found += judged([e for e in real if of_site[e.group] == k], model)
    print(f"\n### Real headers ({len(real):,} of 30 sites), whole sites left out")
    table("By contrast:", found, lambda one: one.example.truth, "contrast")
    table("By maker:", found, lambda one: one.example.vendor, "maker")
    confusions(found)
    reliability("Reliability on sites left out:", found)
    every = len(real) + empty
    print(
        f"\n{empty} further files hold no attribute of an acquisition (an image averaged by a program); nothing "
        f"can tell what they are, and they are abstained on: {empty / every:.1%} of all {every:,}."
    )
    return found


def scanners() -> list[Judged]:
    """Headers of a maker by a model that saw none of its headers, phantom, drawn or real."""
    everything = _thin(training_examples())
    real, _ = real_examples(released=True)
    test = phantom_examples(HEADERS // 2, UNSEEN_SEED, damage_rate=DAMAGE) + real
    found = []
    for maker in sorted({e.vendor for e in test} - {"not named"}):
        model, _ = fit_header_model([e for e in everything if e.vendor != maker], folds=CALIBRATION_FOLDS)
        found += judged([e for e in test if e.vendor == maker], model)
    print("\n### Makers left out: no header of the maker in training, rules unchanged")
    table("By maker:", found, lambda one: f"{one.example.vendor}, {one.example.source}", "maker, headers")
    confusions(found)
    reliability("Reliability on makers left out:", found)
    return found


def pixels() -> None:
    """The pixel model alone on unseen patients, and what it changes where headers are open."""
    pictures = phantom_pictures(PICTURED_PATIENTS, UNSEEN_SEED)
    by_contrast = defaultdict(list)
    for picture in pictures:
        opinion = pixel_model().opinion(picture.slices, picture.planes)
        by_contrast[picture.truth].append(opinion)
    print("\n### Pixel model on phantom patients of an unseen seed")
    print("\n| contrast | series | right | of those surer than 0.6: share, right |")
    print("| --- | ---: | ---: | ---: |")
    for name, opinions in sorted(by_contrast.items()):
        sure = [o for o in opinions if o.confidence >= 0.6]
        right = np.mean([o.contrast == name for o in opinions])
        of_sure = f"{np.mean([o.contrast == name for o in sure]):.0%}" if sure else "–"
        print(f"| {name} | {len(opinions)} | {right:.0%} | {len(sure) / len(opinions):.0%}, {of_sure} |")
    every = [(o.confidence, o.contrast == name) for name, os in by_contrast.items() for o in os]
    error = expected_calibration_error([c for c, _ in every], [r for _, r in every])
    print(f"\nAll: {np.mean([r for _, r in every]):.1%} right, expected calibration error {error:.4f}.")
    headers = judged(phantom_examples(HEADERS, UNSEEN_SEED, damage_rate=DAMAGE), header_model())
    rng = np.random.default_rng([UNSEEN_SEED, 3])
    before, after = Counter(), Counter()
    for one in headers:
        pool = by_contrast.get(one.example.truth)
        if not is_open(one.rules, one.decision) or not pool:
            continue
        moved = with_pixels(one.rules, one.model, pool[int(rng.integers(len(pool)))], SETTINGS)
        for counter, decision in ((before, one.decision), (after, moved)):
            counter[
                "abstained"
                if decision.contrast is None
                else "right"
                if decision.contrast == one.example.truth
                else "wrong"
            ] += 1
    print(
        f"\nOf {len(headers):,} headers {before.total()} are open or contradict themselves and have a picture."
    )
    print("\n| decided by | right | wrong | abstained |\n| --- | ---: | ---: | ---: |")
    for name, counter in (("header alone", before), ("header and pixels", after)):
        print(f"| {name} | {counter['right']} | {counter['wrong']} | {counter['abstained']} |")


def _thin(examples: Sequence[Example]) -> list[Example]:
    """Every second drawn header: the folds need many fits."""
    return [e for n, e in enumerate(examples) if e.source != "drawn" or n % 2]


PARTS: dict[str, Callable[[], object]] = {
    "phantom": phantom,
    "sites": sites,
    "scanners": scanners,
    "pixels": pixels,
}


if __name__ == "__main__":
    asked = sys.argv[1:] or list(PARTS)
    if unknown := set(asked) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for part in asked:
        PARTS[part]()

from dataclasses import replace

import numpy as np
import pytest

from spine_models.phantom.body.tissue import Tissue
from spine_models.phantom.scanner.protocol import PROTOCOL, Sequence, sequence_for
from spine_models.phantom.scanner.relaxation import FAT, TABLE, Relaxation, lookup, signal

FIELDS = (0.55, 1.5, 3.0)


def test_spin_echo_by_hand():
    tissue = Relaxation(0.8, 1000, 1000, 100, 50, 1.0)
    expected = 0.8 * (1 - np.exp(-0.5)) * np.exp(-0.2)
    assert signal(Sequence("x", "se", 500, 20), tissue, 1.5) == pytest.approx(expected)


def test_inversion_recovery_is_zero_at_the_null_and_negative_before_it():
    tissue = Relaxation(1.0, 300, 300, 60, 30, 1.0)
    assert signal(Sequence("x", "ir", 1e6, 10, 300 * np.log(2)), tissue, 1.5) == pytest.approx(0, abs=1e-9)
    assert signal(Sequence("x", "ir", 1e6, 10, 30), tissue, 1.5) < -0.5


def test_spoiled_gradient_echo_peaks_at_the_ernst_angle():
    tissue = Relaxation(1.0, 600, 600, 80, 20, 1.0)
    ernst = np.rad2deg(np.arccos(np.exp(-100 / 600)))
    values = [
        signal(Sequence("x", "gre", 100, 5, flip_deg=a), tissue, 1.5) for a in (ernst - 10, ernst, ernst + 10)
    ]
    assert values[1] == max(values)


def test_diffusion_decays_by_b_times_the_coefficient():
    tissue = Relaxation(1.0, 900, 900, 80, 40, 1.3)
    sequence = sequence_for("DWI", 1.5)
    ratio = signal(sequence, tissue, 1.5, 800) / signal(sequence, tissue, 1.5, 0)
    assert ratio == pytest.approx(np.exp(-800 * 1.3e-3))


def test_contrast_agent_shortens_t1_by_its_relaxivity():
    tissue = Relaxation(1.0, 1000, 1000, 100, 50, 1.0, agent_mm=0.5)
    sequence = replace(PROTOCOL["T1+C"], te_ms=0.0)
    t1 = 1 / (1 / 1000 + 4.5 * 0.5 / 1000)
    assert signal(sequence, tissue, 1.5) == pytest.approx(1 - np.exp(-sequence.tr_ms / t1))


@pytest.mark.parametrize("field", FIELDS)
def test_contrasts_are_those_of_the_textbook(field):
    def of(name):
        water, fat = lookup(sequence_for(name, field), field, np.array([0.1, 0.95]))
        return np.abs(water + fat)

    t1, t2, stir, plain, suppressed = (of(n) for n in ("T1", "T2", "STIR", "T2", "T2-FS"))
    assert t1[Tissue.FAT] > t1[Tissue.MARROW] > t1[Tissue.MUSCLE] > t1[Tissue.CSF]
    fluids = (Tissue.CSF, Tissue.CYST, Tissue.DISCITIS)
    others = [label for label in TABLE if label not in fluids and label < Tissue.NUCLEUS]
    # A wet tumour of the cord may come near to fluid, never reach it.
    assert t2[Tissue.CSF] > t2[Tissue.CORD_TUMOUR]
    others.remove(Tissue.CORD_TUMOUR)
    assert t2[Tissue.CSF] > 1.2 * max(t2[others])
    assert t2[Tissue.NUCLEUS] > 2 * t2[Tissue.NUCLEUS + 1]
    assert stir[Tissue.OEDEMA] > 2 * stir[Tissue.MARROW]
    assert suppressed[Tissue.FAT] < 0.2 * plain[Tissue.FAT]
    assert t1[Tissue.HAEMANGIOMA] > 1.3 * t1[Tissue.MARROW]
    for name in ("T1", "T2", "STIR", "PD", "T2*"):
        image = of(name)
        assert image[Tissue.CORTEX] < 0.15 * image.max(), name


@pytest.mark.parametrize(
    "field",
    [
        0.55,
        1.5,
        3.0,
    ],
)
def test_stir_nulls_fat(field):
    sequence = sequence_for("STIR", field)
    fat = abs(signal(sequence, replace(FAT, t2=115.0), field))
    assert fat < 0.06 * abs(signal(sequence, TABLE[Tissue.CSF], field))


def test_site_variation_is_drawn_from_the_seed_and_stays_plausible():
    for name, base in PROTOCOL.items():
        one, same = (sequence_for(name, 1.5, np.random.default_rng(4)) for _ in range(2))
        assert one == same
        assert abs(one.tr_ms / base.tr_ms - 1) < 0.13
        assert one.kind == base.kind
        assert one.contrast_agent == base.contrast_agent

import numpy as np
import pytest

from spine_models.phantom.scanner.relaxation import TABLE, Relaxation, Sequence, Tissue, signal
from spine_models.phantom.vendors import PROTOCOL, sequence_for

FIELDS = (1.5, 3.0)


def test_spin_echo_by_hand():
    tissue = Relaxation(0.8, 1000, 1000, 100, 50)
    expected = 0.8 * (1 - np.exp(-0.5)) * np.exp(-0.2)
    assert signal(Sequence("x", "se", 500, 20), tissue, 1.5) == pytest.approx(expected)


def test_inversion_recovery_is_zero_at_the_null_of_a_long_repetition():
    tissue = Relaxation(1.0, 300, 300, 60, 30)
    at_null = signal(Sequence("x", "ir", 1e6, 10, 300 * np.log(2)), tissue, 1.5)
    assert at_null == pytest.approx(0, abs=1e-9)
    assert signal(Sequence("x", "ir", 1e6, 10, 30), tissue, 1.5) > 0.5


def test_spoiled_gradient_echo_peaks_at_the_ernst_angle():
    tissue = Relaxation(1.0, 600, 600, 80, 20)
    ernst = np.rad2deg(np.arccos(np.exp(-100 / 600)))
    angles = [ernst - 10, ernst, ernst + 10]
    values = [signal(Sequence("x", "gre", 100, 5, flip_deg=a), tissue, 1.5) for a in angles]
    assert values[1] == max(values)


@pytest.mark.parametrize("field", FIELDS)
def test_contrasts_are_those_of_the_textbook(field):
    s = {
        name: {t: signal(sequence_for(name, field), TABLE[t], field) for t in TABLE if t != Tissue.AIR}
        for name in PROTOCOL
    }
    t1, t2, stir = s["T1"], s["T2"], s["STIR"]
    assert t1[Tissue.FAT] > t1[Tissue.MARROW] > t1[Tissue.MUSCLE] > t1[Tissue.CSF]
    fluids = (Tissue.CSF, Tissue.CYST)
    assert t2[Tissue.CSF] > 1.2 * max(value for tissue, value in t2.items() if tissue not in fluids)
    assert t2[Tissue.NUCLEUS] > 2 * t2[Tissue.ANNULUS]
    assert stir[Tissue.FAT] < 0.15 * stir[Tissue.CSF]
    assert t1[Tissue.OEDEMA] < 0.75 * t1[Tissue.MARROW]
    assert stir[Tissue.OEDEMA] > 3 * stir[Tissue.MARROW]
    assert t1[Tissue.HAEMANGIOMA] > 1.3 * t1[Tissue.MARROW]
    assert t2[Tissue.HAEMANGIOMA] > 1.5 * t2[Tissue.MARROW]
    assert all(values[Tissue.CORTEX] < 0.1 * max(values.values()) for values in s.values())

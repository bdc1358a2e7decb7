"""Lakes that break one rule of the trainings each."""

from __future__ import annotations

import math
from collections.abc import Callable

from tests.sql.tiny_lake import key

NAN = math.nan


TRAINING_CASES: list[tuple[str, Callable]] = [
    ("backbone__loss_finite", lambda lake: lake.change("backbone.curves", ibot=math.inf)),
    ("backbone__loss_finite", lambda lake: lake.change("backbone.curves", loss=NAN)),
    ("backbone__steps_increase", lambda lake: lake.repeat("backbone.curves")),
    ("backbone__steps_increase", lambda lake: lake.change("backbone.gram_curves", step=-1)),
    ("backbone__gram_loss_finite", lambda lake: lake.change("backbone.gram_curves", gram=NAN)),
    ("backbone__only_train_patients", lambda lake: lake.change("backbone.patients", patient_key=key("ben"))),
    (
        "backbone__only_train_patients",
        lambda lake: lake.change("backbone.patients", where={"patient_key": key("cem")}, role="train"),
    ),
    (
        "backbone__gram_only_train_patients",
        lambda lake: lake.change("backbone.gram_patients", patient_key=key("nobody")),
    ),
    ("clip__only_train_patients", lambda lake: lake.change("clip.patients", patient_key=key("ben"))),
    (
        "clip__only_train_patients",
        lambda lake: lake.change("clip.patients", where={"role": "held_out"}, patient_key=key("ben")),
    ),
    (
        "ablations__only_train_patients",
        lambda lake: lake.change("ablations.gates_scalar_patients", patient_key=key("ben")),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"is_reference": False}, relative_gain=0.2),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"is_reference": True}, n_studies=9),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"variant": "concat"}, relative_gain=1.0),
    ),
    (
        "ablations__gain_matches_its_values",
        lambda lake: lake.change("ablations.scores", where={"variant": "concat"}, conditions=1),
    ),
    (
        "ablations__scores_in_range",
        lambda lake: lake.change("ablations.scores", where={"variant": "with_gram"}, high=1.1),
    ),
    (
        "ablations__scores_in_range",
        lambda lake: lake.change("ablations.scores", where={"variant": "bi_modal"}, reason=None),
    ),
    (
        "ablations__scores_in_range",
        lambda lake: lake.change("ablations.scores", where={"variant": "bi_modal"}, evaluation="cv"),
    ),
    (
        "ablations__only_test_patients_ask",
        lambda lake: lake.change("ablations.aligned", patient_key=key("ann")),
    ),
    ("clip__loss_finite", lambda lake: lake.change("clip.curves", loss=math.inf)),
    ("clip__recall_in_range", lambda lake: lake.change("clip.retrieval", recall_1=1.5)),
    ("clip__recall_in_range", lambda lake: lake.change("clip.retrieval", median_rank=9.0)),
    ("synthesizer__only_train_patients", lambda lake: lake.change("synthesizer.patients", role="looked at")),
    (
        "synthesizer__align_only_train_patients",
        lambda lake: lake.change("synthesizer.align_patients", patient_key=key("ben")),
    ),
    ("synthesizer__align_loss_finite", lambda lake: lake.change("synthesizer.align_curves", grad_norm=NAN)),
    ("synthesizer__recall_in_range", lambda lake: lake.change("synthesizer.retrieval", recall_5=0.25)),
    ("synthesizer__loss_finite", lambda lake: lake.change("synthesizer.curves", dino=NAN)),
    ("synthesizer__gates_are_weights", lambda lake: lake.change("synthesizer.gates", weight_t1=0.5)),
    ("synthesizer__every_layer_has_its_gate", lambda lake: lake.drop("synthesizer.gates", layer=0)),
    ("synthesizer__every_layer_has_its_gate", lambda lake: lake.repeat("synthesizer.gates")),
]

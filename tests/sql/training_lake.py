"""The frozen manifest and one training of every stage, of the valid lake."""

from __future__ import annotations

import polars as pl

from spine_models.domain import condition_keys
from tests.sql.tiny_lake import Lake, key


def add_manifest(lake: Lake) -> None:
    slices = lake.frame("shards.slices").filter(pl.col("split") != "test")
    tars = slices.group_by("batch_key", "route", "split", "shard", maintain_order=True).agg(
        pl.len().alias("n_slices"), pl.col("patient_key").n_unique().alias("n_patients")
    )
    for tar in tars.iter_rows(named=True):
        lake.add("shards.manifest", **tar, sha256=key(tar["shard"]))


def add_training(lake: Lake) -> None:
    for table, routes in (
        ("backbone.curves", ("t1", "t2")),
        ("backbone.gram_curves", ("t1", "t2")),
        ("synthesizer.curves", ("all",)),
    ):
        gram = {"gram": 0.1} if table == "backbone.gram_curves" else {}
        for route in routes:
            for step in range(1, 4):
                losses = dict.fromkeys(("loss", "dino", "ibot", "koleo", "grad_norm"), 4.0 - step)
                probe = 5.0 if step == 2 else None
                lake.add(table, route=route, step=step, **losses, **gram, effective_rank=probe)
    for step in range(1, 4):
        for table in ("clip.curves", "synthesizer.align_curves"):
            lake.add(table, step=step, epoch=0, loss=4.0 - step, grad_norm=1.0)
    found = {"n": 4, "recall_1": 0.5, "recall_5": 1.0, "median_rank": 1.5}
    chance = {"chance_recall_1": 0.25, "chance_recall_5": 1.0, "chance_median_rank": 2.5}
    for query, gallery in (("t1", "report"), ("report", "t1")):
        lake.add("clip.retrieval", query=query, gallery=gallery, **found, **chance)
    for stage in ("before", "after"):
        about = {"stage": stage, "series": "all", "query": "study", "gallery": "report"}
        lake.add("synthesizer.retrieval", **about, **found, **chance)
    for series in lake.rows["sequences.series"][:2]:
        for layer in range(2):
            lake.add(
                "synthesizer.gates", series_key=series["series_key"], contrast=series["contrast"], layer=layer,
                weight_t1=0.25, weight_t2=0.75, n_slices=2,
            )  # fmt: skip
    for table, training, routes in (
        ("backbone.patients", "pretrain", ("t1", "t2")),
        ("backbone.gram_patients", "anchor", ("t1", "t2")),
        ("clip.patients", "align", ("all",)),
        ("synthesizer.patients", "synthesize", ("all",)),
        ("synthesizer.align_patients", "align_gates", ("all",)),
        ("ablations.clip_bi_modal_patients", "align", ("all",)),
        ("ablations.clip_concat_patients", "align", ("all",)),
        ("ablations.gates_scalar_patients", "align_gates", ("all",)),
    ):
        for route in routes:
            for patient, role in (("ann", "train"), ("dot", "train"), ("cem", "held_out")):
                lake.add(table, training=training, route=route, patient_key=key(patient), role=role, n=2)
    about = {
        "question": "gram",
        "sequence_set": "t1",
        "evaluation": "test",
        "measure": "auroc",
        "n_studies": 3,
    }
    about |= {"conditions": 1, "low": 0.5, "high": 0.9}
    gain = {"relative_gain": 0.8 / 0.5 - 1, "relative_gain_low": -0.1, "relative_gain_high": 1.5}
    lake.add("ablations.scores", variant="with_gram", is_reference=True, value=0.8, **about)
    lake.add(
        "ablations.scores",
        variant="without_gram",
        is_reference=False,
        value=0.5,
        difference=0.8 - 0.5,
        **gain,
        **about,
    )
    recall = about | {"question": "alignment", "measure": "recall_at_5", "conditions": None, "n_studies": 2}
    lake.add("ablations.scores", variant="tri_modal", is_reference=True, value=0.5, **recall)
    nothing = recall | {"low": 0.0, "high": 0.0, "reason": "nothing is gained over nothing"}
    lake.add("ablations.scores", variant="concat", is_reference=False, value=0.0, difference=0.5, **nothing)
    without = recall | {"low": None, "high": None, "n_studies": 0, "reason": "no text side"}
    lake.add("ablations.scores", variant="bi_modal", is_reference=False, **without)
    ben = {"patient_key": key("ben"), "study_key": lake.first("shards.slices", split="test")["study_key"]}
    for side in ("t1", "report"):
        lake.add(
            "ablations.aligned", question="alignment", variant="tri_modal", side=side, model_version="c1",
            vector=[0.6, 0.8], **ben,
        )  # fmt: skip
    for patient, role in (("ann", "train"), ("dot", "train"), ("cem", "held_out")):
        lake.add(
            "localization.patients",
            training="localize",
            route="all",
            patient_key=key(patient),
            role=role,
            n=2,
        )
    for region in ("lumbar", "all"):
        lake.add(
            "localization.level_scores", region=region, method="model", status="evaluated", n_patients=1,
            n_annotations=1, exact=1.0, within_one=1.0, ece=0.1, uncertain=0.0, exact_certain=1.0,
        )  # fmt: skip
    for condition in condition_keys():
        for method, overlap in (("model", 0.4), ("image_centre", 0.1)):
            seen = condition == "canal"
            values = {
                "slice_auroc": 0.9,
                "slice_top1": 1.0,
                "iou": overlap,
                "iou_over_25": 1.0,
                "iou_over_50": 0.0,
            }
            lake.add(
                "localization.scores", condition=condition, supervision="supervised", method=method,
                status="evaluated" if seen else "not_evaluable", reason=None if seen else "no slice is annotated",
                n_patients=int(seen), n_studies=int(seen), n_slices=int(seen), **(values if seen else {}),
            )  # fmt: skip
        for encoder, auroc in (("spinefm", 0.8), ("pixel_pca", 0.7)):
            for evaluation in ("cv", "test"):
                names = ("auroc", "auprc", "brier", "ece", "sensitivity")
                scores = dict.fromkeys(f"{name}{end}" for name in names for end in ("", "_low", "_high"))
                if condition == "canal":
                    scores = dict.fromkeys(scores, auroc)
                lake.add(
                    "probes.metrics", condition=condition, encoder=encoder, head="linear", sequence_set="all",
                    evaluation=evaluation, specificity=0.9,
                    status="evaluated" if condition == "canal" else "not_evaluable",
                    reason=None if condition == "canal" else "no positives", n_studies=3, n_positive=1, **scores,
                )  # fmt: skip
    for evaluation in ("cv", "test"):
        names = {"head": "linear", "sequence_set": "all", "evaluation": evaluation}
        for encoder, auroc in (("spinefm", 0.8), ("pixel_pca", 0.7)):
            ends = {"auroc": auroc, "auroc_low": auroc - 0.1, "auroc_high": auroc + 0.1}
            lake.add(
                "probes.summary", **names, encoder=encoder, status="evaluated", n_conditions=1, conditions=["canal"],
                n_studies=3, n_patients=3, **ends, **{n.replace("roc", "prc"): v for n, v in ends.items()},
            )  # fmt: skip
        for condition, metric in ((None, "auroc"), (None, "auprc"), ("canal", "auroc"), ("pars", "auroc")):
            pair = {"metric": metric, "condition": condition, "encoder": "spinefm", "against": "pixel_pca"}
            pair |= {"against_head": "linear", "best_baseline": True}
            if condition == "pars":
                found = {"status": "not_evaluable", "reason": "no positives", "n_conditions": 0}
            else:
                found = {
                    "status": "evaluated", "n_conditions": 1, "n_studies": 3, "value": 0.8, "against_value": 0.7,
                    "difference": 0.1, "difference_low": -0.1, "difference_high": 0.2, "relative_gain": 1 / 7,
                    "relative_gain_low": -0.1, "relative_gain_high": 0.3, "p_bootstrap": 0.2,
                }  # fmt: skip
            lake.add("probes.comparisons", **names, **pair, **found)

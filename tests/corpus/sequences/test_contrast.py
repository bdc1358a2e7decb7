from __future__ import annotations

import dataclasses

import pytest

from spine_models.corpus.sequences.contrast import judge
from spine_models.corpus.sequences.physics import by_physics
from spine_models.corpus.sequences.verdict import Facts, plausible
from spine_models.domain import Contrast as C

NONE = Facts()
SE = Facts(
    scanning_sequence="SE",
    sequence_variant="SK\\SP",
    acquisition_type="2D",
    flip_deg=150,
    echo_train_length=12,
)
T1 = dataclasses.replace(SE, tr_ms=600, te_ms=10, echo_train_length=3)
T2 = dataclasses.replace(SE, tr_ms=3500, te_ms=100)
PD = dataclasses.replace(SE, tr_ms=3000, te_ms=25)
STIR = dataclasses.replace(SE, tr_ms=4000, te_ms=60, ti_ms=180, scanning_sequence="SE\\IR")
T1_FLAIR = dataclasses.replace(SE, tr_ms=2000, te_ms=12, ti_ms=860, scanning_sequence="SE\\IR")
GRE = Facts(scanning_sequence="GR", acquisition_type="2D", flip_deg=25, tr_ms=500, te_ms=14)
MPRAGE = Facts(scanning_sequence="GR\\IR", acquisition_type="3D", flip_deg=9, tr_ms=2000, te_ms=3, ti_ms=1000)
SPACE = Facts(
    scanning_sequence="SE", acquisition_type="3D", flip_deg=120, tr_ms=1500, te_ms=120, echo_train_length=80
)
EPI = Facts(scanning_sequence="EP\\SE", tr_ms=3000, te_ms=80)
MT = Facts(
    scanning_sequence="GR", sequence_variant="MTC\\SP", acquisition_type="3D", flip_deg=9, tr_ms=35, te_ms=3
)

NAMED = [
    ("t1_tse_sag", T1, C.T1), ("SAG T1 FSE", T1, C.T1), ("sT1W_TSE", T1, C.T1), ("Sagittal T1-weighted", T1, C.T1),
    ("sagT1", T1, C.T1), ("WIP T1W TSE", T1, C.T1), ("SAG_T1W_SE", T1, C.T1),
    ("SAG T2 FSE", T2, C.T2), ("T2W_TSE", T2, C.T2), ("sT2W_TSE SENSE", T2, C.T2), ("T2WI SAG", T2, C.T2),
    ("AX T2 PROPELLER", T2, C.T2), ("OAx T2", T2, C.T2), ("myelo haste", NONE, C.T2), ("SAG CUBE T2", SPACE, C.T2),
    ("t2_spc_sag_p2_iso", SPACE, C.T2), ("T2 VISTA", NONE, C.T2),
    ("STIR_longTE", STIR, C.STIR), ("t2_tirm_sag", STIR, C.STIR), ("TIRM sag", STIR, C.STIR), ("SAG STIR", T2, C.STIR),
    ("Sag T1 FLAIR", T1_FLAIR, C.T1), ("t1_tirm_sag dark-fluid", T1_FLAIR, C.T1), ("T1 IR TSE", T1_FLAIR, C.T1),
    ("T1 TSE SAG +C", T1, C.T1_CONTRAST), ("t1_tse_sag_post_gd", T1, C.T1_CONTRAST), ("AX T1 POST", T1, C.T1_CONTRAST),
    ("SAG T1 FS C+", T1, C.T1_CONTRAST), ("T1 SAG KM", T1, C.T1_CONTRAST), ("T1 C+ FAT SAT", T1, C.T1_CONTRAST),
    ("t1_tse_sag pre", T1, C.T1), ("AX T1 W/O", T1, C.T1), ("T1 post op", T1, C.T1), ("T1 SAG ohne KM", T1, C.T1),
    ("T1 nativ", T1, C.T1), ("T1 non contrast", T1, C.T1),
    ("SAG T2 FS", T2, C.T2_FAT_SAT), ("T2 SPAIR SAG", T2, C.T2_FAT_SAT), ("SAG T2 FATSAT", T2, C.T2_FAT_SAT),
    ("t2_tse_fs_sag", T2, C.T2_FAT_SAT), ("T2 fat sat", T2, C.T2_FAT_SAT),
    ("PD_TSE_sag", PD, C.PD), ("SAG PROTON DENSITY", PD, C.PD), ("pd_tse_fs", PD, C.PD),
    ("AX MERGE", GRE, C.T2_STAR), ("t2_me2d_tra", GRE, C.T2_STAR), ("T2* GRE AX", GRE, C.T2_STAR),
    ("MEDIC tra", GRE, C.T2_STAR), ("T2W_FFE", GRE, C.T2_STAR), ("mFFE", GRE, C.T2_STAR), ("AX 2D GRE", GRE, C.T2_STAR),
    ("ep2d_diff_sag", EPI, C.DWI), ("DWI b800", NONE, C.DWI), ("RESOLVE_TRACEW", NONE, C.DWI),
    ("sag b1000", NONE, C.DWI),
    ("ADC map", NONE, C.ADC), ("dADC", NONE, C.ADC),
    ("GRE-MT1", MT, C.MT), ("GRE-MT0", dataclasses.replace(MT, sequence_variant="SP"), C.MT),
    ("localizer", NONE, C.LOCALIZER), ("3-pl Loc FGRE", NONE, C.LOCALIZER), ("Survey", NONE, C.LOCALIZER),
    ("T2 HASTE LOC", T2, C.LOCALIZER), ("SCOUT", GRE, C.LOCALIZER),
    ("t2_spc_sag_MPR_tra", T2, C.DERIVED), ("MIP", NONE, C.DERIVED), ("T1 SUB", T1, C.DERIVED),
    ("t1_mprage_sag", MPRAGE, C.T1), ("SAG BRAVO", NONE, C.T1),
    ("t2_tse_dixon_sag_W", T2, C.DIXON_WATER), ("t2_tse_dixon_sag_F", T2, C.DIXON_FAT),
    ("t2_tse_dixon_sag_in", T2, C.DIXON_IN), ("t2_tse_dixon_sag_opp", T2, C.DIXON_OPPOSED),
    ("WATER: Sag T2 IDEAL", T2, C.DIXON_WATER), ("InPhase: Sag T2 FLEX", T2, C.DIXON_IN),
    ("T1 SAG nach KM", T1, C.T1_CONTRAST), ("T1 SAG vor KM", T1, C.T1), ("T1 apres injection", T1, C.T1_CONTRAST),
    ("T1 SANS INJ", T1, C.T1), ("T1 AX DOPO MDC", T1, C.T1_CONTRAST), ("T1 prima mdc", T1, C.T1), ("T1 S/C", T1, C.T1),
    ("T1 CON CONTRASTE", T1, C.T1_CONTRAST), ("T1 SEM CONTRASTE", T1, C.T1), ("T1 po kontrascie", T1, C.T1_CONTRAST),
    ("T1 bez kontrastu", T1, C.T1), ("T1 WO CONTRAST", T1, C.T1), ("T1 zonder contrast", T1, C.T1),
    ("T2 TSE SAT GRAISSE", T2, C.T2_FAT_SAT), ("T2 SUP GRASA", T2, C.T2_FAT_SAT), ("T2 fettges sag", T2, C.T2_FAT_SAT),
    ("DP TSE SAG", PD, C.PD), ("t2_tirm_sag_dark-fat", STIR, C.STIR), ("T2*W FE SAG", GRE, C.T2_STAR),
    ("T2 DIXON SAG FUERA DE FASE", T2, C.DIXON_OPPOSED), ("T2 DIXON SAG EN FASE", T2, C.DIXON_IN),
    ("T2 Dixon Wasser", T2, C.DIXON_WATER), ("T2W_mDIXON_TSE_OP", T2, C.DIXON_OPPOSED),
    ("FSE T2 WFOP Fat", T2, C.DIXON_FAT),
    ("Locator 3ax", NONE, C.LOCALIZER), ("REPERAGE 3 PLANS", NONE, C.LOCALIZER), ("T1 SOUSTRACTION", T1, C.DERIVED),
    ("isoDWI_SSh", NONE, C.DWI), ("t2_ciss3d_sag", NONE, C.OTHER),
    ("Sag T2 FLAIR", NONE, C.OTHER), ("TOF neck", NONE, C.OTHER), ("CISS tra", NONE, C.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("name", "timing", "contrast"), NAMED)
def test_names_of_many_sites_with_their_timing(name, timing, contrast):
    verdict = judge(dataclasses.replace(timing, series_description=name))
    assert verdict.contrast is contrast
    assert verdict.confidence >= 0.5


@pytest.mark.parametrize(
    ("timing", "contrast"),
    [
        (T1, C.T1), (T2, C.T2), (PD, C.PD), (STIR, C.STIR), (T1_FLAIR, C.T1), (GRE, C.T2_STAR), (MPRAGE, C.T1),
        (SPACE, C.T2), (EPI, C.DWI), (MT, C.MT),
        (dataclasses.replace(T2, scan_options="FS"), C.T2_FAT_SAT),
        (dataclasses.replace(T1, has_contrast_agent=True), C.T1_CONTRAST),
        (dataclasses.replace(STIR, tr_ms=5000, ti_ms=240), C.STIR),
        (dataclasses.replace(STIR, ti_ms=110), C.STIR),
        (dataclasses.replace(T2, ti_ms=2200, te_ms=120, tr_ms=8000), C.OTHER),
    ],
)  # fmt: skip
def test_timing_alone(timing, contrast):
    verdict = judge(timing)
    assert verdict.contrast is contrast
    assert 0.5 <= verdict.confidence < 0.96


@pytest.mark.parametrize(
    "timing",
    [
        NONE,
        dataclasses.replace(T2, tr_ms=800),
        dataclasses.replace(T2, echo_train_length=61, te_ms=70),
        dataclasses.replace(MT, sequence_variant="SP"),
        Facts(flip_deg=90, tr_ms=3000, te_ms=63),
        Facts(tr_ms=500, te_ms=10),
    ],
)
def test_timing_that_could_be_several_things_abstains(timing):
    assert judge(timing).confidence < 0.5


def test_agreement_is_surer_than_either_source():
    both = judge(dataclasses.replace(T1, series_description="t1_tse_sag"))
    assert both.confidence > max(
        judge(T1).confidence, judge(Facts(series_description="t1_tse_sag")).confidence
    )
    assert both.disagreement is None
    assert "t1" in both.rule
    assert "short_tr_short_te" in both.rule


@pytest.mark.parametrize(
    ("name", "timing"), [("t1_tse", T2), ("t2_tse", T1), ("T1 FLAIR", STIR), ("STIR", T1_FLAIR)]
)
def test_a_contradiction_is_named_and_loses_confidence(name, timing):
    verdict = judge(dataclasses.replace(timing, series_description=name))
    assert verdict.disagreement is not None
    assert "text says" in verdict.disagreement
    assert verdict.confidence < 0.5


def test_a_t2_with_fat_nulled_by_inversion_is_a_stir_and_says_so():
    verdict = judge(dataclasses.replace(STIR, series_description="SAG T2 FS"))
    assert verdict.contrast is C.STIR
    assert verdict.disagreement == "text says T2-FS, timing says STIR"


def test_contrast_agent_changes_t1_alone_and_its_contradiction_is_named():
    given = dataclasses.replace(T1, series_description="t1_tse_sag", has_contrast_agent=True)
    assert judge(given).contrast is C.T1_CONTRAST
    assert judge(dataclasses.replace(T2, series_description="t2", has_contrast_agent=True)).contrast is C.T2
    before = judge(dataclasses.replace(given, series_description="t1 pre"))
    assert before.contrast is C.T1
    assert before.disagreement is not None
    exam = dataclasses.replace(T1, series_description="T1 SAG", protocol_name="LSPINE W WO")
    assert judge(exam).contrast is C.T1


@pytest.mark.parametrize(
    ("image_type", "name", "contrast"),
    [
        ("DERIVED\\PRIMARY\\W\\W\\DERIVED", "T2 mDIXON TSE", C.DIXON_WATER),
        ("DERIVED\\PRIMARY\\M\\DIXON\\IN_PHASE", "t2_tse_dixon", C.DIXON_IN),
        ("DERIVED\\PRIMARY\\W\\W\\DERIVED", "T1 mDIXON", C.T1),
        ("DERIVED\\PRIMARY\\F\\F\\DERIVED", "T1 mDIXON", C.OTHER),
        ("DERIVED\\PRIMARY\\DIFFUSION\\ADC", "", C.ADC),
        ("DERIVED\\PRIMARY\\DIFFUSION\\TRACEW", "", C.DWI),
        ("ORIGINAL\\PRIMARY\\LOCALIZER", "sag", C.LOCALIZER),
        ("DERIVED\\SECONDARY\\MPR", "T2 sag", C.DERIVED),
        ("DERIVED\\SECONDARY\\PROJECTION IMAGE", "T2 sag", C.DERIVED),
        ("ORIGINAL\\PRIMARY\\P\\ND", "T2* sag", C.OTHER),
        ("DERIVED\\PRIMARY\\M\\COMPOSED", "t2_tse_sag_COMPOSED", C.T2),
    ],
)
def test_image_types(image_type, name, contrast):
    verdict = judge(dataclasses.replace(T2, image_type=image_type, series_description=name))
    assert verdict.contrast is contrast


def test_the_description_outranks_the_protocol_name():
    facts = Facts(series_description="t2_tse_sag", protocol_name="T1 T2 routine")
    assert judge(facts).contrast is C.T2
    only_protocol = judge(Facts(series_description="sag", protocol_name="T1W"))
    assert only_protocol.contrast is C.T1
    assert only_protocol.confidence < judge(Facts(series_description="T1W")).confidence


def test_a_diffusion_weighting_outranks_the_timing():
    assert by_physics(dataclasses.replace(T2, b_value=800)).contrast is C.DWI


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        (dataclasses.replace(T2, te_ms=0.1), T2),
        (dataclasses.replace(T2, tr_ms=3.5), T2),
        (dataclasses.replace(T2, echo_train_length=0), dataclasses.replace(T2, echo_train_length=None)),
        (dataclasses.replace(STIR, ti_ms=0.18), STIR),
    ],
)
def test_times_in_seconds_and_zeros_are_put_right(broken, whole):
    assert judge(broken) == judge(whole)


def test_short_times_of_gradient_echoes_stay_what_they_are():
    short = dataclasses.replace(MPRAGE, tr_ms=4.0, te_ms=1.7)
    assert plausible(short) == short

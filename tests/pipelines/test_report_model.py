"""``spineagent report`` with a report model: a tiny one that learned one study's report, opened from a lake and asked.

Encoders are drawn, heads answer as told; the folder is read, the model opened and its text linked as in the lake.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import polars as pl
import pytest
import torch
import yaml
from typer.testing import CliRunner

from assets.reporting.llava import texts
from pipelines import study_report
from pipelines.cli import app
from pipelines.runtime.report_model import DECODER, TUNED, asked_studies
from pipelines.runtime.resources import Hospital
from pipelines.study import read_study
from spine_models.corpus.deid import new_key_file
from spine_models.domain import condition_keys
from spine_models.reporting.agents import Published, diagnose
from spine_models.reporting.agents.serialised import SPECIAL_TOKENS
from spine_models.reporting.llava.adapters import save_llava
from spine_models.reporting.llava.decoder import decoder_version, open_decoder
from spine_models.reporting.llava.examples import Conditioning, ReportStudy, report_question
from spine_models.reporting.llava.fitness import measure_fitness
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.projector import Projector
from spine_models.reporting.llava.sequence import Turn
from spine_models.reporting.llava.studies import encoders_of
from spine_models.reporting.llava.writing import NOT_TRAINED, OTHER_ENCODER
from tests.conftest import tiny_profile
from tests.pipelines.drawn_encoders import publish_encoders
from tests.pipelines.hospital_inbox import write_slice
from tests.reporting.conftest import StubHeads
from tests.reporting.llava.parts import tiny_decoder, tiny_tokenizer

BATCH = "study-0001"
TEXT = "FINDINGS:\nThere is a disc herniation. No fracture. The conus ends at L1.\nIMPRESSION:\n1. Disc herniation."
"""What the model learns to write; of the conus no claim says anything."""


class Site(NamedTuple):
    hospital: Hospital
    folder: Path
    agents: Published
    version: str
    card: dict[str, Any]
    unfit: dict[str, Any]
    """What was measured before the model was taught."""


def publish(hospital: Hospital, key: tuple[str, str], card: dict[str, Any], files: Path) -> None:
    """An artifact of these files."""
    with hospital.draft(key) as draft:
        for file in files.iterdir():
            (draft.folder / file.name).write_bytes(file.read_bytes())
        draft.card = {"training": card}


def untaught(study: ReportStudy, decoder: Path) -> Llava:
    """The report model at random; its tokenizer is written into the decoder's folder."""
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(decoder)
    opened = tiny_decoder(tokenizer, context=2048)
    torch.manual_seed(2)
    projector = Projector(study.images.vectors.shape[1], opened.config.hidden_size, queries=4, heads=2)
    return Llava(opened, tokenizer, projector, special_tokens=SPECIAL_TOKENS, max_length=2048)


def teach(llava: Llava, study: ReportStudy, decoder: Path) -> None:
    """Teach it the study's report by heart; the decoder's weights go into its folder."""
    llava.decoder.requires_grad_(True)
    optimiser = torch.optim.Adam(llava.parameters(), lr=5e-3)
    turns = [Turn(report_question(study, Conditioning.DRAFT), TEXT)]
    batch = llava.batch([llava.encode(turns)], [study.images])
    for _ in range(300):
        loss = llava.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.01:
            break
    llava.decoder.save_pretrained(decoder)
    llava.eval()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A hospital with drawn encoders and a fit report model, and a study folder of patient 1."""
    root = tmp_path_factory.mktemp("site")
    new_key_file(root / "key")
    profile = tiny_profile(root)
    document = yaml.safe_load(profile.read_text())
    document["llava"] |= {"max_new_tokens": 96, "min_fit_claims": 1}
    profile.write_text(yaml.safe_dump(document))
    hospital = Hospital(profile=str(profile), home=str(root / "home"), key_file=str(root / "key"))
    publish_encoders(hospital)
    for series in (1, 2):
        for index in range(3):
            write_slice(root / f"study/{series}_{index}", patient=1, series=series, index=index)
    with read_study(hospital, root / "study") as study:
        made = encoders_of(study.slice_vectors)
        heads = StubHeads(
            dict.fromkeys(condition_keys(), 0.01) | {"herniation": 0.99},
            model_versions={route: versions[1] for route, versions in made.items()},
            preprocessing_versions={route: versions[2] for route, versions in made.items()},
        )
        claims = diagnose(
            study.studies,
            study.study_vectors,
            study.series,
            study.slices,
            heads,
            settings=hospital.numbers.agents,
        )
        (asked,), encoders = asked_studies(hospital, study.studies, claims, study.slices, study.slice_vectors)
        for key, frame in {
            ("deid", "studies"): study.studies,
            ("agents", "claims"): claims,
            ("shards", "slices"): study.slices,
            ("embeddings", "slices"): study.slice_vectors,
        }.items():
            hospital.lake.write_table(key, BATCH, frame)
    decoder, tuned = root / "decoder", root / "tuned"
    decoder.mkdir()
    llava = untaught(asked, decoder)
    unfit = measure_fitness(llava, [asked], hospital.numbers.llava).card
    teach(llava, asked, decoder)
    number = decoder_version(decoder)
    version = save_llava(tuned, llava, decoder_version=number, trained="tuned")
    publish(hospital, DECODER, {"trained": True, "version": number}, decoder)
    fit = measure_fitness(llava, [asked], hospital.numbers.llava).card
    card = {"trained": True, "version": version, "parents": {"encoders": encoders}} | fit
    publish(hospital, TUNED, card, tuned)
    return Site(hospital, root / "study", Published(heads=heads), version, card, unfit)


@pytest.fixture
def report(site: Site, monkeypatch: pytest.MonkeyPatch):
    """The command on the study folder."""
    monkeypatch.setattr(study_report, "published_agents", lambda _: site.agents)
    monkeypatch.setattr(Hospital, "from_settings", classmethod(lambda cls, settings: site.hospital))

    def run(*options: str) -> Any:
        result = CliRunner().invoke(app, ["report", str(site.folder), *options])
        assert result.exit_code == 0, result.output
        return result

    return run


@pytest.fixture
def told_otherwise(site: Site) -> Iterator[Any]:
    """Publishes the report model with another card; the right one is back afterwards."""
    files = site.hospital.current(TUNED)

    def tell(**changes: Any) -> None:
        publish(site.hospital, TUNED, site.card | changes, files)

    yield tell
    tell()


def test_the_model_that_learned_it_is_fit_by_the_rule_of_the_lake_and_was_not_before(site):
    assert site.card["fit_for_drafts"]
    assert not site.unfit["fit_for_drafts"]


def test_a_fit_model_writes_the_draft_and_every_sentence_is_linked(site, report):
    result = report("--format", "json")
    (document,) = json.loads(result.stdout)
    assert document["draft"]["writer"] == site.version
    assert document["draft"]["reason"] is None
    sentences = [s for section in document["sections"] for s in section["sentences"]]
    matched = [s["text"] for s in sentences if s["linked_by"] == "matched"]
    assert "There is a disc herniation." in matched
    assert "No fracture." in matched
    assert [gone["text"] for gone in document["removed"]] == ["The conus ends at L1."]
    claims = {claim["claim_key"] for claim in document["claims"]}
    assert {key for s in sentences for key in s["claims"]} == claims, "what it left unsaid is added"
    assert f"the draft: written by the report model, version {site.version}, and 1 of its" in result.stderr
    assert "templates" not in result.stderr
    assert "There is a disc herniation." in report().stdout


def test_the_asset_and_the_command_have_the_model_write_the_same(site):
    lake = site.hospital.lake
    compute = texts.written.node_def.compute_fn.decorated_fn
    tables = (lake.read_table(key, [BATCH]) for key in (("deid", "studies"), ("agents", "claims")))
    result, check = compute(SimpleNamespace(partition_key=BATCH), site.hospital, *tables)
    assert check.passed
    assert result.value.select("text", "stopped", "model_version").rows() == [(TEXT, True, site.version)]


def test_templates_can_be_asked_for(site, report, monkeypatch):
    monkeypatch.setattr(study_report, "draft_texts", lambda *_: pytest.fail("the model was asked"))
    result = report("--template")
    assert "the draft: templates stand in: --template was given" in result.stderr
    assert "There is a disc herniation." not in result.stdout
    assert "Disc herniation" in result.stdout


def test_a_model_that_is_not_fit_leaves_it_to_templates_and_says_why(site, report, told_otherwise):
    told_otherwise(**site.unfit)
    result = report()
    assert "the draft: templates stand in: on held-out studies the report model said 0%" in result.stderr
    assert "There is a disc herniation." not in result.stdout


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ({"trained": False, "reason": "3 reports"}, f"{NOT_TRAINED}: 3 reports"),
        ({"parents": {"encoders": {"t1": ["e", "m", "p"]}}}, OTHER_ENCODER),
    ],
)
def test_a_model_that_cannot_write_leaves_it_to_templates_and_says_why(report, told_otherwise, card, why):
    told_otherwise(**card)
    result = report("--format", "json")
    assert f"the draft: templates stand in: {why}" in result.stderr
    (document,) = json.loads(result.stdout)
    assert (document["draft"]["writer"], document["draft"]["reason"]) == ("templates", why)


def test_without_a_model_templates_write_and_say_so(site, report, monkeypatch):
    has = type(site.hospital.lake).has_artifact
    monkeypatch.setattr(
        type(site.hospital.lake),
        "has_artifact",
        lambda lake, key, *rest: tuple(key) != TUNED and has(lake, key, *rest),
    )
    assert f"the draft: templates stand in: {NOT_TRAINED}" in report().stderr


def test_a_decoder_that_is_gone_is_named_with_its_remedy(site, monkeypatch):
    def gone(*_: object) -> Any:
        return open_decoder(site.folder.parent / "nowhere")

    monkeypatch.setattr(study_report, "published_agents", lambda _: site.agents)
    monkeypatch.setattr(Hospital, "from_settings", classmethod(lambda cls, settings: site.hospital))
    monkeypatch.setattr("spine_models.reporting.llava.decoder.located", gone)
    result = CliRunner().invoke(app, ["report", str(site.folder)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no decoder 'nowhere'" in result.stderr


def test_two_studies_are_told_apart(site, monkeypatch):
    drafts = pl.DataFrame(
        {"study_key": ["b", "a"], "writer": ["templates", "v"], "reason": ["it is so", None]}
    )
    tables = SimpleNamespace(drafts=drafts, removed=pl.DataFrame({"study_key": ["b"]}))
    assert study_report.who_wrote(tables) == [
        "the draft of study a: written by the report model, version v",
        "the draft of study b: templates stand in: it is so",
    ]

"""The template data is complete, and says what is wrong when it is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from spine_models.domain import Region, condition_keys
from spine_models.reporting.reports.template import TEMPLATES, TemplateError, load_template


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the templates with one file changed."""

    def edit(name: str, change: Callable[[dict], object]) -> Path:
        folder = tmp_path / "templates"
        shutil.copytree(TEMPLATES, folder)
        document = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        change(document)
        (folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
        return folder

    return edit


@pytest.mark.parametrize("region", list(Region))
def test_every_region_has_a_complete_template(region: Region) -> None:
    template = load_template(region)
    assert sorted(c for s in template.layout.sections for c in s.conditions) == sorted(condition_keys())
    assert set(template.findings) == set(condition_keys())
    assert len(set(template.findings.values())) == len(condition_keys())
    assert str(region) in template.language.titles


def test_cervical_cord_has_its_own_word() -> None:
    assert load_template(Region.CERVICAL).findings["compression"] == "spinal cord compression"
    assert "cauda equina" in load_template(Region.LUMBAR).findings["compression"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "lumbar.yaml",
            lambda d: d["sections"][0]["conditions"].remove("pars"),
            "sections of lumbar.yaml lack",
        ),
        ("lumbar.yaml", lambda d: d["sections"][0]["conditions"].append("canal"), "repeat canal"),
        ("lumbar.yaml", lambda d: d.update(findings={"scoliosis": "x"}), "name no condition: scoliosis"),
        ("lumbar.yaml", lambda d: d.update(colour="red"), "does not fit"),
        ("language.yaml", lambda d: d["findings"].pop("edema"), "findings of language.yaml lack edema"),
        ("language.yaml", lambda d: d["tiers"][0].remove("fracture"), "tiers of language.yaml lack fracture"),
        ("language.yaml", lambda d: d["contrasts"].pop("STIR"), "contrasts of language.yaml lack STIR"),
        ("language.yaml", lambda d: d["frames"].pop("negative"), "does not fit"),
    ],
)
def test_incomplete_templates_are_refused(edited, name: str, change, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        load_template(Region.LUMBAR, edited(name, change))


def test_version_moves_with_the_words(edited) -> None:
    folder = edited("language.yaml", lambda d: d["findings"].update(edema="marrow oedema"))
    changed, packaged = load_template(Region.LUMBAR, folder).version, load_template(Region.LUMBAR).version
    assert changed != packaged
    assert changed.rsplit("-", 1)[0] == packaged.rsplit("-", 1)[0] == "lumbar-3.2"

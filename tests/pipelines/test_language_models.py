"""A site whose profile names two language models: labels, panel and people's decisions through the whole graph."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from spine_models.domain import condition_keys
from tests.corpus.labels.llm.fake_server import FakeServer

HERE = Path(__file__).resolve().parents[2]
MODELS = ("first", "second")


class Site:
    """``spineagent`` as a person types it, in an environment that names the profile and the server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        profile = folder / "with_models.yaml"
        labels = {
            "llms": [
                {"name": name, "model": "tiny", "seed": n, "repeat_share": 0.5, "timeout_s": 20}
                for n, name in enumerate(MODELS)
            ]
        }
        small = {"archive": {"workers": 1}, "deid": {"workers": 1}}
        profile.write_text(
            yaml.safe_dump({"name": "with_models", "extends": "phantom", "labels": labels, **small})
        )
        self.environment = os.environ | {
            "SPINE_PROFILE": str(profile),
            "SPINE_ROOT": str(folder / "root"),
            "SPINE_KEY_FILE": str(folder / "pseudonym.key"),
            "SPINE_LLM_URL": ",".join(f"{name}={url}" for name in MODELS),
            "PYTHONPATH": str(HERE),
        }

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", "from pipelines.cli import main; main()", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr if code else done.stdout

    def ask(self, question: str) -> list[dict[str, object]]:
        return json.loads(self("sql", question, "--format", "json"))

    @property
    def lake(self) -> Path:
        return self.folder / "root" / "with_models" / "lake"


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from spine_models.phantom import write_hospital

    out = tmp_path_factory.mktemp("source")
    write_hospital(out, patients=3, seed=5)
    return out / "inbox"


def test_models_label_and_people_decide(inbox, tmp_path):
    with FakeServer() as server:
        site = Site(tmp_path, server.url)
        site("key", "new", str(tmp_path / "pseudonym.key"))
        site("run", str(inbox), "--through", "labels")
        (studies,) = site.ask("SELECT count(DISTINCT study_key) AS n FROM deid.reports")
        rows = site.ask(
            "SELECT labeller, count(*) AS n FROM labels.verdicts GROUP BY labeller ORDER BY labeller"
        )
        expected = studies["n"] * len(condition_keys())
        assert rows == [{"labeller": name, "n": expected} for name in ("first", "rules", "second")]
        cost = {row["labeller"]: row for row in site.ask("label_cost")}
        assert set(cost) == set(MODELS)
        assert all(row["answered"] == row["questions"] and row["cached_share"] > 0.5 for row in cost.values())
        # The two models answer alike, the rules do not: kappa tells, and three labellers have error rates.
        kappa = {
            (r["first"], r["second"]): r["kappa"]
            for r in site.ask("label_agreement")
            if r["condition"] == "all"
        }
        assert kappa[("first", "second")] == pytest.approx(1.0)
        assert kappa[("first", "rules")] < 0.5
        assert {row["labeller"] for row in site.ask("SELECT * FROM labels.raters")} == {
            "first",
            "rules",
            "second",
        }
        repeats = site.ask(
            "SELECT * FROM labels.reliability WHERE measure = 'repeat_agreement' AND condition = 'all'"
        )
        assert {row["labeller"] for row in repeats} <= set(MODELS)

        asked = len(server.asked)
        waiting = site.ask("review_queue")
        assert waiting
        decided = [(row["study_key"], row["condition"], "present") for row in waiting[:3]]
        with (site.lake / "labels" / "adjudications.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("study_key", "condition", "status"), *decided])
        site("run", str(inbox), "--through", "labels")
        assert len(server.asked) == asked, "a decision of a person asks no model again"
        left = {(row["study_key"], row["condition"]) for row in site.ask("review_queue")}
        assert not left & {(study, condition) for study, condition, _ in decided}
        consensus = site.ask(
            "SELECT study_key, condition, label FROM labels.consensus WHERE list_contains(labellers, 'adjudication')"
        )
        assert Counter(row["label"] for row in consensus) == {1: 3}

        with (site.lake / "labels" / "adjudications.csv").open("a", encoding="utf-8") as file:
            file.write(f"{decided[0][0]},gout,present\n")
        said = site("run", str(inbox), "--through", "labels", code=2)
        assert "line 5" in said
        assert "condition" in said
        assert "gout" not in said


def test_a_server_that_is_down_is_named_with_its_remedy_and_labels_nothing(inbox, tmp_path):
    with FakeServer() as server:
        url = server.url
    site = Site(tmp_path, url)
    site("key", "new", str(tmp_path / "pseudonym.key"))
    said = site("run", str(inbox), "--through", "labels", code=2)
    assert "SPINE_LLM_URL" in said
    assert not list((site.lake / "labels").glob("first/*.parquet"))
    assert not list((site.lake / "labels").glob("consensus/*.parquet"))

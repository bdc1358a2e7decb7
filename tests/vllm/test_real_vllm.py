"""A real vLLM on the CPU: does it take our schema, keep our prefixes, and lose nothing to a kill?

    make test-vllm

The weights are random, so answers are nonsense that follows the schema: quality is no matter here.
"""

from __future__ import annotations

import os
import re
import time
import urllib.request

import polars as pl
import pytest

from spine_models.config import LlmSettings
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.labels.llm import ModelMissingError, label_with_llm, serving
from spine_models.corpus.labels.llm.prompting import load_prompts
from spine_models.domain import condition_keys
from tests.corpus.labels.llm.killing import killed_after

VLLM = os.environ.get("SPINE_VLLM")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(not VLLM, reason="SPINE_VLLM names no vllm executable: make test-vllm"),
]

PARAGRAPHS = (
    "ALIGNMENT: There is grade 1 anterolisthesis of L4 on L5. Lordosis is preserved.",
    "MARROW: Old compression fracture of L1 with mild height loss. No marrow edema. Hemangioma in T12.",
    "CORD: The conus ends at L1 and is normal in signal. No intradural mass.",
    "L1-L2: No disc herniation. The canal and the foramina are patent.",
    "L2-L3: Mild disc bulge without stenosis. Facet joints are unremarkable.",
    "L3-L4: Moderate canal stenosis from a broad-based protrusion, with mild bilateral lateral recess narrowing.",
    "L4-L5: Severe canal stenosis, a 6 mm right synovial cyst, and moderate right foraminal narrowing.",
    "L5-S1: Disc space narrowing with endplate changes of Modic type 2. Possible left foraminal stenosis.",
    "PARAVERTEBRAL SOFT TISSUES: Unremarkable. Small perineural cysts at S1 on both sides.",
    "IMPRESSION: 1. Severe stenosis at L4-L5 with synovial cyst. 2. Chronic fracture of L1. 3. No infection.",
)
SERVE = (
    "--enforce-eager",
    *("--block-size", "32"),
)


def reports(count: int, first: int = 0) -> pl.DataFrame:
    """Reports of about 250 words, every one with other figures."""
    rows = []
    for i in range(first, first + count):
        body = "\n".join(PARAGRAPHS[i % 10 :] + PARAGRAPHS[: i % 10])
        text = f"EXAM: MRI of the lumbar spine, case {i}.\nFINDINGS:\n{body}\n" + " ".join(
            f"The disc at position {k} measures {5 + (i * k) % 7} mm." for k in range(8)
        )
        rows.append(("b-0001", f"p{i}", f"s{i}", f"r{i}", text))
    return pl.DataFrame(rows, schema=REPORTS, orient="row")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from tests.vllm.tiny_llama import write_tiny_llama

    folder = tmp_path_factory.mktemp("vllm")
    prompts = load_prompts("v1")
    sentences = [
        m["content"] for key in condition_keys() for m in prompts.messages("\n".join(PARAGRAPHS), key)
    ]
    weights = write_tiny_llama(folder / "model", [*sentences, *reports(20)["report_text"]])
    assert weights < 500_000
    settings = LlmSettings(
        name="tiny",
        model=str(folder / "model"),
        max_model_len=4096,
        max_tokens=1536,
        concurrency=16,
        timeout_s=300,
        serve_args=SERVE,
        execution_mode="vllm-cpu, eager",
        structured_outputs={"backend": "guidance", "disable_any_whitespace": True},
    )
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    began = time.monotonic()
    with serving(settings, log=folder / "server.log", command=VLLM, start_within_s=400) as url:
        print(f"\nserver ready after {time.monotonic() - began:.0f} s, {weights:,} weights")
        yield settings, url


def test_every_answer_follows_the_schema_and_prefixes_are_cached(served, tmp_path):
    settings, url = served
    began = time.monotonic()
    frame = reports(8)
    tables = label_with_llm(frame, settings=settings, endpoint=url, answers=tmp_path)
    seconds = time.monotonic() - began
    requests = tables.requests
    outcomes = dict(requests.group_by("outcome").len().iter_rows())
    share = requests["cached_tokens"].sum() / requests["prompt_tokens"].sum()
    print(
        f"\n{requests.height} requests in {seconds:.1f} s: {requests.height / seconds:.1f} a second; "
        f"outcomes {outcomes}; prompt {requests['prompt_tokens'].mean():.0f} tokens, cached {share:.1%}; "
        f"answer {requests['completion_tokens'].mean():.0f} tokens"
    )
    assert requests.height == 17 * frame.height
    assert outcomes == {"answered": requests.height}
    assert share >= 0.70
    assert tables.labels.height == 17 * frame.height
    assert tables.labels["confidence"].null_count() == 0


def test_a_joint_answer_follows_its_schema(served, tmp_path):
    settings, url = served
    joint = settings.model_copy(update={"prompts": "joint", "max_model_len": 4096, "max_tokens": None})
    tables = label_with_llm(reports(2, first=50), settings=joint, endpoint=url, answers=tmp_path)
    # A random model fills every string to its bound, so an answer about all may be cut off; it must never be
    # anything but whole or cut.
    assert set(tables.requests["outcome"]) <= {"answered", "truncated"}
    assert tables.labels.height == 34


def test_a_report_that_is_too_long_is_a_row_with_its_reason(served, tmp_path):
    settings, url = served
    frame = reports(2, first=200).with_columns(
        report_text=pl.when(pl.col("study_key") == "s200")
        .then(pl.col("report_text").repeat_by(12).list.join(" "))
        .otherwise(pl.col("report_text"))
    )
    tables = label_with_llm(frame, settings=settings, endpoint=url, answers=tmp_path)
    of_study = {k[0]: set(f["outcome"]) for k, f in tables.requests.group_by("study_key")}
    assert of_study == {"s200": {"context_too_long"}, "s201": {"answered"}}
    assert set(tables.labels.filter(pl.col("study_key") == "s200")["reason"]) == {"context_too_long"}


def test_another_model_than_the_server_has_is_named(served, tmp_path):
    settings, url = served
    other = settings.model_copy(update={"model": "other"})
    with pytest.raises(ModelMissingError, match="does not serve other; it serves: /"):
        label_with_llm(reports(1), settings=other, endpoint=url, answers=tmp_path)


def test_a_killed_run_asks_nothing_twice(served, tmp_path):
    settings, url = served
    frame = reports(4, first=100)
    before = succeeded(url)
    kept = killed_after(20, frame, settings, url, tmp_path)
    tables = label_with_llm(frame, settings=settings, endpoint=url, answers=tmp_path)
    log = (tmp_path / "tiny.jsonl").read_bytes()
    assert 20 <= kept.count(b"\n") < 68
    assert log.startswith(kept[: kept.rindex(b"\n") + 1])
    assert log.count(b"\n") == 68 == tables.requests["request_key"].n_unique()
    assert set(tables.requests["outcome"]) == {"answered"}
    # The server may have finished what was in flight at the kill, and no more than that a second time.
    assert succeeded(url) - before <= 68 + settings.concurrency


def succeeded(url: str) -> int:
    """Requests that the server has finished, by its own count."""
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        text = reply.read().decode()
    counts = re.findall(
        r'^vllm:request_success_total\{[^}]*finished_reason="(?:stop|length)"[^}]*\} (\S+)', text, re.M
    )
    return int(sum(map(float, counts)))

"""Every rule of ``sql/checks`` as an asset check on its stage.

Belongs here: the factory. Does not belong here: a rule (``sql/checks``), or the checks that an asset yields itself.
"""

from __future__ import annotations

import dagster as dg

from pipelines.runtime.metadata import markdown
from pipelines.runtime.resources import Hospital
from sql import Check, checks

SUBJECT: dict[str, str] = {
    "deid": "instances",
    "sequences": "series",
    "labels": "consensus",
    "shards": "slices",
    "backbone": "curves",
    "embeddings": "slices",
    "probes": "metrics",
    "agents": "claims",
    "reports": "sentences",
}
"""The asset of each stage that carries its SQL rules."""


def sql_checks() -> list[dg.AssetChecksDefinition]:
    """One check per file of ``sql/checks``; zero rows pass, else the first rows become metadata."""
    return [_check(check) for check in checks()]


def sql_check_keys() -> list[dg.AssetCheckKey]:
    """Keys of ``sql_checks``."""
    return [dg.AssetCheckKey(dg.AssetKey([c.stage, SUBJECT[c.stage]]), c.rule) for c in checks()]


def _check(check: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=[check.stage, SUBJECT[check.stage]],
        name=check.rule,
        description=check.description,
        metadata={"file": f"sql/checks/{check.name}.sql"},
    )
    def run(hospital: Hospital) -> dg.AssetCheckResult:
        broken = check.run(hospital.lake.root)
        severity = dg.AssetCheckSeverity.ERROR if check.severity == "error" else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(
            passed=broken.is_empty(),
            severity=severity,
            metadata={"rows": broken.height} | ({} if broken.is_empty() else {"first_rows": markdown(broken, 10)}),
        )

    return run

"""Every rule of ``sql/checks`` as an asset check on its stage.

Belongs here: the factory. Does not belong here: a rule (``sql/checks``), or the checks that an asset yields itself.
"""

import dagster as dg

from pipelines.runtime.resources import Hospital
from sql.catalogue import Check, checks
from sql.warehouse import broken_rows, open_lake

SHOWN = 10


def sql_checks() -> list[dg.AssetChecksDefinition]:
    """One check per file of ``sql/checks``; zero rows pass, else the first rows become metadata."""
    return [_check(check) for check in checks().values()]


def sql_check_keys() -> list[dg.AssetCheckKey]:
    """Keys of ``sql_checks``."""
    return [dg.AssetCheckKey(_subject(check), _name(check)) for check in checks().values()]


def _name(check: Check) -> str:
    # An asset may yield a check of the same rule for its own batch; this one is over the whole lake.
    return f"sql_{check.rule}"


def _subject(check: Check) -> dg.AssetKey:
    return dg.AssetKey(check.table.split("."))


def _check(check: Check) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=_subject(check),
        name=_name(check),
        description=check.description,
        metadata={"file": f"sql/checks/{check.name}.sql"},
    )
    def run(hospital: Hospital) -> dg.AssetCheckResult:
        with open_lake(hospital.lake.root) as lake:
            broken, first = broken_rows(lake, check, limit=SHOWN)
        severity = dg.AssetCheckSeverity.ERROR if check.severity == "error" else dg.AssetCheckSeverity.WARN
        metadata: dict[str, object] = {"rows": broken}
        if first:
            metadata["first_rows"] = dg.MetadataValue.json(
                [{k: str(v) for k, v in row.items()} for row in first]
            )
        return dg.AssetCheckResult(passed=broken == 0, severity=severity, metadata=metadata)

    return run

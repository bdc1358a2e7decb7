"""Every rule of ``sql/checks`` as an asset check on its table.

Belongs here: turning rules into checks. Does not belong here: a rule (``sql/checks``), or the checks that an asset
yields itself.
"""

from collections.abc import Iterator

import dagster as dg
from dagster import AssetCheckExecutionContext

from pipelines.runtime.resources import Hospital
from sql.catalogue import Check, checks
from sql.warehouse import broken_rows, open_lake

SHOWN = 10


def sql_check_keys() -> list[dg.AssetCheckKey]:
    """Keys of all rules, in the order of their files."""
    return [_spec(check).key for check in checks().values()]


def _spec(check: Check) -> dg.AssetCheckSpec:
    # An asset may yield a check of the same rule for its own batch; this one is over the whole lake.
    return dg.AssetCheckSpec(
        f"sql_{check.rule}",
        asset=check.table.split("."),
        description=check.description,
        metadata={"file": f"sql/checks/{check.name}.sql"},
    )


@dg.multi_asset_check(name="sql_rules", specs=[_spec(check) for check in checks().values()], can_subset=True)
def sql_rules(context: AssetCheckExecutionContext, hospital: Hospital) -> Iterator[dg.AssetCheckResult]:
    """Run the selected rules over the lake as it is now; zero rows pass, else the first become metadata."""
    with open_lake(hospital.lake.root) as lake:
        for check in checks().values():
            key = _spec(check).key
            if key not in context.selected_asset_check_keys:
                continue
            broken, first = broken_rows(lake, check, limit=SHOWN)
            metadata: dict[str, object] = {"rows": broken}
            if first:
                rows = [{name: str(value) for name, value in row.items()} for row in first]
                metadata["first_rows"] = dg.MetadataValue.json(rows)
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=broken == 0,
                severity=dg.AssetCheckSeverity(check.severity.upper()),
                metadata=metadata,
            )

"""Tables that people keep by hand: which asset rests on each, and whether one was changed since that was made.

Such a table is no asset: Dagster does not see it change. What is made of it notes the table's version, and a run, a
refresh and a sensor compare that with the table as it lies.

Belongs here: the tables, and what is due by them. Does not belong here: where they lie and what they say
(``runtime.resources``), starting anything (``runner``, ``sensors``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipelines.freshness import Materialised
from pipelines.runtime.resources import Hospital

if TYPE_CHECKING:
    from pipelines.lake_log import LakeLog


@dataclass(frozen=True)
class ByHand:
    """One table.

    Args:
        known_by: the asset whose materialisations note the version that they know.
        reason: why that asset is due when the table has changed.
        version: of the table as it lies, by its content; ``none`` where there is none.
        read: the table; raises where a person has to mend it.
    """

    known_by: dg.AssetKey
    reason: str
    version: Callable[[Hospital], str]
    read: Callable[[Hospital], Any]

    def news(self, made: Materialised | None, version: str) -> bool:
        """Whether what was made knows another version of the table."""
        return made is not None and made.by_hand != version


ADJUDICATIONS: Final = ByHand(
    dg.AssetKey(["labels", "consensus"]),
    "decisions of people changed",
    Hospital.adjudications_version,
    Hospital.adjudications,
)
READINGS: Final = ByHand(
    dg.AssetKey(["scores", "readers"]),
    "readings of people changed",
    Hospital.readings_version,
    Hospital.readings,
)


def changed_by_hand(
    hospital: Hospital, log: LakeLog, keys: Collection[dg.AssetKey], partition: str | None
) -> list[str]:
    """Why a job with these assets is due by what people wrote; what was never made is due for other reasons."""
    return [
        table.reason
        for table in (ADJUDICATIONS, READINGS)
        if table.known_by in keys and table.news(log.made(table.known_by, partition), table.version(hospital))
    ]

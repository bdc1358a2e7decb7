"""localization: where the conditions are seen.

Belongs here: the names of the assets. Does not belong here: wiring (``learning``, ``findings``).
"""

from assets.findings.localization.findings import findings
from assets.findings.localization.learning import models

__all__ = ["findings", "models"]

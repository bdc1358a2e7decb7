"""localization: where the conditions are seen, by slice and box and level by level.

Belongs here: the names of the assets. Does not belong here: wiring (``learning``, ``findings``, ``levelwise``).
"""

from assets.findings.localization.findings import findings
from assets.findings.localization.learning import models
from assets.findings.localization.levelwise import level_findings, level_heads, level_views

__all__ = ["findings", "level_findings", "level_heads", "level_views", "models"]

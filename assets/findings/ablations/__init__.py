"""ablations: what each part of the system adds, beside the part as it is in use.

Belongs here: the names of the assets. Does not belong here: wiring (``trainings``, ``scores``).
"""

from assets.findings.ablations.scores import scores, vectors
from assets.findings.ablations.trainings import CLIPS, GATES

__all__ = ["CLIPS", "GATES", "scores", "vectors"]

"""synthesizer: gates that mix both frozen encoders, for every sequence that is neither T1 nor T2.

Belongs here: the names of the assets. Does not belong here: wiring (``gating``, ``aligning``).
"""

from assets.encoder.synthesizer.aligning import aligned
from assets.encoder.synthesizer.gating import fused

__all__ = ["aligned", "fused"]

"""backbone: the self-supervised encoder of each route, trained on the frozen manifest, then Gram-anchored.

Belongs here: the names of the assets. Does not belong here: wiring (``pretraining``, ``anchoring``).
"""

from assets.encoder.backbone.anchoring import anchored
from assets.encoder.backbone.pretraining import pretrained

__all__ = ["anchored", "pretrained"]

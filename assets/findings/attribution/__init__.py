"""attribution: what every probability rests on, and how true the maps of single slices are.

Belongs here: the names of the assets. Does not belong here: wiring (``studies``, ``saliency``).
"""

from assets.findings.attribution.saliency import attribution_scores
from assets.findings.attribution.studies import attribution

__all__ = ["attribution", "attribution_scores"]

"""llava: a decoder, a report model that is warmed up and tuned on it, and what it writes.

Belongs here: the names of the assets. Does not belong here: wiring (``training``, ``texts``).
"""

from assets.reporting.llava.texts import answers, written
from assets.reporting.llava.training import decoder, tuned, warmed

__all__ = ["answers", "decoder", "tuned", "warmed", "written"]

"""llava: a decoder, a report model that is warmed up and tuned on it, what it writes, and
what it answers to the benchmark.

Belongs here: the names of the assets. Does not belong here: wiring (``training``, ``texts``, ``benchmark``).
"""

from assets.reporting.llava.benchmark import chosen
from assets.reporting.llava.texts import answers, written
from assets.reporting.llava.training import decoder, tuned, warmed

__all__ = ["answers", "chosen", "decoder", "tuned", "warmed", "written"]

"""The phantom hospital: spines rendered by MR signal equations, written out as a hospital would drop them.

Belongs here: a *source*. Nothing in the graph knows about it; its truth is read by tests, the demo's summary and
benchmarks alone.
"""

from spine_models.phantom.hospital import HospitalSummary, write_hospital

__all__ = ["HospitalSummary", "write_hospital"]

"""The phantom hospital: spines rendered by MR signal equations, written out as a hospital would drop them.

Belongs here: a *source*. Nothing in the graph knows about it; its truth is read by tests, the demo's summary and
benchmarks alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spine_models.phantom.hospital import HospitalSummary, write_hospital

__all__ = ["HospitalSummary", "write_hospital"]


def __getattr__(name: str) -> Any:
    """The hospital on demand: a room of the phantom can be used without loading all of them."""
    if name in __all__:
        from spine_models.phantom import hospital

        return getattr(hospital, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

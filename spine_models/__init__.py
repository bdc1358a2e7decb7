"""How SpineAgent works: DICOM, de-identification, labels, encoders, probes and drafts as plain Python.

Belongs here: everything a notebook user may import (numpy, polars, pydicom, torch).
Does not belong here: Dagster, DuckDB, environment variables, or knowledge of where a lake lies.
"""

__version__ = "0.1.0"

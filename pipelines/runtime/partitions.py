"""The three partitionings of the graph.

Belongs here: partition definitions and nothing else. One partition is about 500 studies, a route or a condition;
never a study or a series, and never two dimensions multiplied.
"""

from __future__ import annotations

import dagster as dg

from spine_models.domain import Route

study_batches = dg.DynamicPartitionsDefinition(name="study_batches")
encoder_sequences = dg.StaticPartitionsDefinition([Route.T1.value, Route.T2.value])

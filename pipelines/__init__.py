"""When and with what the graph runs: definitions, jobs, schedules, sensors and the command line.

Belongs here: orchestration. Does not belong here: what an asset is (``assets``) or how it is computed
(``spine_models``). ``pipelines.runtime`` is the only part that assets may import.
"""

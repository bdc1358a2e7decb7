"""What assets need of their surroundings: partitions, profile, storage, I/O manager, metadata, training launcher.

Belongs here: the adapters between Dagster and the lake. Does not belong here: any asset, job or computation.
"""

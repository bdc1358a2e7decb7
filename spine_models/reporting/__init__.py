"""Reporting: what the agents say of a study, and the report drafted from it."""

"""Scores: how far a drafted report says what the study's own report says, and what readers think of it.

Belongs here: the names that assets use. Does not belong here: code.
"""

"""Conditions judged level by level: what every disc and vertebra in view looks like, and what heads say of it.

Reports name findings by level and side. Heads of whole studies cannot tell them apart; these are fitted on every level
of the train patients' reports, so that one study is many examples. ``views`` looks at the levels, ``targets`` reads the
reports, ``fit`` and ``heads`` learn and judge, ``judge`` is what the agents do with a batch.

Where a level lies is known by ``localization``. Nothing here decides what a draft says (``reporting.agents``).
"""

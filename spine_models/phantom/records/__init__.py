"""The paper of the phantom hospital: people, identifiers in every place, reports, EHR exports, annotations.

Belongs here: invented text and where it goes. Does not belong here: anatomy, pixels, vendor facts.
"""

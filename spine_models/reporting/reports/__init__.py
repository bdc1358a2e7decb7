"""Reports: from claims to a drafted report as tables, text, documents and pages, by the template of the region.

Belongs here: ``draft_reports``, ``render_text`` and ``write_pages``. Does not belong here: making claims.
"""

from spine_models.reporting.reports.drafting import Priors, ReportTables, draft_reports
from spine_models.reporting.reports.pages import key_slices, shard_pixels, write_pages
from spine_models.reporting.reports.template import TemplateError, load_template
from spine_models.reporting.reports.text import render_text

__all__ = [
    "Priors",
    "ReportTables",
    "TemplateError",
    "draft_reports",
    "key_slices",
    "load_template",
    "render_text",
    "shard_pixels",
    "write_pages",
]

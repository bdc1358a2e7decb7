"""Why a file was not indexed, and what is wrong with an inbox as a whole.

Belongs here: the reason codes of ``archive.FILES`` and the one error that intake raises.
Does not belong here: the checks themselves. A code never carries a value of the file.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One code per way in which a file fails; the file stays in the inbox, named in ``archive.FILES``."""

    NOT_DICOM = "not_dicom"
    EMPTY_FILE = "empty_file"
    SYMBOLIC_LINK = "symbolic_link"
    UNREADABLE = "unreadable"  # no permission, a pipe, a socket, a folder that cannot be listed
    VANISHED = "vanished"
    CHANGED = "changed"  # not the study or patient that was registered: the next run scans it again
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    MISSING_META = "missing_meta"
    UNKNOWN_TRANSFER_SYNTAX = "unknown_transfer_syntax"
    DICOMDIR = "dicomdir"
    MISSING_UID = "missing_uid"
    NO_PIXELS = "no_pixels"
    ABSURD_PIXELS = "absurd_pixels"
    WRONG_PIXEL_LENGTH = "wrong_pixel_length"
    CODESTREAM_MISMATCH = (
        "codestream_mismatch"  # compressed images of another size or kind than the header says
    )
    DUPLICATE_CONTENT = "duplicate_content"
    DUPLICATE_SOP = "duplicate_sop"  # same data set, other file meta information
    CONFLICTING_SOP = "conflicting_sop"  # same SOP instance UID, other data set or study
    CONFLICTING_SERIES = "conflicting_series"  # same series instance UID, other study
    CONFLICTING_PATIENT = "conflicting_patient"  # a study whose instances name more than one patient
    REPORT_UNREADABLE = "report_unreadable"
    EHR_UNREADABLE = "ehr_unreadable"
    ANNOTATION_UNREADABLE = "annotation_unreadable"
    ANNOTATION_UNKNOWN_TABLE = "annotation_unknown_table"  # not one of the four csv files that are known
    ANNOTATION_COLUMNS = "annotation_columns"  # a column is missing or unknown
    ANNOTATION_VALUES = "annotation_values"  # an id, severity, level or coordinate out of the vocabulary
    ANNOTATION_OUTSIDE_IMAGE = "annotation_outside_image"  # a box outside its image, or of a frame not there


class InboxError(ValueError):
    """The inbox or its cohort name cannot be registered; the message says what to change."""

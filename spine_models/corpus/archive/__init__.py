"""archive: what a hospital dropped, file by file; the restricted zone's index.

Belongs here: registering inboxes into batches, checking and indexing DICOM, reports and EHR exports, a reason
code for every file that is not indexed. Does not belong here: de-identification, decoding of pixels, deciding
what may leave (a file that is not MR is indexed here and held back by deid).
"""

from spine_models.corpus.archive.batch import ArchiveTables, index_batch
from spine_models.corpus.archive.folder import source_path
from spine_models.corpus.archive.inbox import scan_inbox
from spine_models.corpus.archive.reasons import InboxError, Reason
from spine_models.corpus.archive.rests import fingerprints, settled

__all__ = [
    "ArchiveTables",
    "InboxError",
    "Reason",
    "fingerprints",
    "index_batch",
    "scan_inbox",
    "settled",
    "source_path",
]

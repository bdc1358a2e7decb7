"""The tissues that a point of the body can be made of.

Belongs here: labels. Does not belong here: what a tissue looks like (``scanner.relaxation``), where it lies.
"""

from __future__ import annotations

from enum import IntEnum


class Tissue(IntEnum):
    """Labels of the anatomy; 100 + n is the nucleus of disc n."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    CORTEX = 3
    MARROW = 4
    ANNULUS = 5
    CSF = 6
    CORD = 7
    ROOT = 8
    LIGAMENT = 9
    VESSEL = 10
    SOFT = 11
    OEDEMA = 12
    HAEMANGIOMA = 13
    CYST = 14
    TUMOUR = 15
    MYELOPATHY = 16
    FATTY_MARROW = 17
    SCAR = 18
    METAL = 19
    HALO = 20
    CLEFT = 21
    CORD_TUMOUR = 22
    BRAIN = 23
    DISCITIS = 24
    NUCLEUS = 100

"""Radiology prose of many habits with known and unknown identifiers in it, drawn from a seed.

The sentences are this project's own; ``phrases`` are clinical wordings that cleaning must leave alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST = [
    "Marguerite",
    "Declan",
    "Ifeoma",
    "Thaddeus",
    "Oksana",
    "Kwabena",
    "Siobhan",
    "Ezequiel",
    "Priyanka",
    "Leocadia",
    "Bartholomew",
    "Nkechi",
    "Rutger",
    "Anneliese",
    "Tomasz",
    "Yevgenia",
    "Cormac",
    "Delphine",
    "Haruka",
    "Joaquin",
    "Solveig",
    "Ignatius",
    "Mireille",
    "Padraig",
    "Zuleika",
    "Faisal",
    "Brigitte",
    "Lucinda",
    "Wendell",
    "Harriet",
    "Robert",
    "Maria",
    "James",
    "Linda",
    "Carlos",
    "Susan",
]
LAST = [
    "Okonkwo",
    "Villarreal",
    "Szczepanski",
    "Featherstone",
    "Abernathy",
    "Lindqvist",
    "Takemura",
    "O'Shaughnessy",
    "Bhattacharya",
    "Montefiore",
    "Drummond",
    "Castellanos",
    "Van-Houten",
    "McAllister",
    "Petrosyan",
    "Quarterman",
    "Ashdown",
    "Wickersham",
    "Nakashima",
    "Delacroix",
    "Fitzwilliam",
    "Oyelaran",
    "Strickland",
    "Pemberton",
    "Harrington",
    "Gutierrez",
    "Johnson",
    "Nguyen",
    "Patel",
    "Cohen",
    "Fernandez",
]
HOUSES = [
    "Lakeview",
    "Saint Brigid",
    "Cedar Hollow",
    "Northgate",
    "Mercy Ridge",
    "St. Aldhelm",
    "Riverbend",
    "Mount Ararat",
    "Silver Birch",
    "Kingsbury",
    "Harborview",
    "Blue Mesa",
    "Fairhaven",
    "Old Mill",
    "Westbrook",
]
HOUSE_KINDS = [
    "Hospital",
    "Medical Center",
    "Clinic",
    "General Hospital",
    "Imaging",
    "Radiology Associates",
    "Community Hospital",
    "Health System",
    "Imaging Center",
    "Memorial Hospital",
    "Spine Center",
    "Urgent Care",
]
PHRASES = [
    "Pfirrmann grade IV degeneration at L4-L5",
    "Schmorl node at the superior endplate of L2",
    "Modic type 1 endplate changes",
    "Baastrup phenomenon at L3-L4",
    "Scheuermann disease",
    "Tarlov cyst at S2",
    "Meyerding grade I anterolisthesis of L4 on L5",
    "The conus medullaris terminates at L1-L2",
    "broad-based disc bulge with left foraminal stenosis",
    "moderate central canal stenosis",
    "no cord signal abnormality",
    "mild facet arthropathy",
    "ligamentum flavum thickening",
    "severe bilateral neural foraminal narrowing",
    "vertebral body heights are maintained",
    "No acute fracture",
    "marrow signal is heterogeneous",
    "hemangioma in the T12 vertebral body",
    "right paracentral disc extrusion migrating inferiorly",
    "abutting the traversing L5 nerve root",
    "no evidence of discitis or osteomyelitis",
    "annular fissure at L5-S1",
    "prior laminectomy with enhancing granulation tissue",
    "epidural lipomatosis",
    "spondylolysis of the pars interarticularis",
    "grade 1 retrolisthesis",
    "Chiari I malformation",
    "Hoffmann sign",
    "Klippel-Feil anomaly",
    "Bertolotti syndrome",
    "desiccation of the intervertebral discs",
    "the paraspinal musculature shows fatty atrophy",
    "sagittal T1, T2 and STIR images",
    "axial T2 weighted sequences",
    "without intravenous contrast",
    "Gadavist was administered",
    "on a Siemens Skyra scanner",
    "Philips Ingenia",
    "lordosis is preserved",
    "mild dextroscoliosis",
    "Romanus lesions",
    "Andersson lesion",
    "syrinx from C5 to C7",
    "uncovertebral osteophytes",
    "ossification of the posterior longitudinal ligament",
    "Castellvi type IIa transitional vertebra",
    "Schizas grade C",
    "perineural cyst",
    "cauda equina compression",
    "myelomalacia",
    "Gibbs artifact",
    "Hounsfield",
    "Lasegue test",
    "Babinski sign",
    "DWI and ADC",
    "FLAIR",
    "Dixon fat fraction",
    "CSF pulsation artifact",
    "Degenerative changes are present",
    "Osteophytosis is noted",
    "Spondylosis deformans",
]
SENTENCES = [
    "There is {p}.",
    "{p}.",
    "Findings include {p}.",
    "At this level, {p} is again seen.",
    "{P}, unchanged from prior.",
    "{p}; clinical correlation is recommended.",
    "- {p}",
    "Stable {p}.",
    "IMPRESSION: 1. {p}.",
    "No {p} is identified.",
    "Compared with the previous study, {p} has progressed.",
]
UNKNOWN = [
    "Dictated by: {f} {l}, MD",
    "Findings were discussed with Dr. {l} at 14:20.",
    "Dr. {f} {l} was notified by telephone.",
    "Read by {f} {l}, M.D.",
    "Technologist: {f} {l}",
    "tech {f}",
    "Electronically signed by {l}, {f} MD",
    "The patient was accompanied by his wife {f}.",
    "accompanied by her daughter, {f} {l}",
    "Referred by {l} of orthopedics.",
    "RN {f} {l} placed the IV.",
    "Comparison: MRI performed at {h}.",
    "Outside study from {h} was reviewed.",
    "Transferred from {h} for evaluation.",
    "Her husband {f} reports worsening gait.",
    "cc: {f} {l}, DO",
    "Spoke with {f} in the emergency department.",
    "Interpreter {f} {l} assisted.",
    "Mr. {l} tolerated the examination.",
    "Resident: {f} {l} / Attending: {g} {m}",
    "I, {f} {l}, have personally reviewed the images.",
    "per Dr {l}",
    "Ordering provider: {l}, {f}",
    "She saw {f} {l} in clinic.",
    "Results called to {f} {l} RN.",
    "Seen at {h} in the spine clinic.",
    "History provided by son {f}.",
    "Prior surgery by Dr. {l} in 2019.",
    "Imaging was compared with that of {h}.",
    "Mrs. {l} complains of back pain.",
    "Consent obtained by {f} {l}, PA-C.",
    "Contact: {f} {l}",
]
KNOWN = [
    "Patient: {last}, {first}  MRN: {mrn}",
    "{first} {last} is a 54-year-old.",
    "{FIRST} {LAST}",
    "{last} presented with pain.",
    "MRN {short}",
    "Accession {acc}",
    "accession number: {acc_low}",
    "DOB {dob1}",
    "born {dob2}",
    "date of birth {dob3}",
    "Phone {phone1}",
    "call {phone2}",
    "email {email}",
    "lives at {street}",
    "{first}\n{last} was scanned.",
    "{last}^{first}",
    "record {mrn_dash}",
    "{low_last} {low_first}",
    "Pt {first} states pain.",
    "{last}'s prior study",
    "SSN {ssn}",
    "from {city}",
    "id {mrn}",
]


@dataclass
class Document:
    """A report, what is known of its patient, and what may and may not be left in it."""

    text: str
    known: list[tuple[str, str]]
    known_words: list[str]
    unknown: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)


def document(rng: random.Random) -> Document:
    """One report; a fifth of them in capitals."""
    facts, known, words = _patient(rng)
    lines: list[str] = []
    unknown: list[str] = []
    phrases: list[str] = []
    for phrase in rng.sample(PHRASES, 12):
        shape = rng.choice(SENTENCES)
        if "{P}" in shape:
            shape = (
                shape.replace("{P}", "{p}")
                if phrase[0].isupper()
                else shape.replace("{P}", phrase[0].upper() + phrase[1:])
            )
        lines.append(shape.format(p=phrase))
        phrases.append(phrase)
    for shape in rng.sample(UNKNOWN, 5):
        f, g = rng.sample(FIRST, 2)
        last, m = rng.sample(LAST, 2)
        house = f"{rng.choice(HOUSES)} {rng.choice(HOUSE_KINDS)}"
        lines.append(shape.format(f=f, g=g, l=last, m=m, h=house))
        unknown += [w for mark, w in (("{f}", f), ("{g}", g), ("{l}", last), ("{m}", m)) if mark in shape]
        unknown += [house.rsplit(" ", 1)[0] if house.endswith(" Center") else house] if "{h}" in shape else []
    lines += [shape.format(**facts) for shape in rng.sample(KNOWN, 7)]
    rng.shuffle(lines)
    text = "\n".join(lines)
    if rng.random() < 0.2:
        text = text.upper()
    return Document(text, known, words, unknown, phrases)


def _patient(rng: random.Random) -> tuple[dict[str, str], list[tuple[str, str]], list[str]]:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    mrn, acc = f"00{rng.randint(10**5, 10**6 - 1)}", f"ACC{rng.randint(10**6, 10**7 - 1)}"
    year, month, day = rng.randint(1935, 1995), rng.randint(1, 12), rng.randint(1, 28)
    area, mid, end = rng.randint(201, 989), rng.randint(200, 999), rng.randint(1000, 9999)
    street, city = (
        f"{rng.randint(1, 999)} {rng.choice(['Juniper', 'Larkspur', 'Tamarack'])} Avenue",
        rng.choice(["Winterfield", "Port Calder", "Eastholm"]),
    )
    email, ssn = (
        f"{first}.{last}@mailbox.net".lower().replace("'", ""),
        f"{rng.randint(100, 699)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
    )
    name = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ][month - 1]
    facts = {
        "first": first,
        "last": last,
        "FIRST": first.upper(),
        "LAST": last.upper(),
        "low_last": last.lower(),
        "low_first": first.lower(),
        "mrn": mrn,
        "short": mrn.lstrip("0"),
        "mrn_dash": f"{mrn[:4]}-{mrn[4:]}",
        "acc": acc,
        "acc_low": acc.lower(),
        "dob1": f"{month:02d}/{day:02d}/{year}",
        "dob2": f"{day} {name} {year}",
        "dob3": f"{year}{month:02d}{day:02d}",
        "phone1": f"({area}) {mid}-{end}",
        "phone2": f"{area}.{mid}.{end}",
        "email": email,
        "street": street,
        "city": city,
        "ssn": ssn,
    }
    known = [
        ("name", f"{last}^{first}"),
        ("id", mrn),
        ("id", acc),
        ("birth", f"{year}{month:02d}{day:02d}"),
        ("phone", f"{area}-{mid}-{end}"),
        ("email", email),
        ("address", street),
        ("place", city),
        ("id", ssn),
    ]
    words = [
        last,
        mrn,
        mrn.lstrip("0"),
        acc,
        facts["dob1"],
        facts["dob2"],
        facts["dob3"],
        facts["phone1"],
        facts["phone2"],
        email,
        street,
        city,
        ssn,
        first,
        facts["mrn_dash"],
    ]
    return facts, known, words

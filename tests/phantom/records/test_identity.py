import re
from collections import Counter

import numpy as np

from spine_models.corpus.deid.pseudonyms import normalise_patient_id
from spine_models.phantom.records.identity import PHYSICIANS, SITES, charsets_of, draw_patient, plain


def people(count, seed=4):
    return [draw_patient(n, np.random.default_rng([seed, n])) for n in range(count)]


def test_the_same_seed_gives_the_same_person():
    assert people(5) == people(5)
    assert people(5) != people(5, seed=5)


def test_record_numbers_stay_apart_after_normalisation():
    drawn = people(1500)
    for key in ("mrn", "plan_id", "account", "license", "vin"):
        numbers = Counter(normalise_patient_id(getattr(p, key)) for p in drawn)
        assert max(numbers.values()) == 1, key


def test_names_are_of_many_kinds():
    drawn = people(600)
    kinds = {
        "short": lambda p: len(p.family) == 2,
        "compound": lambda p: re.fullmatch(r"\w+[- ]\w+", p.family),
        "particle": lambda p: re.match(r"(van|de|von|di|dos|bin|al|ter)\b", p.family),
        "apostrophe": lambda p: "'" in p.family,
        "accent": lambda p: not p.family.isascii(),
        "ordinary word": lambda p: p.family in ("Long", "Green", "Young", "Bone", "Marrow"),
        "three component groups": lambda p: p.dicom_name.count("=") == 2,
        "prefix": lambda p: p.prefix,
        "suffix": lambda p: p.suffix,
        "middle": lambda p: p.middle,
        "other script": lambda p: p.ideographic,
    }
    for kind, has in kinds.items():
        assert sum(bool(has(p)) for p in drawn) >= 5, kind
    assert len({p.family for p in drawn}) > 100


def test_a_name_can_be_written_in_its_national_character_set():
    codecs = {
        "ISO_IR 100": "latin-1", "ISO_IR 144": "iso8859-5", "ISO_IR 126": "iso8859-7",
        "ISO 2022 IR 87": "iso2022_jp", "ISO 2022 IR 149": "euc_kr",
    }  # fmt: skip
    seen = set()
    for person in people(400):
        for name in filter(None, charsets_of(person)):
            person.dicom_name.encode(codecs[name])
            seen.add(name)
    assert seen == set(codecs)


def test_one_site_writes_record_numbers_that_read_as_days():
    eights = [p.mrn for p in people(300) if SITES[p.site].record == "eight"]
    assert eights
    assert all(re.fullmatch(r"0[1-9][12]\d(19|20)\d\d", mrn) for mrn in eights)


def test_plain_letters_are_plain():
    assert plain("Łucja Østergård Çelikoğlu ß") == "Lucja Ostergard Celikoglu ss"
    assert plain("山口").isascii()


def test_physicians_are_of_many_kinds_too():
    families = {p.family for p in PHYSICIANS}
    assert {"Ng", "Longstreet", "van der Berghe"} <= families

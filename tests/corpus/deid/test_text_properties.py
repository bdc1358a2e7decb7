"""Whatever dress a known identifier of the patient wears, and wherever it stands, it does not leave."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.text import TextCleaner

DATES = PatientDates("shift", 50)
STEADY = settings(
    derandomize=True,
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
FAMILIES = (
    *(
        "Müller",
        "O'Brien",
        "de la Cruz",
        "van der Berg",
        "Nguyen",
        "McDonald-Smith",
        "Großmann",
        "Çelik",
        "Ødegård",
    ),
    *(
        "Wiśniewska",
        "Al-Rashid",
        "Okonkwo",
        "D'Angelo",
        "Long",
        "Marrow",
        "Hernández Castillo",
        "Li",
        "Ng",
        "Sjöström",
    ),
)
GIVEN = (
    "Zoë",
    "John",
    "April",
    "Li-Wei",
    "José María",
    "Anne",
    "Grażyna",
    "Bo",
    "Muhammad",
    "Thérèse",
    "May",
)
PROSE = (
    "Severe canal stenosis at L4-L5.",
    "MRI LUMBAR SPINE WITHOUT CONTRAST",
    "There is a 6 mm protrusion at L5-S1, unchanged.",
    "the conus ends at l1 and is normal",
    "IMPRESSION: Modic type 2 changes.",
    "",
)
PLACED = st.sampled_from(
    [
        "{}",
        "Patient: {}.",
        "seen with {} today",
        "({})",
        "re: {},",
        "PT {} HERE",
        "\n{}\n",
        "{}: normal cord",
        "x {}",
    ]
)


def fold(text: str) -> str:
    """Letters and digits without accents, in small letters."""
    text = text.translate(
        str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "ı": "i"})
    )
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if c.isalnum())


@st.composite
def dressed_name(draw: st.DrawFn, family: str, given_name: str) -> str:
    order = draw(
        st.sampled_from(
            ["{g} {f}", "{f}, {g}", "{f} {g}", "{f}^{g}", "{f},{g}", "{g}\n{f}", "Mr. {f}", "{f}"]
        )
    )
    name = order.format(g=given_name, f=family)
    name = draw(st.sampled_from([str, str.upper, str.lower, str.title]))(name) if len(family) > 2 else name
    if name.islower() and family in ("Long", "Marrow") and given_name.lower() not in name:
        name = name.title()
    spelling = draw(st.sampled_from(["as is", "folded", "spelled", "decomposed"]))
    if spelling == "folded":
        name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
        name = name.translate(str.maketrans("ØøŁłı", "OoLli"))
    elif spelling == "spelled":
        for letter, two in {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "ß": "ss", "å": "aa"}.items():
            name = name.replace(letter, two).replace(letter.upper(), two.upper())
    elif spelling == "decomposed":
        name = unicodedata.normalize("NFD", name)
    return name + draw(st.sampled_from(["", "'s", "’s"]))


@st.composite
def hidden(draw: st.DrawFn, text: str) -> str:
    """The text with blanks doubled or odd, invisible characters put in, forms widened."""
    blank = draw(st.sampled_from([" ", "  ", "\u00a0", "\u2009", " \u200b"]))
    text = text.replace(" ", blank)
    if draw(st.booleans()) and len(text) > 3:
        at = draw(st.integers(1, len(text) - 1))
        if not unicodedata.combining(text[at]):
            text = text[:at] + draw(st.sampled_from(["\u200b", "\u00ad", "\u2060", "\ufeff"])) + text[at:]
    if draw(st.booleans()):
        text = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c.isalnum() else c for c in text)
    return text


@st.composite
def broken(draw: st.DrawFn, text: str) -> str:
    """The text with a hyphen and a line's end inside one long word."""
    words = list(re.finditer(r"[^\W\d_]{6,}", text))
    if not words or not draw(st.booleans()):
        return text
    word = draw(st.sampled_from(words))
    at = draw(st.integers(word.start() + 2, word.end() - 2))
    if unicodedata.combining(text[at]):
        return text
    return text[:at] + draw(st.sampled_from(["-\n", "-\n  ", "\n"])) + text[at:]


def planted(draw: st.DrawFn, value: str) -> str:
    lines = draw(st.lists(st.sampled_from(PROSE), min_size=0, max_size=3))
    lines.insert(draw(st.integers(0, len(lines))), draw(PLACED).format(value))
    return "\n".join(lines)


@STEADY
@given(st.data())
def test_a_known_name_never_stays(data):
    family, first = data.draw(st.sampled_from(FAMILIES)), data.draw(st.sampled_from(GIVEN))
    value = data.draw(dressed_name(family, first))
    value = data.draw(broken(value)) if data.draw(st.booleans()) else data.draw(hidden(value))
    cleaner = TextCleaner(KnownIdentifiers.of([("name", f"{family}^{first}")]), DATES)
    out = cleaner.clean(planted(data.draw, value))
    rest = {fold(w) for w in re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", out))}
    for word in re.findall(r"[^\W\d_]+", f"{family} {first}"):
        if len(word) > 2 and word.casefold() not in ("der", "van", "long", "marrow", "may"):
            assert not {fold(word), fold(word).replace("u", "ue").replace("o", "oe")} & rest, out
        if len(fold(word)) > 5 and word != "Marrow":
            assert fold(word) not in fold(out), out
    if family in ("Long", "Marrow"):
        assert f" {family} " not in f" {out} "


@st.composite
def dressed_number(draw: st.DrawFn, digits: str) -> str:
    zeros = draw(st.sampled_from(["", "0", "000"]))
    core = digits.lstrip("0")
    joint = draw(st.sampled_from(["", "-", " ", ".", "/"]))
    cuts = sorted(draw(st.sets(st.integers(1, len(core) - 1), max_size=3)))
    parts = [core[a:b] for a, b in zip([0, *cuts], [*cuts, len(core)], strict=True)]
    text = zeros + joint.join(parts)
    if draw(st.booleans()):
        at = draw(st.integers(1, len(text) - 1))
        text = text[:at] + "\n" + text[at:]
    return text


@STEADY
@given(st.data())
def test_a_known_record_number_never_stays(data):
    digits = data.draw(st.from_regex(r"0{0,3}[1-9]\d{4,9}", fullmatch=True))
    value = data.draw(hidden(data.draw(dressed_number(digits))))
    out = TextCleaner(KnownIdentifiers.of([("id", digits)]), DATES).clean(
        planted(data.draw, data.draw(st.sampled_from(["", "MRN ", "MRN: ", "#", "id "])) + value)
    )
    out = out.replace("6 mm", "").replace("type 2", "")
    assert not re.search(r"\d", re.sub(r"(?i)\b[ls]\d(?:-[ls]\d)?\b", "", out)), out


@STEADY
@given(st.data())
def test_a_known_mixed_number_never_stays(data):
    value = data.draw(st.from_regex(r"[A-Z]{1,4}-?0{0,2}[1-9]\d{4,7}", fullmatch=True))
    worn = data.draw(
        st.sampled_from([str, str.lower, lambda v: v.replace("-", ""), lambda v: v.replace("-", " ")])
    )
    out = TextCleaner(KnownIdentifiers.of([("id", value)]), DATES).clean(planted(data.draw, worn(value)))
    assert re.sub(r"\D", "", value).lstrip("0") not in re.sub(r"\D", "", out)


@STEADY
@given(st.data())
def test_a_known_telephone_never_stays(data):
    area, office, line = (
        data.draw(st.from_regex(p, fullmatch=True)) for p in (r"[2-9]\d\d", r"[2-9]\d\d", r"\d{4}")
    )
    known = data.draw(st.sampled_from(["({}) {}-{}", "{}-{}-{}", "+1 {} {} {}", "{}{}{}"])).format(
        area, office, line
    )
    shown = data.draw(
        st.sampled_from(
            [
                "({}) {}-{}",
                "{}-{}-{}",
                "+1 {}.{}.{}",
                "{}{}{}",
                "1-{}-{}-{}",
                "({}){}-{} x22",
                "{} / {} / {}",
                "0{} {} {}",
            ]
        )
    ).format(area, office, line)
    short = data.draw(st.sampled_from([shown, f"{office}-{line}"]))
    out = TextCleaner(KnownIdentifiers.of([("phone", known)]), DATES).clean(
        planted(data.draw, f"call {short}")
    )
    assert not re.search(r"\d{3}", out), out


@STEADY
@given(
    st.from_regex(r"[a-z]{4,8}[._]?[a-z]{3,7}[0-9]{0,2}", fullmatch=True),
    st.sampled_from(["mail.com", "post.example.org", "nhs.uk"]),
    st.sampled_from(["@", " @ ", " at ", " (at) ", "[at]", " AT "]),
    st.sampled_from([".", " dot ", "(dot)"]),
    st.sampled_from([str, str.upper]),
)
def test_a_known_address_of_electronic_mail_never_stays(local, domain, at, dot, case):
    value = case(f"{local}{at}{domain.replace('.', dot)}")
    out = TextCleaner(KnownIdentifiers.of([("email", f"{local}@{domain}")]), DATES).clean(
        f"write to {value}, thanks"
    )
    assert local not in out.casefold()


@STEADY
@given(
    st.dates(date(1925, 1, 1), date(2015, 12, 31)),
    st.sampled_from(
        [
            "%Y-%m-%d",
            "%m/%d/%Y",
            "%d.%m.%Y",
            "%d/%m/%y",
            "%d %B %Y",
            "%B %d, %Y",
            "%d-%b-%Y",
            "%Y%m%d",
            "%d%b%Y",
        ]
    ),
    st.sampled_from([str, str.upper]),
)
def test_a_known_birth_date_is_not_even_moved(day, style, case):
    out = TextCleaner(KnownIdentifiers.of([("birth", day.strftime("%Y%m%d"))]), DATES).clean(
        f"DOB: {case(day.strftime(style))} male"
    )
    assert out == "DOB: [DATE] male"


@STEADY
@given(st.data())
def test_a_known_address_never_stays(data):
    cleaner = TextCleaner(KnownIdentifiers.of([("address", "77 Quarry Hill Rd, Bantry, ND 58713")]), DATES)
    value = data.draw(
        st.sampled_from(
            [
                "77 Quarry Hill Rd, Bantry, ND 58713",
                "77 QUARRY HILL RD",
                "77 Quarry Hill Road",
                "Quarry Hill Rd",
                "Bantry",
                "58713-0001",
            ]
        )
    )
    out = cleaner.clean(planted(data.draw, data.draw(hidden(value)))).casefold()
    assert not any(word in out for word in ("quarry", "bantry", "58713", "77"))

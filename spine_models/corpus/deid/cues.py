"""Surroundings that give an identifier away: titles, roles, relatives, institutions, labels and fixed shapes.

Belongs here: patterns over prose that need nothing known of the patient.
Does not belong here: known identifiers (known_patterns), dates (dates), bare capitalised words (names).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from spine_models.corpus.deid.terms import clinical, is_ambiguous, is_clinical, is_name

_W: Final = r"[^\W\d_][^\W\d_'’\-]*(?:['’\-][^\W\d_]+)*"
_TITLE: Final = r"(?:drs?|doctor|mr|mrs|ms|miss|mx|prof(?:essor)?|nurse|sister|sr|rev|father|capt|sgt|hon)"
_DEGREE: Final = (
    r"(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|N\.?P\.?|P\.?A\.?(?:-C)?|Ph\.?D\.?|MBBS|MBChB|FRCR|FRCS|FACR|MRCP|RT(?:\s?\(R\))?(?:\s?\(MR\))?|ARRT"
    r"|A\.?R\.?N\.?P\.?|C\.?N\.?P|D\.?C\.?|D\.?P\.?T\.?|B\.?Sc|M\.?Sc|RPA|CRNA|DNP|FNP(?:-C|-BC)?|LPN|M\.?P\.?H)"
)
_ROLE: Final = (
    r"(?:technologist|technician|tech|radiographer|radiologist|attending(?:\s+(?:radiologist|physician))?|resident|fellow|registrar|consultant"
    r"|transcriptionist|transcriber|typist|operator|nurse|rn|referring(?:\s+(?:physician|provider|md|doctor|clinician))?|referrer|physician|clinician"
    r"|ordering(?:\s+(?:physician|provider|md|doctor|clinician))?|provider|pcp|surgeon|neurosurgeon|neurologist|orthopod|physiatrist|oncologist"
    r"|author|reader|interpreter|caller|recipient|contact|emergency\s+contact|next\s+of\s+kin|nok|poa|patient(?:\s+name)?|pt(?:\s+name)?|name|cc"
    r"|requested|requester|coordinator|chaperone|guarantor|subscriber|signed|dictated|verified|initials)"
)
_DONE: Final = (
    r"(?:read|reported|dictated|interpreted|reviewed|transcribed|signed|e-?signed|approved|verified|performed|finali[sz]ed|authenticated|attested"
    r"|supervised|countersigned|co-?signed|acquired|scanned|ordered|requested|referred|seen|examined|accompanied|escorted|consented|translated"
    r"|interpreted|prepared|typed|entered|called|authored|acknowledged|received|addended|positioned|injected|administered|obtained|checked)"
)
_TOLD: Final = (
    r"(?:discussed|spoke|communicated|conveyed|relayed|reported|called|telephoned|notified|informed|paged|contacted|faxed|sent|given|provided|conversation"
    r"|d/w|discussion|correlated|reviewed|comparison|consultation|phoned|emailed|forwarded|telephone\s+call|results?\s+to|copy\s+to|attention|attn)"
)
_KIN: Final = (
    r"(?:wife|husband|spouse|son|daughter|mother|father|brother|sister|partner|friend|caregiver|carer|guardian|neighbou?r|aunt|uncle|cousin|niece|nephew"
    r"|grand(?:mother|father|son|daughter)|fianc[ée]e?|roommate|girlfriend|boyfriend|mom|dad|boss|employer|coach|parent|stepson|stepdaughter)"
)
_HOUSE: Final = (
    r"(?:(?:[Mm]emorial|[Gg]eneral|[Cc]ommunity|[Rr]egional|[Cc]hildren['’]?s|[Uu]niversity|[Cc]ounty|[Vv]eterans|[Dd]istrict|[Uu]niversity)\s+)?"
    r"(?:[Hh]ospitals?|[Cc]linics?|[Mm]edical\s+(?:[Cc]enter|[Cc]entre|[Gg]roup|[Pp]laza|[Aa]rts|[Cc]ampus)|[Ii]maging(?:\s+(?:[Cc]enter|[Cc]entre|[Aa]ssociates|[Gg]roup|[Ss]ervices))?"
    r"|[Rr]adiology(?:\s+(?:[Aa]ssociates|[Gg]roup|[Pp]artners|[Cc]enter|[Ss]ervices))?|[Hh]ealth(?:care)?(?:\s+(?:[Ss]ystem|[Cc]enter|[Cc]are|[Cc]entre|[Pp]artners|[Nn]etwork|[Tt]rust))?"
    r"|[Ii]nfirmary|[Ii]nstitute|[Ss]anatorium|[Hh]ospice|[Mm]edicine|[Mm]edical|[Oo]rthop(?:a)?edics?|[Nn]eurosurgery|[Dd]iagnostics|[Uu]rgent\s+[Cc]are|[Nn]ursing\s+[Hh]ome"
    r"|[Uu]niversity|[Cc]ollege|[Rr]ehab(?:ilitation)?(?:\s+[Cc]enter)?|[Ss]pine\s+(?:[Cc]enter|[Cc]entre|[Ii]nstitute)|[Ss]urgery\s+[Cc]enter|MRI(?:\s+[Cc]enter)?|[Kk]lini[kc]um|NHS(?:\s+[Tt]rust)?)"
)
_LABEL: Final = (
    r"(?:mrn|mr\s?no|medical\s+record(?:\s+(?:number|no))?|hospital\s+(?:number|no)|patient\s+(?:id|number|no)|pt\s+id|unit\s+no|chart(?:\s+no)?|accession(?:\s+(?:number|no))?|acc(?:n|t)?"
    r"|order(?:\s+(?:number|no|id))?|account(?:\s+(?:number|no))?|case(?:\s+(?:number|no|id))?|visit(?:\s+(?:number|no|id))?|encounter(?:\s+(?:number|no|id))?|exam\s+(?:id|no|number)"
    r"|study\s+(?:id|no|number)|job(?:\s+(?:id|no|number))?|policy(?:\s+(?:number|no))?|member(?:\s+(?:id|no|number))?|plan\s+(?:id|no|number)|licen[cs]e(?:\s+(?:number|no))?|dea|npi|vin|serial(?:\s+(?:number|no))?"
    r"|s/n|ssn|social\s+security(?:\s+(?:number|no))?|nhs(?:\s+(?:number|no))?|specimen|document\s+(?:id|no|number)|report\s+(?:id|no|number)|requisition|passport|badge|id|lot)"
)
_STREET: Final = (
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|way|place|pl|terrace|ter|highway|hwy|parkway|pkwy|circle|cir|square|sq|trail|trl|close|crescent|row)"
)

Substitute = Callable[["re.Match[str]"], str]

_SHAPES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"[\w.+\-]+\s?@\s?[\w\-]+(?:\.[\w\-]+)+"), "[EMAIL]"),
    (re.compile(r"\b(?:https?://|ftp://|www\.)[^\s,;)\]]+", re.IGNORECASE), "[URL]"),
    (re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|health|nhs\.uk|co\.uk|info|hospital)\b(?:/\S*)?", re.IGNORECASE), "[URL]"),
    (re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"), "[IP]"),
    (re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}"), "[UID]"),
    (re.compile(r"(?<![\d-])\d{3}[- ]\d{2}[- ]\d{4}(?![\d-])"), "[ID]"),
    (
        re.compile(
            r"(?<![\w.])(?:\+?\d{1,3}[\s.\-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.\-])\d{3}[\s.\-]\d{4}(?:\s*(?:x|ext\.?|extension)\s*\d{1,6})?(?!\d)", re.IGNORECASE
        ),
        "[PHONE]",
    ),
    (re.compile(r"(?<![\w.])\+\d{1,3}(?:[\s.\-()]{0,2}\d{2,5}){2,5}(?!\d)"), "[PHONE]"),
    (re.compile(r"(?<![\w.\-])\d{3}-\d{4}(?![\w\-])"), "[PHONE]"),
    (
        re.compile(
            rf"(?<!\w)\d{{1,5}}[A-Za-z]?[ \t]+(?:[NSEW]\.?[ \t]+)?(?:(?!{_STREET}\b)[A-Z0-9][\w'’.]*[ \t]+){{1,4}}(?i:{_STREET})\b\.?"
            r"(?:,?\s*(?:Apt|Suite|Ste|Unit|#)\.?\s*\w+)?(?:,\s*[A-Z][\w .'’-]{2,30})?(?:,?\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?)?"
        ),
        "[ADDRESS]",
    ),
    (re.compile(r"\bP\.?\s?O\.?\s+Box\s+\d+", re.IGNORECASE), "[ADDRESS]"),
    (re.compile(r"\b[A-Z][a-z]+(?:\s[A-Z][a-z]+)?,\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?\b|\b[A-Z]{2}\s+\d{5}(?:-\d{4})?\b"), "[ADDRESS]"),
)
_LABELLED_PHONE: Final = re.compile(
    r"\b(?P<cue>phone|telephone|tel|fax|pager|beeper|mobile|cell|callback|ext(?:ension)?|call(?:ed)?\s+(?:back\s+)?at)(?P<mid>\W{1,3}(?:no\.?|number|#)?\W{0,3})\+?\d[\d\s().\-]{2,18}\d",
    re.IGNORECASE,
)
_LABELLED_ID: Final = re.compile(
    rf"\b(?P<cue>{_LABEL})(?P<mid>\s*(?:number|no\.?|num\.?|id)?\s*[:#=]*\s*(?:is\s+)?)(?P<value>[A-Z]{{0,5}}[\-_/. ]?\d[\w\-/.]{{2,}})(?<![.,])", re.IGNORECASE
)
_LONG_DIGITS: Final = re.compile(r"(?<![\w.])(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T ]?\d{4,6})?(?!\d))\d{6,}(?![\w]|\.\d)")
_MIXED_ID: Final = re.compile(r"(?<![\w.])(?=[\w\-]*\d[\w\-]*\d[\w\-]*\d[\w\-]*\d)(?=[\w\-]*[A-Za-z])[A-Za-z]{1,6}[\-_]?\d[\w\-]{4,}(?!\w)")

_NAME_AFTER: Final = re.compile(
    rf"""(?P<cue>
      \b{_TITLE}\b\.?\s+
    | \b{_DONE}(?:\s+and\s+\w+)?(?:\s+(?:electronically|remotely|preliminarily|digitally|verbally))?\s+(?:by|with)\s*:?\s+(?:(?:the\s+)?{_ROLE}\b[\s:,]+)?(?:{_TITLE}\b\.?\s+)?
    | \b{_TOLD}(?:\s+(?:directly|verbally|by\s+(?:tele)?phone|personally|over\s+the\s+phone|the\s+\w+|results|findings|these|this|with|via|at|to|and|were|was)){{0,5}}\s+(?:with|to|by)?\s*:?\s*(?:(?:the\s+)?{_ROLE}\b[\s:,]+)?(?:{_TITLE}\b\.?\s+)?
    | \b{_ROLE}\b(?:\s*(?:name|of\s+record|on\s+call|initials|signature))?\s*(?:[:=,]|\bis\b|\bwas\b)\s*(?:{_TITLE}\b\.?\s+)?
    | \b(?:technologist|technician|tech|radiographer|nurse|interpreter|radiologist|surgeon|resident|fellow)\s+
    | \b(?:(?:his|her|their|the|patient['’]?s|pt['’]?s)\s+)?{_KIN}\b\s*(?:,|:|\(|\bnamed\b|\bis\b)?\s*(?:{_TITLE}\b\.?\s+)?
    | \b(?:per|cc|attn|attention|from|via|dear|patient|pt|named|known\s+as|a\.?k\.?a\.?|by|with|for|of)\s*:?\s+(?:{_TITLE}\b\.?\s+)?
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_STRONG: Final = re.compile(rf"\b(?:{_TITLE}\b\.?|named|a\.?k\.?a\.?|dear)\s*$", re.IGNORECASE)
_WEAK: Final = re.compile(r"^(?:per|from|via|patient|pt|by|with|for|of)\b", re.IGNORECASE)
_TOKEN: Final = re.compile(rf"\s*(?P<join>,\s+|\s+and\s+|\s*/\s*)?(?P<word>(?:[A-Z]\.){{1,3}}|{_W}(?!\w))(?P<dot>\.(?=\s*[A-Z]?[a-z]?))?")
_PARTICLES: Final = frozenset("van von der den de la del di da dos du le el al bin ibn ter ten st san santa mc mac o".split())
_BEFORE_DEGREE: Final = re.compile(rf"(?P<names>(?:(?:[A-Z]\.|{_W})[ \t]*,?[ \t]+){{1,4}}|{_W}(?:,[ \t]*|[ \t]+))(?P<degree>{_DEGREE})(?![\w])")
_AT_HOUSE: Final = re.compile(
    rf"(?P<run>(?:(?:[Ss]t\.?|[Ss]aint|[Mm]t\.?|[Mm]ount|[Oo]f|[Tt]he|[Aa]nd|&|[Dd]e|[Dd]u|[Ll]a|[Ff]or|{_W})[ \t]+){{1,6}})(?P<house>{_HOUSE})(?!\w)(?P<tail>(?:\s+(?:of|at|in)\s+(?:the\s+)?(?:[A-Z][\w'’]+\s?){{1,3}})?)"
)
_UPPER_HOUSE: Final = re.compile(
    rf"(?P<run>(?:[A-Z][A-Z'’.&\-]*[ \t]+){{1,5}}?)(?P<house>(?i:{_HOUSE}))(?!\w)(?P<tail>)"
)
_UNIVERSITY_OF: Final = re.compile(r"\b(?:University|College|Hospital|Clinic|Institute)\s+of\s+(?:[A-Z][\w'’]+(?:[\s,-]+(?:at\s+)?)?){1,4}")
_HOUSE_NOUNS: Final = frozenset(
    "imaging medical radiology spine orthopedic orthopaedic health diagnostic neurosurgery surgical university care clinic"
    " hospital center centre".split()
)
_HOUSE_WORDS: Final = _HOUSE_NOUNS | frozenset(
    "of the and & de du la memorial general community regional children's university county veterans our lady".split()
)
_AGE: Final = re.compile(r"\b(?:9\d|1[0-2]\d)(?=[\s\-]*(?:years?|yrs?|y/?o\b|y\.o\.|yo\b))|(?<=\baged\s)(?:9\d|1[0-2]\d)\b|(?<=\bage\s)(?:9\d|1[0-2]\d)\b|(?<=\bage:\s)(?:9\d|1[0-2]\d)\b", re.IGNORECASE)


def shapes(text: str) -> str:
    """E-mails, addresses of the net and the post, telephones, record numbers and ages over 89, by their shape."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    text = _LABELLED_PHONE.sub(lambda m: f"{m['cue']}{m['mid']}[PHONE]", text)
    text = _LABELLED_ID.sub(_labelled, text)
    text = _LONG_DIGITS.sub("[ID]", text)
    text = _MIXED_ID.sub(lambda m: m[0] if _technical(m[0]) else "[ID]", text)
    return _AGE.sub("90+", text)


def _labelled(match: re.Match[str]) -> str:
    value = match["value"]
    if sum(c.isdigit() for c in value) < 3 or re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", value):
        return match[0]
    return f"{match['cue']}{match['mid']}[ID]"


def _technical(word: str) -> bool:
    return bool(re.fullmatch(r"(?i)[ctls]\d{1,2}(?:-[ctls]?\d{1,2})+|b\d{1,4}|\d+x\d+", word))


def people(text: str) -> str:
    """Names that a title, degree, role, verb or relative announces."""
    text = _BEFORE_DEGREE.sub(_degree, text)
    out, at = [], 0
    upper = _mostly_upper(text)
    while match := _NAME_AFTER.search(text, at):
        end = _run(text, match.end(), strong=bool(_STRONG.search(match["cue"])), weak=bool(_WEAK.match(match["cue"])), upper=upper)
        out.append(text[at : match.end()])
        at = match.end()
        if end > at:
            out.append("[NAME]")
            at = end
    return "".join(out) + text[at:]


def _run(text: str, start: int, *, strong: bool, weak: bool, upper: bool) -> int:
    """End of the name that begins at ``start``; ``start`` where none does."""
    at, words, pending, lower_name = start, 0, start, False
    while words < 5:
        token = _TOKEN.match(text, at)
        if not token or "\n\n" in text[at : token.end()] or text[at : token.start("word")].count("\n") > 1:
            break
        word = token["word"]
        if text[at : token.start("word")].count("\n") and words and not word[0].isupper():
            break
        if token["join"] and (not words or " and " in token["join"]):
            break
        bare = word.strip(".")
        initial = len(bare) == 1 and bare.isupper() and (token["dot"] or word.endswith(".") or words > 0 or strong)
        if bare.casefold() in _PARTICLES and not is_clinical(bare):
            at = token.end("word")
            continue
        if bare.casefold() in ("van", "von", "de", "la", "del", "der") and words == 0 and (bare[0].isupper() or strong):
            at = token.end("word")
            continue
        follows = lower_name and words == 1 and not is_clinical(bare) and token["join"] is None
        if not (initial or follows or _taken(word, first=words == 0, strong=strong, weak=weak, upper=upper)):
            break
        lower_name = lower_name or (not bare[0].isupper() and is_name(bare))
        words += not initial or words > 0
        at = token.end("dot") if initial and token["dot"] else token.end("word")
        pending = at
        if not initial and token["dot"]:
            break
    return pending


def _taken(word: str, *, first: bool, strong: bool, weak: bool, upper: bool) -> bool:
    if is_ambiguous(word):
        return word[0].isupper() and (strong or not weak) and not (upper and not strong)
    if strong and first:
        return word[0].isupper() or not is_clinical(word)
    if is_clinical(word):
        return False
    if upper and weak:
        return is_name(word)
    return word[0].isupper() or is_name(word)


def _degree(match: re.Match[str]) -> str:
    words = list(re.finditer(rf"(?:[A-Z]\.)|{_W}", match["names"]))
    first = None
    for word in reversed(words):
        bare = word[0].strip(".")
        plain = len(bare) == 1 or (bare[0].isupper() and not is_clinical(bare)) or is_name(bare) or (is_ambiguous(bare) and bare[0].isupper())
        if not plain:
            break
        first = word
    if first is None or len(first[0].strip(".")) < 1:
        return match[0]
    if match["degree"].replace(".", "") in ("DO", "PA", "RT", "DC") and "," not in match["names"] and len(words) == 1:
        return match[0]
    return match["names"][: first.start()] + "[NAME], " + match["degree"]


def places(text: str) -> str:
    """Hospitals, clinics, practices and universities by the noun that ends or begins their name."""
    text = _UNIVERSITY_OF.sub("[PLACE]", text)
    text = _AT_HOUSE.sub(_house, text)
    return _UPPER_HOUSE.sub(_house, text) if _mostly_upper(text) else text


def _house(match: re.Match[str]) -> str:
    words = list(re.finditer(r"\S+", match["run"]))
    first = None
    for index in range(len(words) - 1, -1, -1):
        word = words[index]
        bare = word[0].strip(".,'’")
        if index and words[index - 1][0].casefold().strip(".") in ("st", "saint", "mt", "mount") and bare[:1].isupper():
            first = word
            continue
        linking = bare.casefold() in _HOUSE_WORDS or bare.casefold() in ("st", "saint", "mt", "mount")
        if not linking and (bare.casefold() in clinical() and not is_ambiguous(bare)) and not (first is not None and bare[:1].isupper() and _proper(bare)):
            break
        if not linking and not bare[:1].isupper() and not _lower_house(match, bare):
            break
        if not linking or bare.casefold() in ("st", "saint", "mt", "mount", "memorial", "general", "our", "lady") or bare[:1].isupper():
            first = word
    if first is None:
        return match[0]
    named = match["run"][first.start() :]
    if all(is_clinical(w) or w.casefold() in _HOUSE_WORDS - {"memorial", "general", "our", "lady"} for w in re.findall(_W, named)) and not re.search(
        r"(?i)\b(?:st|saint|mount|mt|memorial|general|county|community|regional|our lady|north|south|east|west)\b", named
    ):
        return match[0]
    if named.casefold().split()[0] == "the" and len(named.split()) > 1:
        first_word = named.split()[0] + " "
        return match["run"][: first.start()] + first_word + "[PLACE]"
    return match["run"][: first.start()] + "[PLACE]"


def _proper(word: str) -> bool:
    return word.casefold() in ("north", "south", "east", "west", "general", "memorial", "red", "blue", "green", "white", "black")


def _lower_house(match: re.Match[str], word: str) -> bool:
    return bool(re.match(r"(?i)hospital|clinic|medical cent|infirmary", match["house"])) and not is_clinical(word)


def _mostly_upper(text: str) -> bool:
    letters = [c for c in text if c.isalpha()]
    return sum(c.isupper() for c in letters) > 0.6 * max(1, len(letters))

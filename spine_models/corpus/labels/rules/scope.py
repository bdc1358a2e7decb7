"""Whether a finding named in a sentence is affirmed, denied, in doubt, or not about now.

Belongs here: cues of negation, doubt and history, and where their reach ends. Does not belong here: findings.

The idea is that of ConText (Harkema, Dowling, Thornblade and Chapman 2009, J Biomed Inform 42:839-851), which extends
NegEx (Chapman, Bridewell, Hanbury, Cooper and Buchanan 2001, J Biomed Inform 34:301-310): cues before or after a
finding, words that only look like one, and words that end a cue's reach. The cues are written for this project from
how spine reports are worded. What differs: a reach has no fixed number of words but ends at words that open a clause
("but", "there is", "with moderate ..."), at a verb, or at a comma that no "or" turns into a list ("no herniation,
high-grade stenosis or impingement" is one denial, "no herniation, moderate stenosis" is not); a side is denied apart
("moderate right and no left stenosis"); values of tables ("stenosis: none") and answers ("herniation? no") deny;
doubt is a status of its own and weaker than a denial before the finding; and history takes the mention out of the
evidence, as does what was asked for, treated, recommended or could not be assessed. There is no experiencer: what
stands in a family's history is history.

Decisions: "likely", "probable", "consistent with", "compatible with" affirm; "possible", "may represent",
"suspicious for", "suggestive of", "cannot be excluded", "versus", "borderline", "unlikely" and "?" are doubt. "No
new", "no acute" and "no definite" deny. What was asked for, treated or looked for is no evidence.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

from spine_models.domain import Status


class NoEvidence(Enum):
    """The finding is named but nothing is said of its presence now."""

    HISTORY = "history"


_DEGREE: Final = (
    r"(?:mild|moderate|severe|marked|minimal|slight|trace|advanced|high[- ]grade|critical|significant|small"
    r"|large|tiny|mod|sev"
    r"|stable|unchanged|persistent|grade [1-4i]|multi-?level|diffuse|subtle|prominent|extensive|chronic"
    r"|acute|subacute)"
)
_SEEN: Final = (
    r"(?:seen|identified|noted|evident|present|demonstrated|appreciated|visuali[sz]ed|detected|observed"
    r"|shown|found"
    r"|suggested|apparent|visible|recogni[sz]ed)"
)

# Words that look like a denial and are none.
_PSEUDO: Final = re.compile(
    r"\bno (?:(?:significant|appreciable|definite|substantial|obvious|interval|other|real"
    r"|gross) ){0,2}(?:interval )?"
    r"(?:changes?|progression|worsening|improvement|increase|decrease|reduction)(?: (?:in|of|to|from|since"
    r"|with))?\b"
    r"|\bnot (?:significantly |substantially |appreciably |markedly )?(?:changed|progressed|worsened"
    r"|improved|increased)"
    r"|\bwithout (?:significant |interval |appreciable )*(?:change|progression|worsening|improvement)(?: in"
    r"| of)?\b"
    r"|\bnot only\b|\bno further (?=loss|collapse|height)|\bno doubt\b|\bnot (?:surprisingly|unexpected\w*)\b"
    r"|\bno (?:other|additional) (?=level)|\bnormal variant\b"
    r"|\bwithout (?:and with )?(?:iv |intravenous )?(?:contrast|gadolinium|enhancement(?= images))\b"
    # What is doubted is its age, cause or degree.
    r"|\bpossibly (?=acute|subacute|chronic|pathologic|degenerative|old\b|recent|benign|malignant|congenital"
    r"|reactive)"
    r"|\b(?:to|or|and) possibly (?=moderate|severe)"
    r"|(?<=mild )(?:versus|vs\.?) (?=moderate|minimal)|(?<=moderate )(?:versus|vs\.?) (?=severe|mild)"
    r"|\bor may not\b|\bneither confirmed nor\b(?= (?:excluded|refuted|ruled))"
    r"|\b(?:neither|nor)\b(?=[^.;]*\b(?:has|have) (?:\w+ly )?(?:changed|progressed|worsened|improved|increased)\b)"
    r"|\b(?:no|not) (?:more|worse|greater|less) than\b|\bno (?:significant |appreciable )?difference\b"
)
_NEGATION: Final = re.compile(
    r"\b(?:no longer|no|without(?: evidence of)?|w/o|nor|neither|never|none of|none(?= \w+ing\b)"
    r"|nothing to (?:suggest|indicate)"
    r"|nothing suspicious for|relie(?:ved|ving)|relief of|eliminated|argu(?:es|ing) against|negative for|absence of"
    r"|lack of|lacks?|clear of|(?<!\w )absent(?= [a-z])|nowhere"
    r"|lacking|free of|free from|devoid of|resolution of|resolved|rather than|instead of|denies"
    r"|fails? to \w+|excludes?"
    r"|rules? out the presence|not(?! (?:well|\w+ly)? ?"
    r"(?:seen|identified|visuali[sz]ed|evaluated|included|imaged|assessed|present|evident|demonstrated"
    r"|appreciated"
    r"|noted|excluded|detected|shown|found|visible|applicable)))\b"
)
_NEGATION_ENDS: Final = re.compile(
    r";|\b(?:but|however|although|though|except(?:ing)?|apart from|aside from|other than|besides|whereas"
    r"|while|yet"
    r"|nevertheless|nonetheless|there (?:is|are|remains?|has|have)|because of|due to|secondary to|related to"
    r"|on the basis of|in the setting of|superimposed (?:on|upon)|despite|adjacent to|in addition"
    r"|additionally|instead"
    r"|now|only)\b"
    r"|(?<!mild)(?<!moderate)(?<!severe)(?<!significant)(?<!focal)(?<!large)(?<!acute)(?<!chronic)"
    rf",\s*(?:and |now |then )?(?:with |but )?(?:(?:a|an|the|this|these|it|there|mildly|moderately"
    rf"|severely) |{_DEGREE}\b)"
    rf"|\band (?:with )?(?:(?:a|an|there|this|these) |{_DEGREE}\b(?! (?:or|and) ))"
    rf"|\bwith (?:a |an |associated |resultant |resulting |secondary |only |some )*(?:{_DEGREE}|left|right"
    rf"|bilateral)\b"
    rf"|\b(?:is|are|was|were)\s+(?:\w+ly\s+)?(?:not |again )?(?:{_SEEN}|patent|normal|preserved|maintained"
    rf"|intact)\b"
    r"|,\s*(?:and |then |next |next level )?(?:at )?(?:the )?[ctl]-?\d{1,2} ?[-/][^,;]*(?:(?:mild|moderate"
    r"|severe|minimal|marked)|there)"
    r"|,[^,]*\b(?:is|are|shows?|demonstrat\w+|reveals?|has|have|exhibits?)\b"
    r"|,\s*(?:which|causing|resulting|producing|contributing)\b"
)
_NOT_EXCLUDED: Final = re.compile(
    r"\b(?:can ?not|can'?t|could(?: not|n'?t)|not|to|please|help)(?: be)?(?: \w+ly)? $"
)
# "moderate right and no left foraminal stenosis" affirms, on one side.
_ONE_SIDE: Final = re.compile(r" (?:significant )?(?:left|right)(?:[ -]sided)? (?:neural )?")
_OTHER_SIDE: Final = re.compile(
    r"\b(?:mild|moderate|severe|minimal|slight)\w* (?:left|right)(?:[ -]sided)?,? (?:and|but|with) $"
)
_LISTED: Final = re.compile(r"(?:(?!\b(?:and|with|but|is|are|there)\b)[^;.])*,? \b(?:or|nor)\b")
_NOT_ENDS: Final = re.compile(r",|\b(?:and|by)\b")

_DENIED_AFTER: Final = re.compile(
    rf"[^.?]{{0,40}}?[;,] (?:but )?none (?:is|are|was|were) {_SEEN}"
    r"|[^,;:.?]{0,60}?(?:,? (?:or|nor) [^,;:.?]{0,30}?)?\b(?:is|are|was|were|has been|have been|being)? ?"
    rf"(?:not(?: \w+ly)?|no longer|never) (?:\w+ly )?(?:{_SEEN}|an? (?:\w+ )?feature|in evidence|obvious|active"
    rf"|encountered)\b(?! well)"
)
_DENIED_STATE: Final = re.compile(
    r"[^,;:.?]{0,60}?\b(?:(?:has|have|had|is|are) (?:\w+ly |now |since |been |all )*(?:resolved|resorbed"
    r"|disappeared|gone|settled"
    r"|subsided|vanished|cleared(?! (?:partial|in part|some|from|slight))|relieved|alleviated|eliminated"
    r"|reabsorbed|abated"
    r"|(?:completely|fully|entirely) (?:regressed|cleared)"
    r"|(?:regressed|cleared) (?:completely|fully|entirely))|(?:is"
    r"|are) (?:\w+ly )?(?:absent|ruled out|excluded)"
    r"|(?:has|have) been (?:ruled out|excluded)|resolution)\b| neither (?:in|on|at|before)\b"
)
_DENIED_VALUE: Final = re.compile(
    r"[^,;:.?\w]{0,2}(?:\([^)]*\))? ?(?::|=|-) ?(?:none|no\b(?! (?:significant |interval )?change)|nil"
    r"|absent|negative|not "
    rf"(?:{_SEEN}|significant)|n/a|normal|unremarkable|within normal|-(?: |$)|0\b)"
)
_ANSWERED: Final = re.compile(
    r"[^,;:.?]{0,12}\? ?(?:(?P<no>no\b(?! \w)|none|nil|negative|absent|not )|yes\b|present\b)"
    r"|[^;:.?]{0,80}: ?(?P<all>(?:all|each|both) (?:absent|negative|none|excluded))"
)
_DOUBT_BEFORE: Final = re.compile(
    r"\b(?:quer(?:y|ied)|wonder(?:ing)? (?:about|if|whether)|(?:can ?not|unable to|hard to"
    r"|difficult to) (?:tell|say|know)"
    r"(?: whether| if)?|indeterminate for|inconclusive for|not (?:\w+ly )?convinced(?: that)?"
    r"|inconclusive (?:evidence|findings?|signs?|features?) (?:of|for)|tentative(?:ly)?|we suspect|suspect(?= )"
    r"|uncertain|maybe|arguabl[ey]|presumptive(?:ly)?"
    r"|(?:(?:could|would|might|should|also|must) consider|^consider)(?! [^.;,]*\b(?:for|to|\w+ectomy"
    r"|\w*compression for|injections?|referral|surg\w+"
    r"|ct|mri|contrast|follow\S*|imaging|correlat\w+)\b)"
    r"|favou?r\w*(?: to (?:be|represent))?[^.;,]{0,40}? over|art[ei]fact\w* (?:or|and/or)"
    r"|whether (?:this |it |these )?(?:represents?|reflects?|is|there is)|to (?:better |further )?confirm|hint of"
    r"|can represent|impending|possib(?:le|ly|ility of)|questionabl[ey]"
    r"|question(?:ed|s)?(?: of)?|equivocal|suspected"
    r"|suspicion (?:(?:is|was) (?:raised )?)?(?:of|for|about)"
    r"|suspicious (?:for|of)|concern(?:s|ing)? (?:for|of)|concerning|worrisome for"
    r"|may(?: \w+)? (?:represent|reflect|be|indicate"
    r"|suggest|relate to|have|correspond to)|may|might|could(?: \w+)? (?:represent|reflect|be|indicate"
    r"|relate to|suggest)"
    r"|(?:can ?not|can'?t|could(?: not|n'?t))(?: be)?(?: \w+ly)? (?:exclude|rule out)"
    r"|(?:to|not|please) (?:\w+ly )?exclude(?:d is)?"
    r"|rule out|r/o|suggest(?:ive of|ing|s|ed|ion of)?|rais(?:es?|ing)(?: the)? (?:possibility|question"
    r"|concern|suspicion)"
    r"|(?:differential(?: diagnos[ie]s| considerations?)?(?: would| is)?(?: includes?| including| of| between)?"
    r"|ddx?(?=[ :]))"
    r"|vs\.?"
    r"|versus|borderline"
    r"|doubtful|potential(?:ly)?|perhaps|conceivabl[ey]|unlikely(?: to (?:represent|be))?|less likely)\b"
    r"|(?:(?<=[ (/])|^)\? ?(?=\w)"
)
_DOUBT_ENDS: Final = re.compile(
    rf"[,;:]|\b(?:but|however|although|causing|resulting|there (?:is|are)|and (?:{_DEGREE}|there)"
    rf"|with (?:a |an |associated )*"
    rf"(?:{_DEGREE}|left|right|bilateral)|in addition|superimposed on)\b"
)
_LISTED_WITH_AND: Final = re.compile(
    rf"(?:(?!\b(?:and|with|but|is|are|there|shows?|has|have|left|right|bilateral|no|without"
    rf"|{_DEGREE})\b)[^;.])*,? and "
    rf"(?!(?:{_DEGREE}|there|no|the|left|right|bilateral|with|without)\b)"
)
# "The differential includes artefact, a small haemangioma and a fracture": one list, whatever its commas.
_DIFFERENTIAL: Final = re.compile(r"differential|ddx?\b")
_DIFFERENTIAL_ENDS: Final = re.compile(
    r";|\b(?:but|however|although|there (?:is|are)|with|is|are|on the other hand)\b"
)
# "perhaps with a small cyst", "not convinced that there is": words right behind the cue that end nothing.
_BRIDGE: Final = re.compile(r" ?:| (?:with|(?:that |whether |if )?there (?:is|are|has been))\b")
_DOUBT_AFTER: Final = re.compile(
    r"[^,;:.?]{0,45}?(?:\b(?:is|are|was|were|remains?) (?:\w+ly )?(?:possible|questioned|questionable"
    r"|suspected(?! to be (?!present|there))|considered"
    r"|equivocal|not excluded|unlikely|not entirely excluded|doubtful|in the differential)\b"
    r"|\b(?:may|might|could) (?:be|have been) (?:missed|overlooked|occult|obscured)\b"
    r"|\b(?:felt|thought|considered|believed)(?: to be)? (?:\w+ly )?(?:unlikely|possible|doubtful)\b"
    r"|\bcan ?not (?:be )?(?:\w+ly )?(?:exclude\w*|ruled out)|\bnot (?:be )?(?:\w+ly )?(?:excluded|ruled out)"
    r"|\b(?:may|might|could) be (?:present|considered)|\bshould be considered\b(?! for)|\b(?:should|needs? to|must"
    r"|has to) be (?:excluded|ruled out)\b(?! from)|\b(?:is|are|was) (?:\w+ly )?suggested\b"
    r"|\b(?:difficult|hard|impossible|not possible) to (?:be (?:sure|certain)|exclude|confirm|say|judge"
    r"|appreciate|verify|tell)"
    r"|\bcan ?not be (?:\w+ly )?(?:dismissed|discounted|confirmed|verified)|\bnot (?:\w+ly )?(?:certain"
    r"|conclusive|confirmed)\b(?! to be)"
    r"|\b(?:is|are|remains?) (?:\w+ly )?(?:uncertain|unclear|indeterminate)\b"
    r"|\bcan ?not be (?:\w+ly )?(?:differentiated|distinguished|separated)\b|\bless likely\b|\bversus\b|\bvs\b"
    r"|\bnot convincing(?:ly)?\b|\bis (?:raised|queried|in question)\b"
    r"|(?:\bis|\bare|\bremains?|,)? \b(?:a|one|another) (?:\w+ )?(?:possibility|consideration|option)\b"
    r"|\b(?:may|might|could|likely|probably|possibly|felt to|favou?red to) (?:also )?(?:be |represent |reflect )?"
    r"(?:\w+ly )?(?:due to |secondary to )?(?:art[ei]fact\w*|spurious|volume averaging|exaggerated|projectional))"
    r"|[^,;:.?]{0,12}(?:\(\?\)|\?(?!\w))|[^,;:.?]{0,25},? (?:possible|questionable|equivocal|not excluded"
    r"|less likely)(?=[.;]?$)"
    r"|[^,;:.?]{0,40}, (?:but )?(?:could|might|may) (?:also |equally |well )?(?:be|represent) an? "
    r"|[^,;:.?]{0,25}, (?:not|cannot be) (?:\w+ly )?excluded"
    r"|[^,;:.?]{0,25}?(?: ?:| -| ?\() ?(?:borderline|possible|equivocal|questionable|indeterminate|suspected|queried)"
    r"(?=[ ]?[),.;]|$| (?:at|in|on) )"
    r"|[^,;:.?]{0,30}? (?:suspected|queried|possible|questioned)(?=[,.;]|$| (?:at|in|on) )"
    r"|[^,;:.?]{0,40}?,? (?:but|though|although|albeit)? ?(?:this is |these are )?not (?:\w+ly )?(?:definit(?:e"
    r"|ive)|certain"
    r"|conclusive|convincing|confirmed)\b(?! to be)"
    r"|[^,;:.?]{0,45}?\b(?:(?:remains?|is|are) (?:a|of|one|another) (?:\w+ )?concern|(?:has"
    r"|have) not been (?:\w+ly )?"
    r"(?:excluded|ruled out|confirmed)|neither confirmed nor|_{10,} (?:excluded|refuted|ruled)|(?:is|are) conceivable"
    r"|(?:is|are|appears?) (?:only |at most |at best )?borderline|(?:with)?in the differential"
    r"|(?:only|just|at best) (?:tentative|possibl|questionabl|equivocal)\w*|and (?:is |are )?(?:indeterminate"
    r"|equivocal)"
    r"|(?:may|might|could|would|should) (?:also |still )?be (?:considered|entertained|raised)(?! for))\b"
)
# "The age of the fracture is uncertain": what is doubted is not the finding.
_OF_ITS_AGE: Final = re.compile(
    r"\b(?:age|acuity|chronicity|a?etiology|cause|nature|origin|significance|relevance|importance|stability"
    r"|activity) of (?:(?!\b(?:is|are|and|or)\b)[^.;:,])*$"
)
_ASKED: Final = re.compile(rf"\? ?(?:(?:{_DEGREE}|left|right|bilateral|early|old|new|of|a|an) )*$")
_ELSEWHEN: Final = re.compile(
    r"\b(?:(?:mother|father|sister|brother|parents?|siblings?|aunt|uncle|grand\w+|cousin|relatives?|family"
    r" (?:history|members?)|maternal|paternal|twin)\b[^.;,]{0,40}?(?:has|had|with|of|for|: ?(?=\w))"
    r"|history of|h/o|hx(?: of)?|s/p|status[- ]post|evaluat(?:e|ion) (?:for|of)|assess(?:ment)? (?:for"
    r"|of)|to assess|to look"
    r" for|work-?up (?:of|for)|(?:clinical|there is) (?:concern|suspicion|question) (?:for"
    r"|of)(?= .* (?:recommend|consider))"
    r"|presents? with|complain\w* of|if there (?:is|are)(?: \w+)? (?:concern|suspicion)(?: \w+)? (?:for|of)"
    r"|risk (?:of|for)"
    r"|(?:surgery|treatment|treated|laminectomy|fusion|discectomy|decompression|repair|resection|screening"
    r"|vertebroplasty|kyphoplasty|augmentation|fixation|stabili[sz]ation|corpectomy|monitor\w*)"
    r"(?: (?:at|of|from) [ctls]\d[-/ctls0-9]*(?: (?:to|and|through) [ctls]\d\S*)?)? (?:for|of)"
    r"|(?:on|in|from) (?:the )?(?:prior|previous) (?:mri|ct|exam\w*|stud(?:y|ies)),?|should there be"
    r"|in the absence of"
    r"|correlat\w+ (?:for|with (?:signs|symptoms) of)|predispos\w+ to|secondary signs of"
    r"|(?:clinical(?:ly)? (?:concern|suspicion|question|suspected)(?: (?:for|of))?)"
    r"|(?:recommend\w*|correlat\w+|advis\w+|suggest(?:ed)?|consider\w*|follow-?up|further|ct|mri|radiographs?"
    r"|x-?rays?|imaging"
    r"|biopsy)\b[^.;]{0,50}?\bto (?:exclude|rule out|assess|evaluate|characteri[sz]e|look for|determine))\b"
)
_NOT_ASSESSED: Final = re.compile(
    r"[^,;:.?]{0,30}?\b(?:can ?not|could not|not|difficult to|limits?)(?: be)? (?:\w+ly )?"
    r"(?:assess(?:ed|able)?|evaluat(?:ed|e)|evaluable|determined?|included|imaged|covered)\b"
)
# "Not assessed (no axial images): canal stenosis, facet cyst": a list of what nobody looked at.
_LIST_NOT_ASSESSED: Final = re.compile(
    r"\b(?:not|could not be|can ?not be|unable to be) (?:\w+ly )?(?:assess(?:ed|able)|evaluat(?:ed|able)|evaluable"
    r"|imaged|included|covered)(?: \([^)]*\)| (?:on|in|by|with|due to|because of) [^:;.]{0,60}?)? ?:"
)
_ELSEWHEN_ENDS: Final = re.compile(
    r"[,;]|\b(?:with|without|w/o|no|but|however|now|there (?:is|are)|shows?|demonstrates?|reveals?|again"
    r"|is|are|and there)\b"
)


# Bits of words without which a pattern cannot match: most sentences hold none and are not searched (for speed alone).
_STEMS: Final[dict[re.Pattern[str], tuple[str, ...]]] = {
    _DOUBT_BEFORE: (
        "quer", "wonder", "tell", "say", "know", "indeterm", "inconclus", "convinc", "confirm", "hint",
        "represent", "impending", "whether", "possib",
        "question", "equivoc", "suspec", "suspic", "concern", "worri", "may", "might", "could", "exclu", "rule",
        "r/o", "suggest", "rais", "differential", "vs", "versus", "borderline", "doubt", "potential", "perhaps",
        "conceiv", "likely", "?", "inconclus", "tentativ", "uncertain", "maybe", "arguabl", "presumpt", "consider",
        "favo", "fact", "dd",
    ),
    _ELSEWHEN: (
        "mother", "father", "sister", "brother", "parent", "sibling", "aunt", "uncle", "grand", "cousin", "relative",
        "family", "twin", "maternal", "paternal", "history", "h/o", "hx", "s/p", "status", "evaluat", "assess",
        "look", "work", "concern", "suspicion",
        "question", "suspected", "present", "complain", "risk", "surg", "treat", "ectomy", "fusion", "decompr",
        "repair", "resect", "screen", "plasty", "augment", "fixat", "stabili", "monitor", "prior", "previous",
        "should", "absence", "correlat", "predispos", "secondary", "exclude", "rule", "characteri", "determin",
    ),
    _NOT_ASSESSED: ("assess", "evalua", "determin", "included", "imaged", "covered"),
    _LIST_NOT_ASSESSED: ("assess", "evalua", "included", "imaged", "covered"),
    _ANSWERED: ("?", ": "),
    _DOUBT_AFTER: (
        "suggested", "difficult", "hard", "impossible", "dismiss", "discount", "confirm", "verif", "certain",
        "conclusive",
        "possib", "question", "suspect", "consider", "equivoc", "exclu", "likely", "doubt", "differential", "rule",
        "may", "might", "could", "vs", "versus", "convinc", "raised", "queried", "fact", "spurious", "averag",
        "exagger", "projection", "?", "felt", "thought", "believed", "uncertain",
        "definit", "concern", "conceiv", "borderline", "tentativ", "entertained", "convinc", "raised",
        "unclear", "indeterm", "differentiated", "distinguished", "separated",
    ),
    _DENIED_AFTER: ("not", "no longer", "never", "none"),
    _DENIED_STATE: ("resol", "resor", "disappear", "regress", "cleared", "absent", "ruled", "exclu", "gone", "settled",
        "subsid", "vanish", "relieved", "alleviat", "eliminat", "reabsor", "abated", "neither"),
}  # fmt: skip


def _may_hold(pattern: re.Pattern[str], text: str) -> bool:
    stems = _STEMS.get(pattern)
    if stems is None:
        return True
    for stem in stems:  # noqa: SIM110  # a generator would take as long as the search that it saves
        if stem in text:
            return True
    return False


def _match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return pattern.match(text) if _may_hold(pattern, text) else None


def mask(sentence: str) -> str:
    """The sentence with words that only look like a denial blanked out; offsets stay."""
    return _PSEUDO.sub(lambda match: "_" * len(match.group(0)), sentence)


def judge(masked: str, start: int, end: int, *, head: int | None = None) -> Status | NoEvidence:
    """What the sentence says of the finding named at ``[start, end)``.

    Args:
        masked: the sentence after ``mask``.
        start: of the finding's words.
        end: of the finding's words.
        head: end of a shared head ("canal or foraminal stenosis") where it lies beyond ``end``.
    """
    after = masked[max(end, head or end) :]
    if _match(_NOT_ASSESSED, after) or _listed_as_not_assessed(masked, start):
        return NoEvidence.HISTORY
    if _reaches(_ELSEWHEN, _ELSEWHEN_ENDS, masked, start):
        return NoEvidence.HISTORY
    if answered := _match(_ANSWERED, after):
        return Status.ABSENT if answered["no"] or answered["all"] else Status.PRESENT
    doubt_after = None if _OF_ITS_AGE.search(masked, 0, start) else _match(_DOUBT_AFTER, after)
    denied = _denied_before(masked, start)
    if denied and not (doubt_after and "exclu" in doubt_after.group(0)):
        return Status.ABSENT
    asked = _ASKED.search(masked, max(0, start - 40), start) is not None
    if doubt_after or asked or _reaches(_DOUBT_BEFORE, _DOUBT_ENDS, masked, start):
        return Status.AMBIGUOUS
    if _DENIED_VALUE.match(after) or _match(_DENIED_AFTER, after) or _match(_DENIED_STATE, after):
        return Status.ABSENT
    return Status.PRESENT


def _listed_as_not_assessed(masked: str, start: int) -> bool:
    last = _last(_LIST_NOT_ASSESSED, masked, start)
    return last is not None and ";" not in masked[last.end() : start]


def _denied_before(masked: str, start: int) -> bool:
    last = _last(_NEGATION, masked, start)
    if last is None:
        return False
    before, after = masked[:start], masked[start:]
    between = before[last.end() :]
    if last.group(0) in ("rather than", "instead of"):
        return "," not in between and len(between) < 60
    if last.group(0) == "not" and _NOT_ENDS.search(between) and " or " not in between:
        return False
    if last.group(0).startswith("exclude") and _NOT_EXCLUDED.search(before[: last.start()]):
        return False
    if _ONE_SIDE.fullmatch(f"{between} ") and _OTHER_SIDE.search(before[: last.start()]):
        return False
    for end in _NEGATION_ENDS.finditer(between):
        # "no herniation, high-grade stenosis or impingement" is one denied list; without its "or" it is not.
        listed = end.group(0).startswith(",") and _LISTED.match(f"{between[end.end() :]}{after}")
        if not listed:
            return False
    return True


def _reaches(cues: re.Pattern[str], ends: re.Pattern[str], masked: str, start: int) -> bool:
    last = _last(cues, masked, start)
    if last is None:
        return False
    bridge = _BRIDGE.match(masked, last.end(), start)
    begin = bridge.end() if bridge else last.end()
    if cues is _DOUBT_BEFORE:
        if _DIFFERENTIAL.match(last.group(0)):
            return _DIFFERENTIAL_ENDS.search(masked, begin, start) is None
        # "possible protrusion, foraminal stenosis or cyst": one doubt for the list that an "or" closes.
        return all(
            end.group(0) == ","
            and (_LISTED.match(masked, end.end()) or _LISTED_WITH_AND.match(masked, end.end()))
            for end in ends.finditer(masked, begin, start)
        )
    return ends.search(masked, begin, start) is None


def _last(cues: re.Pattern[str], masked: str, start: int) -> re.Match[str] | None:
    """The last cue that ends before a finding."""
    return next((cue for cue in reversed(_cues(cues, masked)) if cue.end() <= start), None)


@lru_cache(maxsize=16)
def _cues(cues: re.Pattern[str], masked: str) -> tuple[re.Match[str], ...]:
    """Every cue of a sentence; its findings ask one after the other."""
    return tuple(cues.finditer(masked)) if _may_hold(cues, masked) else ()

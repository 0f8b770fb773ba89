"""A peer's own words, fit for the log: PACS name animals and owners in their error comments, and not only of what they got.

"UID exists for Bello Schmidt, ID A123" speaks of another animal than the one that was sent, so no header tells what to hide.
Only words pass that are known to name nobody.
"""

from __future__ import annotations

import re

from pydicom.datadict import dictionary_has_tag, keyword_dict

_MOST_LETTERS = 200
_MASK = "…"
# None of them is anybody's name: no "may", "will", "mark", "star" or "max".
_KNOWN = frozenset(
    """
    a able abort aborted about accept accepted access account ae after again all allowed already an and another any
    application archive are as association at attribute attributes authorised authorized bad be because been before
    being bit bits broken but by bytes callback called calling cannot change changed character characters check class
    classes closed code coerced coercion coercions command commit commitment conflict conflicting connect connection
    constraint contain contained contains content context convert converted corrupt corrupted could create created
    creation data database dataset decode decoded decoder decoding delete deleted denied denies deny determined device
    dicom did different dimse disabled disk do does done down duplicate element elements empty encode encoded encoding
    entity entry equal error errors exceed exceeded exception exist existing exists expected explicit fail failed
    failing fails failure field file files filter filtered filteredout find for forbidden format found frame from full
    group had has have header how id identical identifier if ignored illegal image images implicit import in incoming
    incompatible incomplete incorrect index insert instance instances insufficient internal into invalid invocation io
    is issue it item items its job kept known large length level library license limit limitation limited local lock
    locked long lookup lossy many match matches matching memory merge message meta mismatch missing modality modified
    more must name names network no non none not null number object objects of offered on only open operation option or
    order other out overflow overwrite owner parse parsed parser parsing patient peer pending permission permitted pixel
    pixels please policy preamble prefix present presentation private problem process processed processing protocol
    query queue quota range read reason received refused rejected remote removed repository request requested require
    required requires resource resources response retrieve retry returned rule rules same sc scp scu see sent sequence
    series server service session set short should size some sop source space sr status storage store stored storing
    structure study successful successfully such support supported syntax system table tag tags temporarily temporary
    than that the their then there they this time timeout to too transaction transfer try type types uid uids unable
    unauthorised unauthorized unavailable uncompressed undefined unexpected unique unknown unreadable unrecognised
    unrecognized unsupported until update updated upload use used user using validate validated validation value values
    version violated violates violation vr was were when which while with without write writing written wrong yet you
    your zero
    """.split()  # noqa: SIM905  as a list it would fill five screens
)
_LAYOUT = re.compile(r"[^\w\s.,:;()/-]+")
_TOKEN = re.compile(
    r"(?P<uid>(?<![\w.])[0-2](?:\.\d+){3,}(?![\w.]*\w))"
    r"|\((?P<tag>[0-9A-Fa-f]{4},[0-9A-Fa-f]{4})\)"
    r"|(?P<status>\b0x[0-9A-Fa-f]{4}\b)"
    r"|\w+"
)
_MASKS = re.compile(rf"{_MASK}(?:[^\w()]*{_MASK})+")


def without_identity(comment: str) -> str:
    """The comment with everything masked that is no UID, no tag of the dictionary, no status and no known word."""
    said = _TOKEN.sub(_shown, _LAYOUT.sub(" ", comment))
    return " ".join(_MASKS.sub(_MASK, said).split())[:_MOST_LETTERS]


def _shown(found: re.Match[str]) -> str:
    token = found[0]
    if found["tag"]:
        return token if dictionary_has_tag(int(found["tag"].replace(",", ""), 16)) else f"({_MASK})"
    if found["uid"] or found["status"] or token.casefold() in _KNOWN:
        return token
    # As "PatientID"; words alone, such as "Rows", might be a name.
    is_keyword = token in keyword_dict and any(letter.isupper() for letter in token[1:])
    return token if is_keyword else _MASK

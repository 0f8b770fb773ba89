"""Coded concepts by name. Each meaning is taken from the context group it belongs to: SCT 399198007 means "Left-right
lateral" in CID 7484 and something else in CID 4010, so views are chosen by CID and never by a global name.

Marks of the sources: CID n = seen in that context group of PS3.16; private = scheme 99HNDSFLD, declared in every document
that uses it and listed in CONFORMANCE.md, because no standard code was found.
"""

from domain.types import Code, FindingOutcome, Region, Species, View

PRIVATE_SCHEME = "99HNDSFLD"
PRIVATE_SCHEME_NAME = "Houndsfield codes"
PRIVATE_SCHEME_UID = "2.25.207614063049231984510985107345192837465"

# Species: CID 7454
SPECIES = {
    Species.DOG: Code(value="448771007", scheme="SCT", meaning="Canis lupus familiaris"),
    Species.CAT: Code(value="448169003", scheme="SCT", meaning="Felis catus"),
}

# Regions: CID 7483
REGIONS = {
    Region.THORAX: Code(value="816094009", scheme="SCT", meaning="Chest"),
    Region.ABDOMEN: Code(value="818981001", scheme="SCT", meaning="Abdomen"),
    Region.PELVIS: Code(value="816092008", scheme="SCT", meaning="Pelvis"),
    Region.HEAD: Code(value="89546000", scheme="SCT", meaning="Skull"),
}

# Views: CID 7484. A right lateral is taken in right recumbency: the beam enters at the left.
VIEWS = {
    View.RIGHT_LATERAL: Code(value="399198007", scheme="SCT", meaning="Left-right lateral"),
    View.LEFT_LATERAL: Code(value="399173006", scheme="SCT", meaning="Right-left lateral"),
    View.VENTRODORSAL: Code(value="442441009", scheme="SCT", meaning="Ventro-dorsal"),
    View.DORSOVENTRAL: Code(value="441672003", scheme="SCT", meaning="Dorso-ventral"),
    View.CAUDOCRANIAL: Code(value="399196006", scheme="SCT", meaning="Caudocranial"),
    View.MEDIOLATERAL: Code(value="399260004", scheme="SCT", meaning="medial-lateral"),
    View.LATEROMEDIAL: Code(value="399352003", scheme="SCT", meaning="Lateromedial"),
}

# Anatomy
HEART = Code(value="80891009", scheme="SCT", meaning="Heart")

# Measurements. OHIF matches the meanings "Long Axis" and "Short Axis" letter by letter.
VHS = Code(value="VHS", scheme=PRIVATE_SCHEME, meaning="Vertebral heart score")
LONG_AXIS = Code(value="103339001", scheme="SCT", meaning="Long Axis")
SHORT_AXIS = Code(value="103340004", scheme="SCT", meaning="Short Axis")

# Units: UCUM
MILLIMETRE = Code(value="mm", scheme="UCUM", meaning="millimeter")
VERTEBRAE = Code(value="{vertebrae}", scheme="UCUM", meaning="vertebrae")
PERCENT = Code(value="%", scheme="UCUM", meaning="Percent")

# Report scaffolding: DCM
CONCLUSION = Code(value="121077", scheme="DCM", meaning="Conclusion")
COMMENT = Code(value="121106", scheme="DCM", meaning="Comment")
NORMALITY = Code(value="121402", scheme="DCM", meaning="Normality")

# Qualifiers
OUTCOMES = {
    FindingOutcome.PRESENT: Code(value="52101004", scheme="SCT", meaning="Present"),
    FindingOutcome.ABSENT: Code(value="272519000", scheme="SCT", meaning="Absent"),
    FindingOutcome.UNCERTAIN: Code(value="UNCERTAIN", scheme=PRIVATE_SCHEME, meaning="Uncertain"),
    FindingOutcome.NOT_ASSESSABLE: Code(value="NOTASSESS", scheme=PRIVATE_SCHEME, meaning="Not assessable"),
}
ANALYSIS_OUTCOME = Code(value="OUTCOME", scheme=PRIVATE_SCHEME, meaning="Outcome of the analysis")
ANALYSED = Code(value="ANALYSED", scheme=PRIVATE_SCHEME, meaning="Analysed")
DECLINED = Code(value="DECLINED", scheme=PRIVATE_SCHEME, meaning="Declined: not analysed")
FAILED = Code(value="FAILED", scheme=PRIVATE_SCHEME, meaning="Failed: not analysed")

PRIVATE = (
    VHS,
    OUTCOMES[FindingOutcome.UNCERTAIN],
    OUTCOMES[FindingOutcome.NOT_ASSESSABLE],
    ANALYSIS_OUTCOME,
    ANALYSED,
    DECLINED,
    FAILED,
)

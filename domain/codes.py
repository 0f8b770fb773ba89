"""Coded concepts by name. Each meaning is taken from the context group it belongs to: SCT 399198007 means "Left-right
lateral" in CID 7484 and something else in CID 4010, so views are chosen by CID and never by a global name.

Marks of the sources: CID n = seen in that context group of PS3.16; private = scheme 99HNDSFLD, declared in every document
that uses it and listed in CONFORMANCE.md, because no standard code was found.
"""

from dataclasses import dataclass

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

# Anatomy, each in a context group that pydicom holds; joints and bones as in CID 7483, its spelling of "Stiffle" included
HEART = Code(value="80891009", scheme="SCT", meaning="Heart")
LEFT_ATRIUM = Code(value="82471001", scheme="SCT", meaning="Left atrium")
PERICARDIUM = Code(value="76848001", scheme="SCT", meaning="Pericardium")
LUNG = Code(value="39607008", scheme="SCT", meaning="Lung")
BRONCHUS = Code(value="955009", scheme="SCT", meaning="Bronchus")
PLEURA = Code(value="3120008", scheme="SCT", meaning="Pleura")
MEDIASTINUM = Code(value="72410000", scheme="SCT", meaning="Mediastinum")
TRACHEA = Code(value="44567001", scheme="SCT", meaning="Trachea")
ESOPHAGUS = Code(value="32849002", scheme="SCT", meaning="Esophagus")
DIAPHRAGM = Code(value="5798000", scheme="SCT", meaning="Diaphragm")
PATELLA = Code(value="64234005", scheme="SCT", meaning="Patella")
HIP = Code(value="24136001", scheme="SCT", meaning="Hip joint")
STIFLE = Code(value="116010006", scheme="SCT", meaning="Stiffle")
SPINE = Code(value="421060004", scheme="SCT", meaning="Spine")

# Measurements. OHIF matches the meanings "Long Axis" and "Short Axis" letter by letter.
VHS = Code(value="VHS", scheme=PRIVATE_SCHEME, meaning="Vertebral heart score")
VHS_EPIC = Code(value="VHSEPIC", scheme=PRIVATE_SCHEME, meaning="Vertebral heart score, EPIC")
VLAS = Code(value="VLAS", scheme=PRIVATE_SCHEME, meaning="Vertebral left atrial size")
CARDIOTHORACIC_RATIO = Code(value="CTR2D", scheme=PRIVATE_SCHEME, meaning="Cardiothoracic area ratio")
TRACHEAL_RATIO = Code(value="TDTI", scheme=PRIVATE_SCHEME, meaning="Tracheal diameter to thoracic inlet")
NORBERG_ANGLE = Code(value="NORBERG", scheme=PRIVATE_SCHEME, meaning="Norberg angle")
LONG_AXIS = Code(value="103339001", scheme="SCT", meaning="Long Axis")
SHORT_AXIS = Code(value="103340004", scheme="SCT", meaning="Short Axis")
AREA = Code(value="42798000", scheme="SCT", meaning="Area")

# Units: UCUM
MILLIMETRE = Code(value="mm", scheme="UCUM", meaning="millimeter")
VERTEBRAE = Code(value="{vertebrae}", scheme="UCUM", meaning="vertebrae")
DEGREE = Code(value="deg", scheme="UCUM", meaning="degree")
PERCENT = Code(value="%", scheme="UCUM", meaning="Percent")
SQUARE_MILLIMETRE = Code(value="mm2", scheme="UCUM", meaning="square millimeter")
PIXELS = Code(value="{pixels}", scheme="UCUM", meaning="Pixels")

# Report scaffolding: DCM
CONCLUSION = Code(value="121077", scheme="DCM", meaning="Conclusion")
COMMENT = Code(value="121106", scheme="DCM", meaning="Comment")
NORMALITY = Code(value="121402", scheme="DCM", meaning="Normality")
IMAGE_QUALITY = Code(value="111101", scheme="DCM", meaning="Image Quality")
SEVERITY = Code(value="246112005", scheme="SCT", meaning="Severity")

# Qualifiers: laterality CID 244, severity CID 3716
LEFT = Code(value="7771000", scheme="SCT", meaning="Left")
RIGHT = Code(value="24028007", scheme="SCT", meaning="Right")
BILATERAL = Code(value="51440002", scheme="SCT", meaning="Bilateral")
MILD = Code(value="255604002", scheme="SCT", meaning="Mild")
MODERATE = Code(value="6736007", scheme="SCT", meaning="Moderate")
SEVERE = Code(value="24484000", scheme="SCT", meaning="Severe")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingTerm:
    """A finding as it is coded and as vets say it.

    mark: "CID" when the code was seen in pydicom's context groups; "private" when it is of our own scheme, be it that no
    code was found or that the only one was seen in no SNOMED browser and so could not be checked.
    korean_seen: whether the Korean term was seen in a Korean veterinary source; the others are standard usage.
    site: what the code alone does not say, or where the finding usually lies.
    """

    code: Code
    english: str
    korean: str
    mark: str
    korean_seen: bool = False
    site: Code | None = None


def _own(value: str, meaning: str, korean: str, site: Code | None = None, *, seen: bool = False) -> FindingTerm:
    code = Code(value=value, scheme=PRIVATE_SCHEME, meaning=meaning)
    return FindingTerm(code=code, english=meaning, korean=korean, mark="private", korean_seen=seen, site=site)


def _standard(
    value: str, meaning: str, korean: str, site: Code, *, scheme: str = "SCT", english: str = "", seen: bool = False
) -> FindingTerm:
    code = Code(value=value, scheme=scheme, meaning=meaning)
    return FindingTerm(code=code, english=english or meaning, korean=korean, mark="CID", korean_seen=seen, site=site)


# What radiographs of dogs and cats are read for. "Nodule" and "Mass" are general codes: here they are used of the lung.
FINDINGS = (
    _own("CARDIOMEGALY", "Cardiomegaly", "심비대", HEART, seen=True),
    _own("LAENLARGED", "Left atrial enlargement", "좌심방 확장", LEFT_ATRIUM),
    _standard("373945007", "Pericardial effusion", "심낭삼출", PERICARDIUM),
    _standard("19242006", "Pulmonary edema", "폐수종", LUNG, english="Pulmonary oedema", seen=True),
    _own("ALVEOLAR", "Alveolar pattern", "폐포 패턴", LUNG),
    _standard("112004", "Abnormal interstitial pattern", "간질 패턴", LUNG, scheme="DCM", english="Interstitial pattern"),
    _own("BRONCHIAL", "Bronchial pattern", "기관지 패턴", LUNG),
    _own("BRONCHIECTASIS", "Bronchiectasis", "기관지확장증", BRONCHUS),
    _standard("27925004", "Nodule", "폐 결절", LUNG, english="Pulmonary nodule"),
    _standard("4147007", "Mass", "폐 종괴", LUNG, english="Lung mass"),
    _own("LUNGNODULE", "Pulmonary nodule or mass", "폐 결절 또는 종괴", LUNG),
    _own("ATELECTASIS", "Atelectasis", "무기폐", LUNG),
    _standard("60046008", "Pleural effusion", "흉수", PLEURA, seen=True),
    _standard("36118008", "Pneumothorax", "기흉", PLEURA, seen=True),
    _standard("16838000", "Pneumomediastinum", "기종격", MEDIASTINUM),
    _own("MEDIASTMASS", "Mediastinal mass or lymphadenopathy", "종격동 종괴 또는 림프절 종대", MEDIASTINUM),
    _own("TRACHCOLLAPSE", "Tracheal collapse", "기관 허탈", TRACHEA, seen=True),
    _own("TRACHHYPOPLASIA", "Hypoplastic trachea", "기관 저형성", TRACHEA),
    _own("TRACHNARROW", "Tracheal narrowing", "기관 협착", TRACHEA),
    _own("MEGAESOPHAGUS", "Oesophageal dilation", "식도 확장", ESOPHAGUS),
    _own("DIAPHHERNIA", "Diaphragmatic hernia", "횡격막 탈장", DIAPHRAGM),
    _own("FRACTURE", "Fracture", "골절"),
    _own("LUXATION", "Joint luxation", "탈구"),
    _own("PATLUXATION", "Patellar luxation", "슬개골 탈구", PATELLA, seen=True),
    _own("HIPDYSPLASIA", "Hip dysplasia or subluxation", "고관절 이형성증", HIP, seen=True),
    _own("OSTEOARTHRITIS", "Osteoarthritis", "골관절염"),
    _own(
        "STIFLEEFFUSION", "Stifle effusion or signs of cruciate rupture", "무릎관절 삼출 또는 전십자인대 파열 징후", STIFLE
    ),
    _own("AGGRBONE", "Aggressive bone lesion", "공격성 골병변"),
    _own("SPONDYLOSIS", "Spondylosis deformans", "변형성 척추증", SPINE),
    _own("NARROWDISC", "Narrowed disc space", "추간판 공간 협소", SPINE),
    _own("VERTANOMALY", "Vertebral anomaly", "척추 기형(반척추 등)", SPINE),
    _own("VERTFRACTURE", "Vertebral fracture", "척추 골절", SPINE),
)

PRIVATE = (
    VHS,
    VHS_EPIC,
    VLAS,
    CARDIOTHORACIC_RATIO,
    TRACHEAL_RATIO,
    NORBERG_ANGLE,
    OUTCOMES[FindingOutcome.UNCERTAIN],
    OUTCOMES[FindingOutcome.NOT_ASSESSABLE],
    ANALYSIS_OUTCOME,
    ANALYSED,
    DECLINED,
    FAILED,
    *(term.code for term in FINDINGS if term.code.scheme == PRIVATE_SCHEME),
)

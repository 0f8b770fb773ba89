"""What the product says to a vet, in English and Korean. A reason or a concept without a term here cannot be shown."""

from domain import codes, faults
from domain.codes import LONG_AXIS, SHORT_AXIS, VHS
from domain.references import populations
from domain.types import (
    Code,
    FindingOutcome,
    Language,
    Outcome,
    QualityIssue,
    Reason,
    Region,
    Source,
    SpacingSource,
    Species,
    View,
)

Phrase = tuple[str, str]  # English, Korean

CONCEPTS: dict[str, Phrase] = {
    VHS.value: ("Vertebral heart score", "척추심장지수"),
    codes.VHS_EPIC.value: ("Vertebral heart score (EPIC)", "척추심장지수(EPIC)"),
    codes.VLAS.value: ("Vertebral left atrial size", "척추좌심방지수"),
    codes.CARDIOTHORACIC_RATIO.value: ("Cardiothoracic area ratio", "심흉 면적비"),
    codes.TRACHEAL_RATIO.value: ("Tracheal diameter to thoracic inlet", "기관-흉곽입구비"),
    codes.NORBERG_ANGLE.value: ("Norberg angle", "노르베르그각"),
    LONG_AXIS.value: ("Long axis", "장축"),
    SHORT_AXIS.value: ("Short axis", "단축"),
    codes.AREA.value: ("Area", "면적"),
    **{known.code.value: (known.english, known.korean) for known in codes.FINDINGS},
    codes.HEART.value: ("heart", "심장"),
    codes.LEFT_ATRIUM.value: ("left atrium", "좌심방"),
    codes.PERICARDIUM.value: ("pericardium", "심낭"),
    codes.LUNG.value: ("lung", "폐"),
    codes.BRONCHUS.value: ("bronchus", "기관지"),
    codes.PLEURA.value: ("pleural space", "흉강"),
    codes.MEDIASTINUM.value: ("mediastinum", "종격동"),
    codes.TRACHEA.value: ("trachea", "기관"),
    codes.ESOPHAGUS.value: ("oesophagus", "식도"),
    codes.DIAPHRAGM.value: ("diaphragm", "횡격막"),
    codes.PATELLA.value: ("patella", "슬개골"),
    codes.HIP.value: ("hip joint", "고관절"),
    codes.STIFLE.value: ("stifle", "무릎관절"),
    codes.SPINE.value: ("spine", "척추"),
    codes.LEFT.value: ("left", "왼쪽"),
    codes.RIGHT.value: ("right", "오른쪽"),
    codes.BILATERAL.value: ("both sides", "양쪽"),
    codes.MILD.value: ("mild", "경도"),
    codes.MODERATE.value: ("moderate", "중등도"),
    codes.SEVERE.value: ("severe", "중증"),
}

SHORT_CONCEPTS: dict[str, Phrase] = {
    VHS.value: ("VHS", "VHS"),
    codes.VHS_EPIC.value: ("VHS", "VHS"),
    codes.VLAS.value: ("VLAS", "VLAS"),
    codes.CARDIOTHORACIC_RATIO.value: ("CTR", "CTR"),
    codes.TRACHEAL_RATIO.value: ("TD/TI", "TD/TI"),
    codes.NORBERG_ANGLE.value: ("Norberg", "노르베르그각"),
    LONG_AXIS.value: ("long axis", "장축"),  # an "L" would pass for a side marker
    SHORT_AXIS.value: ("short axis", "단축"),
}

UNITS: dict[str, Phrase] = {  # by UCUM code
    "{vertebrae}": ("v", "v"),
    "mm": ("mm", "mm"),
    "%": ("%", "%"),
    "deg": ("°", "°"),
}

SOURCES: dict[Source, Phrase] = {
    Source.HEADER: ("from the header", "헤더 정보"),
    Source.ASSUMED: ("assumed", "가정"),
    Source.USER: ("entered by a person", "사용자 입력"),
    Source.PIXELS: ("seen in the image", "영상에서 판단"),
    Source.UNKNOWN: ("unknown", "알 수 없음"),
}

SPACING_SOURCES: dict[SpacingSource, Phrase] = {
    SpacingSource.CALIBRATED: ("calibrated", "보정됨"),
    SpacingSource.DETECTOR: ("at the detector, larger than in the animal", "검출기 기준, 실제보다 큼"),
    SpacingSource.UNKNOWN: ("scale unknown", "축척 불명"),
}

OUTCOMES: dict[Outcome, Phrase] = {
    Outcome.ANALYSED: ("Analysed", "분석됨"),
    Outcome.DECLINED: ("NOT ANALYSED", "분석하지 않음"),
    Outcome.FAILED: ("ANALYSIS FAILED", "분석 실패"),
}

FINDING_OUTCOMES: dict[FindingOutcome, Phrase] = {
    FindingOutcome.PRESENT: ("present", "있음"),
    FindingOutcome.ABSENT: ("not seen", "보이지 않음"),
    FindingOutcome.UNCERTAIN: ("uncertain", "불확실"),
    FindingOutcome.NOT_ASSESSABLE: ("not assessable", "평가 불가"),
}

SPECIES: dict[Species, Phrase] = {
    Species.DOG: ("dog", "개"),
    Species.CAT: ("cat", "고양이"),
    Species.OTHER: ("other species", "기타 종"),
}

REGIONS: dict[Region, Phrase] = {
    Region.THORAX: ("thorax", "흉부"),
    Region.ABDOMEN: ("abdomen", "복부"),
    Region.PELVIS: ("pelvis", "골반"),
    Region.SPINE: ("spine", "척추"),
    Region.HEAD: ("head", "두부"),
    Region.LIMB: ("limb", "사지"),
    Region.OTHER: ("other region", "기타 부위"),
}

VIEWS: dict[View, Phrase] = {
    View.RIGHT_LATERAL: ("right lateral", "우측 외측상"),
    View.LEFT_LATERAL: ("left lateral", "좌측 외측상"),
    View.LATERAL: ("lateral", "외측상"),
    View.VENTRODORSAL: ("ventrodorsal", "복배상(VD)"),
    View.DORSOVENTRAL: ("dorsoventral", "배복상(DV)"),
    View.CRANIOCAUDAL: ("craniocaudal", "전후상"),
    View.CAUDOCRANIAL: ("caudocranial", "후전상"),
    View.MEDIOLATERAL: ("mediolateral", "내외측상"),
    View.LATEROMEDIAL: ("lateromedial", "외내측상"),
    View.OTHER: ("other view", "기타 촬영상"),
}

QUALITY_ISSUES: dict[QualityIssue, Phrase] = {
    QualityIssue.CROPPED: ("anatomy cut off", "필요 부위 잘림"),
    QualityIssue.ROTATED_BODY: ("body rotated", "몸통 회전"),
    QualityIssue.UNDEREXPOSED: ("underexposed", "노출 부족"),
    QualityIssue.OVEREXPOSED: ("overexposed", "노출 과다"),
}

POPULATIONS: dict[str, Phrase] = {  # of reference intervals
    "dog, all breeds": ("dog, all breeds", "개, 전 품종"),
    "dog (species assumed), all breeds": ("dog (species assumed), all breeds", "개(종은 가정), 전 품종"),
    **populations(),
}

PHRASES: dict[str, Phrase] = {
    "not_a_diagnosis": ("AI – not a diagnosis", "AI 분석 – 진단이 아님"),
    "demonstration": (
        "DEMONSTRATION model, trained on synthetic images only",
        "시연용 모델 – 합성 영상으로만 학습됨",
    ),
    "demonstration_short": ("DEMONSTRATION", "시연용 모델"),
    "unsigned": ("AI-generated, not signed by a veterinarian", "AI 생성 결과 – 수의사 서명 없음"),
    "assumed": ("assumed", "가정"),
    "reference": ("reference", "참고치"),
    "within": ("within the reference interval", "참고치 이내"),
    "above": ("above the reference interval", "참고치 초과"),
    "below": ("below the reference interval", "참고치 미만"),
    "vertebrae": ("vertebrae", "척추"),
    "looked_for": ("Looked for", "평가 항목"),
    "images": ("Images", "영상"),
    "model": ("Model", "모델"),
    "species": ("Species", "종"),
    "view": ("View", "촬영상"),
    "region": ("Region", "부위"),
    "unknown": ("unknown", "알 수 없음"),
    "image_of": ("Image {number} of {total}", "영상 {number}/{total}"),
    "not_assessable": ("NOT ASSESSABLE", "평가 불가"),
    "nothing_assessable": ("NOTHING ASSESSABLE", "평가 가능한 항목 없음"),
    "unvalidated": ("demonstration model, not validated", "시연용 모델, 검증되지 않음"),
    "performance_quoted": ("Performance as the model's package states it", "성능(모델 패키지의 영문 원문)"),
    "not_seen": ("not seen", "보이지 않음"),
    "weights": ("weights", "가중치"),
    "no_image": ("The image cannot be shown.", "영상을 표시할 수 없습니다."),
    "incomplete": ("{count} of {total} images could not be analysed", "영상 {total}개 중 {count}개를 분석하지 못함"),
    "not_analysed": ("Not analysed: {count} of {total} images", "영상 {total}개 중 {count}개는 분석하지 않음"),
    "patients_differ": (
        "Images of this study name several patients: check whose they are",
        "영상마다 환자 정보가 다릅니다: 누구의 영상인지 확인하십시오",
    ),
    "results": ("AI results", "AI 결과"),
    "count_not_seen": (
        "None of {count} findings seen – disease not excluded",
        "{count}개 소견 모두 보이지 않음 – 질병을 배제하지 않음",
    ),
    "also_not_assessable": ("{count} not assessable", "{count}개 평가 불가"),
    "nothing_concluded": (
        "This does not mean normal: nothing was assessed.",
        "정상이라는 뜻이 아닙니다: 평가된 항목이 없습니다.",
    ),
    "signed": ("Signed by {name}, {organization}, {at}", "서명: {name}, {organization}, {at}"),
    "assisted": ("Prepared with AI assistance", "AI의 도움으로 작성됨"),
    "by_person": ("entered by a person", "사용자 입력"),
    "none_seen": ("Looked for and not seen: {names}", "평가하였으나 보이지 않음: {names}"),
    "open": (
        "Only what is named here was looked for; nothing is said about anything else.",
        "평가 항목에 없는 것은 판단하지 않았습니다.",
    ),
    "animal": ("Animal", "동물"),
    "breed": ("breed", "품종"),
    "from_header": ("from the header", "헤더 정보"),
    "analysed_at": ("Report made at {at}", "보고서 작성 시각 {at}"),
    "views_received": ("Views received", "접수된 촬영상"),
    "views_missing": ("Views missing for a complete study", "빠진 촬영상"),
    "no_view_missing": ("none", "없음"),
    "views_unjudged": (
        "cannot be told: region or view of an image is unknown",
        "판단할 수 없음: 부위나 촬영상을 알 수 없는 영상이 있음",
    ),
    "lateral": ("lateral", "외측상"),
    "sagittal": ("ventrodorsal or dorsoventral", "복배상(VD) 또는 배복상(DV)"),
    "scale": ("scale", "축척"),
    "scale_unknown": ("unknown, areas in pixels", "알 수 없음, 면적은 화소 단위"),
    "quality_unjudged": (
        "Rotation, collimation and exposure were not assessed by the AI.",
        "회전, 시준(조사야), 노출은 AI가 평가하지 않았습니다.",
    ),
    "quality_unjudged_of": ("Not assessed by the AI: {names}", "AI가 평가하지 않은 항목: {names}"),
    "quality_by_ai": ("Image quality by the AI", "영상 품질(AI 평가)"),
    "frame_read": ("Only frame {number} of {total} was read", "전체 {total}프레임 중 {number}번만 판독함"),
    "burned_in": (
        "A screen or film capture: text and marks may be part of the picture",
        "화면이나 필름을 캡처한 영상: 글자와 표시가 영상에 포함되었을 수 있음",
    ),
    "read_turned": ("Turned by the AI before it was read", "AI가 판독 전에 돌린 방향"),
    "mirrored": ("mirrored left to right", "좌우 반전"),
    "turned": ("{degrees}° clockwise", "시계 방향 {degrees}°"),
    "spread": ("standard deviation, by the model", "모델이 추정한 표준편차"),
    "of_study": ("Of the whole study", "검사 전체"),
    "no_findings": ("No finding was assessed.", "평가된 소견이 없습니다."),
    "no_measurements": ("Nothing was measured.", "측정된 값이 없습니다."),
    "consistent_with": ("Consistent with {name}", "{name} 의심"),
    "possible": ("Possible {name}; the answer is uncertain", "{name} 가능성; 불확실함"),
    "none_to_report": (
        "Nothing of what was looked for was seen; this does not exclude disease.",
        "평가 항목에서 보이는 것은 없으나 질병을 배제하지 않습니다.",
    ),
    "measured_above": ("{name} {number} is above the reference interval", "{name} {number}: 참고치 초과"),
    "measured_below": ("{name} {number} is below the reference interval", "{name} {number}: 참고치 미만"),
    "measured_within": ("{name} {number} is within the reference interval", "{name} {number}: 참고치 이내"),
    "next_read": (
        "These images need to be read by a veterinarian: the AI has not answered.",
        "AI가 답하지 않았으므로 수의사가 영상을 판독해야 합니다.",
    ),
    "next_repeat": (
        "For what was not assessable: measure by hand, or consider a repeated exposure.",
        "평가 불가 항목은 직접 측정하거나 재촬영을 고려하십시오.",
    ),
    "next_confirm": (
        "Check each finding in the images, all views together, against the clinical signs.",
        "각 소견을 모든 촬영상과 임상 증상에 비추어 확인하십시오.",
    ),
    "next_further": (
        "For what is uncertain: consider a further view or a specialist's reading.",
        "불확실한 소견은 추가 촬영이나 전문의 판독을 고려하십시오.",
    ),
    "next_lines": (
        "Check the measured lines in the images, and compare with earlier studies.",
        "영상에서 측정선을 확인하고 이전 검사와 비교하십시오.",
    ),
    "next_heart_above": (
        "A heart size above the reference interval: consider echocardiography if the clinical signs fit.",
        "참고치를 초과한 심장 크기: 임상 증상에 따라 심장초음파를 고려하십시오.",
    ),
    "next_heart_below": (
        "A heart size below the reference interval: consider hydration and blood volume if the clinical signs fit.",
        "참고치 미만의 심장 크기: 임상 증상에 따라 탈수나 순환혈액량 감소를 고려하십시오.",
    ),
    "next_view": ("Consider the missing view: {names}.", "빠진 촬영상을 고려하십시오: {names}."),
    "next_clinical": (
        "Judge by the clinical signs: the AI answers only what it looked for.",
        "임상 증상에 따라 판단하십시오: AI는 평가 항목에만 답합니다.",
    ),
    "performance": ("Performance", "성능"),
}

# {details} are filled from Reason.details
REASONS: dict[str, Phrase] = {
    "no_model": ("no model is installed", "설치된 모델이 없습니다"),
    "no_model_for_region": ("no model for this region ({region})", "이 부위({region})에 대한 모델이 없습니다"),
    "no_model_for_species": ("no model for this species ({species})", "이 종({species})에 대한 모델이 없습니다"),
    "no_model_for_view": ("no model for this view ({view})", "분석 대상이 아닌 촬영상입니다: {view}"),
    "no_model_for_modality": (
        "no model for this modality ({modality})",
        "이 장비 종류({modality})에 대한 모델이 없습니다",
    ),
    "no_model_for_age": (
        "no model for this age ({age} years, valid {valid})",
        "이 나이({age}세)에 대한 모델이 없습니다 (유효 범위 {valid})",
    ),
    "resolution_too_low": (
        "the image is too small for the model ({columns} × {rows}, needs {least})",
        "영상이 모델에 비해 너무 작습니다 ({columns} × {rows}, 최소 {least})",
    ),
    "no_image_analysed": ("no image of the study could be analysed", "분석할 수 있는 영상이 없습니다"),
    "unreadable": ("the image could not be read: {error}", "영상을 읽을 수 없습니다: {error}"),
    "not_an_image": ("the object holds no image", "영상이 없는 객체입니다"),
    "analysis_failed": ("the analysis of this image failed", "이 영상의 분석에 실패했습니다"),
    "cancelled": ("a person cancelled its analysis", "사용자가 분석을 취소했습니다"),
    "withdrawn": ("a person withdrew it: the patient was wrong", "사용자가 철회했습니다: 환자가 잘못되었습니다"),
    "report_failed": ("the report of this study could not be written", "이 검사의 보고서를 작성하지 못했습니다"),
    "model_failed": ("the model broke on this image", "이 영상에서 모델이 실패했습니다"),
    "not_a_lateral_thorax": (
        "not recognised as a complete lateral thorax",
        "온전한 흉부 외측상으로 인식되지 않습니다",
    ),
    "landmarks_uncertain": (
        "the heart's or the spine's landmarks are uncertain",
        "심장 또는 척추의 기준점이 불확실합니다",
    ),
    "measurement_uncertain": (
        "too uncertain to be given ({measure}: ± {deviation})",
        "수치를 제시하기에는 불확실합니다 ({measure}: ± {deviation})",
    ),
    "points_uncertain": ("its points are uncertain ({names})", "기준점이 불확실합니다 ({names})"),
    "outside_image": ("what was found lies outside the image", "찾은 위치가 영상 밖에 있습니다"),
    "only_image": ("the only image", "유일한 영상"),
    "only_measurable": ("the only image that it could be measured on", "측정할 수 있는 유일한 영상"),
    "preferred_view": ("the view that the model prefers", "모델이 선호하는 촬영상"),
    "least_deviation": ("the image with the most certain measurement", "측정이 가장 확실한 영상"),
    "first_image": ("the first of images that show it equally well", "동등한 영상 중 첫 번째"),
    "gravest": ("the image that shows it most clearly", "가장 뚜렷하게 보이는 영상"),
    "mirror_disagreement": (
        "the image and its mirror image give different answers",
        "영상과 좌우 반전 영상의 결과가 서로 다릅니다",
    ),
    "pitch_implausible": ("the vertebrae could not be counted", "척추를 셀 수 없습니다"),
    "out_of_frame": ("the heart or the spine leaves the image", "심장 또는 척추가 영상 밖으로 잘렸습니다"),
}


def _pick(phrase: Phrase, language: Language) -> str:
    return phrase[1] if language is Language.KOREAN else phrase[0]


def phrase(name: str, language: Language) -> str:
    """KeyError for a phrase that has no term."""
    return _pick(PHRASES[name], language)


def concept(code: Code, language: Language) -> str:
    """The vet's term for a concept; its English meaning where there is none."""
    return _pick(CONCEPTS.get(code.value, (code.meaning, code.meaning)), language)


def short_concept(code: Code, language: Language) -> str:
    """The abbreviation that fits beside a number or a line; the term where there is none."""
    known = SHORT_CONCEPTS.get(code.value)
    return _pick(known, language) if known else concept(code, language)


def unit(code: Code, language: Language) -> str:
    """What is printed after a number; the UCUM code where no term is known."""
    return _pick(UNITS.get(code.value, (code.value, code.value)), language)


def population(text: str, language: Language) -> str:
    """Whom a reference interval was taken from; as written where no term is known."""
    return _pick(POPULATIONS.get(text, (text, text)), language)


def source(value: Source | SpacingSource, language: Language) -> str:
    return _pick(SPACING_SOURCES[value] if isinstance(value, SpacingSource) else SOURCES[value], language)


def outcome(value: Outcome | FindingOutcome, language: Language) -> str:
    known = OUTCOMES[value] if isinstance(value, Outcome) else FINDING_OUTCOMES[value]
    return _pick(known, language)


def name(value: Species | Region | View | QualityIssue, language: Language) -> str:
    if isinstance(value, QualityIssue):
        return _pick(QUALITY_ISSUES[value], language)
    if isinstance(value, Species):
        return _pick(SPECIES[value], language)
    if isinstance(value, Region):
        return _pick(REGIONS[value], language)
    return _pick(VIEWS[value], language)


def reason(value: Reason, language: Language) -> str:
    """One sentence; details that name a species, region or view are said in the language too."""
    details = {key: _detail(key, text, language) for key, text in value.details.items()}
    if "error" in details:
        details["error"] = faults.fault(details["error"], details, language)
    return _pick(REASONS[value.code], language).format(**details)


_DETAIL_TERMS: dict[str, dict[str, Phrase]] = {
    "species": {k.value: v for k, v in SPECIES.items()},
    "region": {k.value: v for k, v in REGIONS.items()},
    "view": {k.value: v for k, v in VIEWS.items()},
}


def _detail(key: str, text: str, language: Language) -> str:
    known = _DETAIL_TERMS.get(key, {}).get(text)
    return _pick(known, language) if known else text

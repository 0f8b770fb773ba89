"""What headers call species, regions and views: coded (CIDs named at each table) and in the words that consoles use.

Whatever is not listed is unknown, never another species or view: an unknown word must not exclude an image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from pydicom.sr.coding import Code as DicomCode

from domain.types import Region, Species, View

_Kind = TypeVar("_Kind")


def _words(given: str) -> frozenset[str]:
    return frozenset(given.split())


def _snomed(value: str) -> DicomCode:
    return DicomCode(value=value, scheme_designator="SCT", meaning="")


# CID 7454; the genera stand for the domestic animal in a clinic
_SPECIES_CODES = {
    Species.DOG: ("448771007", "388490000", "36855005"),
    Species.CAT: ("448169003", "388626009"),
    Species.OTHER: (
        *("337915000", "34618005", "36571002", "388249000", "449310008", "35354009", "78678003", "388445009"),
        *("388254009", "107007004", "388168008", "406733009", "125076001", "388393002", "371564000", "371565004"),
        *("447482001", "125099002", "447612001", "125097000"),
    ),
}
_SPECIES_WORDS = {
    Species.DOG: "canine canis dog dogs k9 puppy hund chien perro cane cachorro cão 개 견 강아지 犬 狗 собака",
    Species.CAT: "feline felis cat cats kitten katze chat gato gatto 고양이 묘 猫 貓 кошка кот",
    Species.OTHER: (
        "equine horse pony bovine cow ovine sheep caprine goat porcine pig swine lapine rabbit leporine avian bird parrot "
        "reptile turtle tortoise snake lizard ferret hamster rat mouse rodent chinchilla hedgehog primate monkey human "
        "homo 말 소 돼지 토끼 조류 새 앵무새 거북이 페럿 햄스터 사람 馬 牛 兎 лошадь кролик"
    ),
}

# Species that a protocol or a description names: without words that mean something else there (CAT, 개: piece).
_FREE_TEXT_WORDS = {
    Species.DOG: "canine dog dogs k9 puppy hund chien perro 강아지 犬 собака собаки",
    Species.CAT: "feline kitten katze 고양이 猫 кошка кошки",
    Species.OTHER: "equine bovine ovine porcine lapine avian rabbit bird ferret 토끼 조류 페럿 кролик",
}
# Breeds by a word that names no breed of another species; those with reference intervals are in domain.breeds.
_BREED_WORDS = {
    Species.DOG: (
        "laika лайка maltese 말티즈 poodle 푸들 пудель chihuahua 치와와 чихуахуа beagle 비글 бигль terrier 테리어 терьер "
        "spaniel 스패니얼 спаниель retriever 리트리버 ретривер shepherd 셰퍼드 овчарка schnauzer 슈나우저 шнауцер "
        "bichon 비숑 jindo 진도 진돗개 shiba 시바 spitz 스피츠 шпиц husky 허스키 хаски corgi 코기 корги collie 콜리 "
        "колли rottweiler 로트와일러 ротвейлер doberman 도베르만 доберман malamute 말라뮤트 samoyed 사모예드 hound "
        "setter pointer mastiff 마스티프 дворняжка pinscher 핀셔 yorkshire yorkie 요크셔 요키 "
        "papillon 빠삐용 coton 꼬똥 maltipoo 말티푸"
    ),
    Species.CAT: (
        "persian 페르시안 siamese 샴 ragdoll 랙돌 bengal 벵갈 abyssinian 아비시니안 shorthair longhair dsh dlh mainecoon "
        "메인쿤 코숏 코리안숏헤어 숏헤어 러시안블루 sphynx 스핑크스 munchkin 먼치킨 мейнкун сфинкс"
    ),
}

# CID 7483 and CID 4009, and the codes that CID 7483 held before (51185008, 43799004, 113345001, 12921003)
_REGION_CODES = {
    Region.THORAX: ("816094009", "51185008", "43799004", "80891009", "44567001", "72410000", "113197003", "56872009"),
    Region.ABDOMEN: ("818981001", "113345001", "89837001", "431938005", "71854001", "13648007", "62834003"),
    Region.PELVIS: ("816092008", "12921003", "24136001", "29836001"),
    Region.SPINE: (
        *("122494005", "122495006", "122496007", "421060004", "1217256009", "1217257000", "1217253001", "54735007"),
        *("18149002", "62555009", "20292002"),
    ),
    Region.HEAD: (
        *("89546000", "69536005", "91609006", "2095001", "363654007", "55060009", "88176008", "39481002", "442274007"),
        "442100006",
    ),
    Region.LIMB: (
        *("66019005", "16953009", "16982005", "85050009", "110535000", "8205005", "36455000", "13190002", "31329001"),
        *("419176008", "71341001", "116010006", "72696002", "64234005", "110536004", "108371006", "280711000", "113351006"),
        *("18525008", "416804009", "82680008", "30518006", "75772009", "82474009", "42694008", "C3669027", "53120007"),
        *("61685007", "70258002", "74670003", "85562004", "56459004", "14975008", "30021000", "68367000", "40983000"),
    ),
    Region.OTHER: ("76752008", "53036007"),
}
_REGION_WORDS = {
    Region.THORAX: "THORAX CHEST LUNG LUNGS HEART RIB RIBS STERNUM TRACHEA 흉부 胸部 грудь грудная грудной легкие",
    Region.ABDOMEN: "ABDOMEN ABD BLADDER KIDNEY STOMACH COLON UTERUS 복부 腹部 живот брюшная",
    Region.PELVIS: "PELVIS HIP HIPS 골반 고관절 骨盤 таз тазобедренный",
    Region.SPINE: (
        "SPINE CSPINE TSPINE LSPINE SSPINE CTSPINE TLSPINE LSSPINE COCCYX SACRUM 척추 경추 흉추 요추 脊椎 позвоночник"
    ),
    Region.HEAD: "HEAD SKULL BRAIN JAW MANDIBLE MAXILLA TMJ TEETH DENTAL SINUS ORBIT NOSE 두부 두개골 頭部 череп голова",
    Region.LIMB: (
        "EXTREMITY LIMB LEG ARM ARMS LEGS ELBOW SHOULDER SCAPULA HUMERUS FOREARM RADIUS ULNA CARPUS WRIST HAND FOOT PAW "
        "FEMUR KNEE STIFLE PATELLA TIBIA FIBULA TARSUS ANKLE HOCK DIGIT TOE FINGER FORELIMB HINDLIMB METACARPUS METATARSUS "
        "사지 앞다리 뒷다리 무릎 슬관절 주관절 팔꿈치 어깨 四肢 конечность локоть колено плечо"
    ),
    Region.OTHER: "BREAST NECK 경부",
}

# CID 7484 and CID 4010, where these values name the same projection
_VIEW_CODES = {
    "399198007": View.RIGHT_LATERAL,
    "399173006": View.LEFT_LATERAL,
    "399067008": View.LATERAL,
    "442441009": View.VENTRODORSAL,
    "441672003": View.DORSOVENTRAL,
    "399162004": View.CRANIOCAUDAL,
    "399196006": View.CAUDOCRANIAL,
    "399260004": View.MEDIOLATERAL,
    "399352003": View.LATEROMEDIAL,
}
# The human names of sagittal beams: what they mean depends on the part.
_ANTERO_POSTERIOR, _POSTERO_ANTERIOR = "399348003", "272479007"

_VIEW_WORDS = {
    View.RIGHT_LATERAL: "RL RLR RLAT RTLAT RIGHTLAT RIGHTLATERAL LATR LATRT RTLATERAL RLATERAL LERTL 우측외측 우외측",
    View.LEFT_LATERAL: "LL LLR LLAT LTLAT LEFTLAT LEFTLATERAL LATL LATLT LTLATERAL LLATERAL RTLEL 좌측외측 좌외측",
    View.LATERAL: "LAT LATERAL 외측 측면",
    View.VENTRODORSAL: "VD VENTRODORSAL 복배",
    View.DORSOVENTRAL: "DV DORSOVENTRAL 배복",
    View.CRANIOCAUDAL: "CRCD CRANIOCAUDAL",
    View.CAUDOCRANIAL: "CDCR CAUDOCRANIAL",
    View.MEDIOLATERAL: "ML MEDIOLATERAL",
    View.LATEROMEDIAL: "LM LATEROMEDIAL",
}
_LATERAL_WORDS = _words("lat lateral laterolateral ll 외측 외측상 측면 側面 боковая боковой бок")
_RIGHT_WORDS = _words("r rt right rl rlr rlat 우 우측 오른쪽 правый правая правое")
_LEFT_WORDS = _words("l lt left llr llat 좌 좌측 왼쪽 левый левая левое")
_SAGITTAL_WORDS = {
    View.VENTRODORSAL: _words("vd ventrodorsal 복배 복배상 вентродорсальная"),
    View.DORSOVENTRAL: _words("dv dorsoventral 배복 배복상 дорсовентральная"),
    View.CRANIOCAUDAL: _words("crcd craniocaudal"),
    View.CAUDOCRANIAL: _words("cdcr caudocranial"),
}


def species_of_code(code: DicomCode) -> Species | None:
    return next((kind for kind, known in _SPECIES_CODES.items() if any(code == _snomed(one) for one in known)), None)


def species_of_text(given: str) -> Species | None:
    """None when no word is known, or when words of several species are there."""
    return _only(_named(_SPECIES_WORDS, re.findall(r"\w+", given.casefold())))


def species_of_breed(given: str) -> Species | None:
    return _only(_named(_BREED_WORDS, re.findall(r"\w+", given.casefold())))


def species_in_free_text(given: str) -> Species | None:
    return _only(_named(_FREE_TEXT_WORDS, re.findall(r"\w+", given.casefold())))


def region_of_code(code: DicomCode) -> Region | None:
    return next((region for region, known in _REGION_CODES.items() if any(code == _snomed(one) for one in known)), None)


def region_of_text(given: str) -> Region | None:
    """None for several regions in one exposure ("CHEST ABDOMEN") as for unknown words."""
    return _only(_named(_REGION_WORDS, re.findall(r"[^\W\d_]+", given.casefold())))


def view_of_code(code: DicomCode, region: Region | None) -> View | None:
    """A code that is known in CID 7484 or 4010 but is none of the views here is None: obliques exclude nothing."""
    if code == _snomed(_ANTERO_POSTERIOR):
        return _sagittal(region, antero_posterior=True)
    if code == _snomed(_POSTERO_ANTERIOR):
        return _sagittal(region, antero_posterior=False)
    return next((view for known, view in _VIEW_CODES.items() if code == _snomed(known)), None)


def view_of_text(given: str, region: Region | None) -> View | None:
    letters = re.sub(r"[\W\d_]+", "", given).upper()
    if letters in ("AP", "PA"):
        return _sagittal(region, antero_posterior=letters == "AP")
    return _only(_named(_VIEW_WORDS, [letters.casefold()]))


def view_in_words(given: str, region: Region | None) -> View | None:
    """Of a description: "Thorax LAT R", "흉부 우측 외측". None for two views; of a limb, a side is not the view's."""
    words = set(re.findall(r"[^\W\d_]+", given.casefold()))
    found = {view for view, known in _SAGITTAL_WORDS.items() if words & known}
    if words & _LATERAL_WORDS:
        right, left = bool(words & _RIGHT_WORDS), bool(words & _LEFT_WORDS)
        if region is Region.LIMB or right == left:
            found.add(View.LATERAL)
        else:
            found.add(View.RIGHT_LATERAL if right else View.LEFT_LATERAL)
    return _only(found)


def _sagittal(region: Region | None, *, antero_posterior: bool) -> View | None:
    """In an animal, anterior is ventral on the trunk and cranial on a limb."""
    if region is Region.LIMB:
        return View.CRANIOCAUDAL if antero_posterior else View.CAUDOCRANIAL
    if region in (Region.THORAX, Region.ABDOMEN, Region.PELVIS):
        return View.VENTRODORSAL if antero_posterior else View.DORSOVENTRAL
    return None


def _named(table: Mapping[_Kind, str], words: list[str]) -> set[_Kind]:
    return {kind for kind, known in table.items() if not set(words).isdisjoint(known.casefold().split())}


def _only(found: set[_Kind]) -> _Kind | None:
    return found.pop() if len(found) == 1 else None

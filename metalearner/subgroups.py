"""Cases by what they have in common: a model that is good on the whole may be bad for some of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from domain.breeds import breed_of
from metalearner.collection import Case

UNKNOWN = "unknown"
FEW_CASES, FEW_WITH = 30, 10  # below these a figure says little: images in all, and with (or without) the finding

# Groups whose thoraxes and limbs look alike on a radiograph, not those of a breeders' federation. Names as in registers and,
# below them, as Korean clinics write them. What is not listed is unknown: no breed is guessed.
BREED_GROUPS: Mapping[str, tuple[str, ...]] = {
    "short-skulled dog": (
        *("pug", "bulldog", "english bulldog", "french bulldog", "boston terrier", "boxer", "shih tzu", "pekingese"),
        *("cavalier king charles spaniel", "lhasa apso", "japanese chin", "brussels griffon", "bullmastiff"),
        *("dogue de bordeaux", "퍼그", "불독", "프렌치 불독", "보스턴 테리어", "복서", "시추", "시츄", "페키니즈"),
        *("카발리에 킹 찰스 스패니얼", "라사압소"),
    ),
    "toy or small dog": (
        *("maltese", "pomeranian", "yorkshire terrier", "chihuahua", "toy poodle", "miniature poodle", "poodle"),
        *(
            "bichon frise",
            "bichons frise",
            "miniature schnauzer",
            "miniature pinscher",
            "papillon",
            "spitz",
            "west highland white terrier",
        ),
        *("jack russell terrier", "norwich terrier", "italian greyhound", "havanese", "coton de tulear", "말티즈"),
        *("몰티즈", "포메라니안", "요크셔 테리어", "치와와", "토이 푸들", "미니어처 푸들", "푸들", "비숑 프리제"),
        *("미니어처 슈나우저", "미니어처 핀셔", "빠삐용", "스피츠", "웨스트 하이랜드 화이트 테리어", "말티푸"),
    ),
    "short-legged dog": (
        *("dachshund", "miniature dachshund", "welsh corgi", "pembroke welsh corgi", "cardigan welsh corgi"),
        *("basset hound", "longhaired miniature dachshund", "닥스훈트", "웰시 코기", "바셋 하운드"),
    ),
    "deep-chested dog": (
        *("german shepherd", "german shepherd dog", "doberman", "doberman pinscher", "great dane", "greyhound"),
        *("whippet", "borzoi", "afghan hound", "irish setter", "weimaraner", "standard poodle", "vizsla", "saluki"),
        *("rhodesian ridgeback", "저먼 셰퍼드", "도베르만", "그레이트 데인", "그레이하운드", "휘핏", "스탠다드 푸들"),
    ),
    "medium or large dog": (
        *("labrador retriever", "golden retriever", "beagle", "cocker spaniel", "american cocker spaniel"),
        *(
            "english cocker spaniel",
            "border collie",
            "siberian husky",
            "samoyed",
            "jindo",
            "korean jindo",
            "shetland sheepdog",
        ),
        *("brittany spaniel", "australian shepherd", "rottweiler", "shiba inu", "alaskan malamute", "dalmatian"),
        *(
            "bernese mountain dog",
            "bernese mountain",
            "래브라도 리트리버",
            "골든 리트리버",
            "비글",
            "코카 스파니엘",
            "보더 콜리",
        ),
        *("시베리안 허스키", "사모예드", "진돗개", "진도견", "시바견", "셰틀랜드 쉽독"),
    ),
    "mixed dog": ("mixed", "mixed breed", "mixed breed dog", "mongrel", "crossbreed", "mix", "믹스", "믹스견", "잡종"),
    "short-skulled cat": (
        *("persian", "persian cat", "exotic shorthair", "himalayan", "british shorthair", "scottish fold"),
        *("british shorthaired", "exotic shorthaired"),
        *("페르시안", "페르시안 고양이", "엑조틱 숏헤어", "브리티시 숏헤어", "스코티시 폴드"),
    ),
    "other cat": (
        *("domestic shorthair", "domestic short hair", "domestic short hair cat", "domestic longhair", "dsh", "dlh"),
        *("domestic shorthaired", "domestic longhaired", "norwegian forest"),
        *("korean shorthair", "maine coon", "siamese", "ragdoll", "bengal", "russian blue", "norwegian forest cat"),
        *("abyssinian", "sphynx", "munchkin", "american shorthair", "turkish angora", "코리안 숏헤어", "코숏", "샴"),
        *("랙돌", "벵갈", "러시안 블루", "노르웨이 숲", "아비시니안", "스핑크스", "먼치킨", "아메리칸 숏헤어"),
    ),
}


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text.casefold())


_BY_BREED = {_letters(name): group for group, names in BREED_GROUPS.items() for name in names}


def breed_group(breed: str) -> str:
    """A header's breed, as a code or in words; "unknown" for what is not listed."""
    known = breed_of(breed)
    return _BY_BREED.get(_letters(known.english if known else breed), UNKNOWN)


KEYS: Mapping[str, Callable[[Case], str]] = {
    "species": lambda case: case.species,
    "breed group": lambda case: breed_group(case.breed),
    "view": lambda case: case.view,
    "device": lambda case: case.device,
    "clinic": lambda case: case.clinic,
}


def groups(cases: Sequence[Case]) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Key, group and which of the cases are in it, the largest first; a key by which all are alike says nothing."""
    found = []
    for key, of in KEYS.items():
        names = np.array([of(case) or UNKNOWN for case in cases])
        each, counts = np.unique(names, return_counts=True)
        if len(each) > 1:
            found += [(key, str(each[i]), names == each[i]) for i in np.argsort(-counts, kind="stable")]
    return found


def is_few(images: int, with_it: int, without: int) -> bool:
    return images < FEW_CASES or min(with_it, without) < FEW_WITH

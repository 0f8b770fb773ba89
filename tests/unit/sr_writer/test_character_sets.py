"""A result stays in its study's character set where that can hold its text, and loses no letter either way."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from sr_writer.charset import UTF_8, choose, declare, plain

KOREAN = ("", "ISO 2022 IR 149")
KATAKANA = ("ISO 2022 IR 13", "ISO 2022 IR 87")


def document(name: str = "Rex", description: str = "Thorax", text: str = "Text") -> Dataset:
    ds = Dataset()
    ds.PatientName = name
    ds.StudyDescription = description
    item = Dataset()
    item.TextValue = text
    ds.ContentSequence = [item]
    return ds


def read_back(ds: Dataset, terms: tuple[str, ...]) -> Dataset:
    declare(ds, terms)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=False)
    buffer.seek(0)
    return dcmread(buffer, force=True)


@pytest.mark.parametrize(
    ("declared", "ds", "expected"),
    [
        ((), document(), ()),
        ((), document(text="평가 불가"), UTF_8),
        (KOREAN, document("Hong^Choco=洪^초코=홍^초코", "흉부", "척추심장지수"), KOREAN),
        (KOREAN, document(text="펲시"), UTF_8),  # no syllable of KS X 1001
        (KOREAN, document(text="첫 줄\r\n둘째 줄"), UTF_8),  # pydicom writes no escape sequence after a line break
        (UTF_8, document(text="평가 불가"), UTF_8),
        (("ISO_IR 100",), document("Müller^Waldi"), ("ISO_IR 100",)),
        (("ISO_IR 100",), document(text="평가 불가"), UTF_8),
        (("ISO_IR 149",), document(), UTF_8),  # seen, but no defined term
        (KATAKANA, document("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"), KATAKANA),
        (("", "ISO 2022 IR 87"), document("Yamada^Tarou=山田^太郎=やまだ^たろう"), ("", "ISO 2022 IR 87")),
        (("", "ISO 2022 IR 87"), document("Akita=秋^田"), UTF_8),  # its bytes hold "=", at which toolkits cut a name
        (("ISO_IR 144",), document("Люкceмбypг"), ("ISO_IR 144",)),
        (("ISO_IR 144",), document("Люкceмбypг", text="평가 불가"), UTF_8),
        (("ISO_IR 126",), document("Διονυσιος"), ("ISO_IR 126",)),
        (("", "ISO 2022 IR 144"), document("Люкceмбypг"), ("", "ISO 2022 IR 144")),
        (("GB18030",), document("Wang^XiaoDong=王^小东", "胸部", "평가 불가"), ("GB18030",)),
        (("GBK",), document("Wang^XiaoDong=王^小东"), ("GBK",)),
        (("GBK",), document("Wang^XiaoDong=乗^小东"), UTF_8),  # its bytes hold a backslash
        (("ISO 2022 IR 149",), document("Hong^Choco=洪^초코=홍^초코"), KOREAN),  # seen; the first value forgotten
        (("ISO 2022 IR 149", "ISO_IR 192"), document(), UTF_8),
        (("nonsense",), document(), UTF_8),
    ],
)
def test_the_sources_set_is_kept_where_it_holds_the_text(
    declared: tuple[str, ...], ds: Dataset, expected: tuple[str, ...]
) -> None:
    assert choose(declared, ds) == expected


@given(
    declared=st.sampled_from(
        [
            *((), UTF_8, KOREAN, ("ISO_IR 100",), ("ISO_IR 13",), ("ISO_IR 144",), ("ISO_IR 126",), ("GB18030",), ("GBK",)),
            *(("", "ISO 2022 IR 87"), ("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"), ("", "ISO 2022 IR 58")),
            *(("", "ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 126"), ("nonsense",)),
        ]
    ),
    name=st.text(alphabet="가힣펲洪吉山乗ﾔやЛюΔé^=Aa ", min_size=1, max_size=12).filter(lambda text: text.count("=") < 3),
    text=st.text(alphabet="山乗東ﾔやЛюΔé한;^= ", min_size=1, max_size=12)
    | st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=30),
)
def test_no_letter_is_lost(declared: tuple[str, ...], name: str, text: str) -> None:
    name, text = name.strip("=^ ") or "A", text.rstrip() or "A"
    ds = document(name, "x", text)
    back = read_back(ds, choose(declared, ds))
    assert str(back.PatientName).rstrip("=^ ") == name
    assert back.ContentSequence[0].TextValue == text


def test_own_text_uses_signs_that_every_set_holds() -> None:
    assert plain("AI – not a diagnosis, ≥ 2 × Bücheler, 척추") == "AI - not a diagnosis, >= 2 x Bucheler, 척추"

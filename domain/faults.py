"""Why a file shows no image, in English and Korean: the {error} of the reason "unreadable"."""

from collections.abc import Mapping

from domain.types import Language

# English, Korean; the blanks are filled from the details
FAULTS: dict[str, tuple[str, str]] = {
    "cannot_open": ("the file cannot be opened ({why})", "파일을 열 수 없습니다({why})"),
    "not_dicom": (
        "it is not a DICOM file: no file meta information and no data set was found in it",
        "DICOM 파일이 아닙니다: 파일 메타 정보와 데이터 세트가 없습니다",
    ),
    "structure_broken": ("its structure is broken", "파일 구조가 손상되었습니다"),
    "inflates_too_large": (
        "its deflated data set is larger than {limit} MB when inflated",
        "압축을 푼 데이터 세트가 {limit} MB를 넘습니다",
    ),
    "no_pixels": ("it holds no pixel data", "픽셀 데이터가 없습니다"),
    "pixels_empty": ("its pixel data is empty", "픽셀 데이터가 비어 있습니다"),
    "pixels_cut_short": (
        "its pixel data is cut short: {found} of {needed} bytes; the transfer may have been interrupted",
        "픽셀 데이터가 잘렸습니다: {needed}바이트 중 {found}바이트; 전송이 중단되었을 수 있습니다",
    ),
    "codestream_cut_short": (
        "its compressed pixel data is cut short; the transfer may have been interrupted",
        "압축된 픽셀 데이터가 잘렸습니다; 전송이 중단되었을 수 있습니다",
    ),
    "size_missing": ("its number of rows or columns is missing", "행 또는 열의 수가 없습니다"),
    "too_large": (
        "it is too large: {columns} × {rows} pixels, at most {limit} million are read",
        "영상이 너무 큽니다: {columns} × {rows}픽셀, 최대 {limit}백만 픽셀까지 읽습니다",
    ),
    "frame_missing": (
        "frame {frame} of {frames} cannot be found in its pixel data",
        "픽셀 데이터에서 프레임 {frame}/{frames}을(를) 찾을 수 없습니다",
    ),
    "photometric_missing": (
        "its photometric interpretation is missing or unknown",
        "광도 해석(Photometric Interpretation)이 없거나 알 수 없는 값입니다",
    ),
    "bits_unsupported": ("it does not store 8, 16 or 32 bits a pixel", "픽셀당 8, 16, 32비트로 저장되지 않았습니다"),
    "bits_contradict": (
        "its bits contradict each other: {stored} stored of {allocated}, the highest is {high}",
        "비트 정보가 서로 맞지 않습니다: 할당 {allocated}, 저장 {stored}, 최상위 {high}",
    ),
    "palette_broken": ("its colour palette is missing or broken", "색상 팔레트가 없거나 손상되었습니다"),
    "syntax_missing": (
        "its transfer syntax is missing or unknown, and its pixel data does not tell it",
        "전송 구문이 없거나 알 수 없으며 픽셀 데이터로도 알 수 없습니다",
    ),
    "compression_unsupported": ("its compression is not supported: {name}", "지원하지 않는 압축 방식입니다: {name}"),
    "not_decodable": ("its pixel data could not be decoded ({name})", "픽셀 데이터를 복호화할 수 없습니다({name})"),
    "size_contradicts": (
        "its pixel data does not have the size that its header says",
        "픽셀 데이터의 크기가 헤더와 다릅니다",
    ),
    "no_contrast": ("it shows one gray only: nothing can be seen in it", "한 가지 밝기뿐이어서 보이는 것이 없습니다"),
    "values_unsound": (
        "its rescale slope or intercept makes numbers of its pixels that cannot be shown",
        "리스케일 기울기나 절편 때문에 픽셀 값을 표시할 수 없습니다",
    ),
    "needs_memory": ("it needs more memory than one image may take", "영상 하나에 허용된 메모리를 넘습니다"),
    "took_too_long": ("decoding it took too long and was stopped", "복호화 시간이 너무 길어 중단되었습니다"),
    "decoder_died": (
        "it broke the decoder, which was started again for the next image",
        "복호화 과정이 중단되었으며 다음 영상을 위해 다시 시작되었습니다",
    ),
}


def fault(name: str, details: Mapping[str, str], language: Language) -> str:
    """Text that names no fault, such as that of older answers, is said as it is."""
    known = FAULTS.get(name)
    return known[1 if language is Language.KOREAN else 0].format(**details) if known else name

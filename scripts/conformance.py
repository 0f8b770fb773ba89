"""Write the tables of CONFORMANCE.md from the code: `make conformance`. A gate compares the two."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pydicom.uid import UID

from config.profiles import PROFILES
from delivery.echo import sop_class_of
from domain import codes
from domain.types import DocumentKind, Style
from scp.contexts import TRANSFER_SYNTAXES

STATEMENT = Path(__file__).parent.parent / "CONFORMANCE.md"
WORDS = {
    DocumentKind.SR: "Structured Report",
    DocumentKind.TEXT_SR: "report in words",
    DocumentKind.SC: "overlay",
    DocumentKind.GSPS: "overlay as a presentation state",
    DocumentKind.KOS: "the set of results; rejection note",
    DocumentKind.PDF: "page for the owner",
}


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(headings)
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def transfer_syntaxes() -> str:
    return table(("transfer syntax", "UID"), ((UID(uid).name, str(uid)) for uid in sorted(TRANSFER_SYNTAXES)))


def documents() -> str:
    def rows() -> Iterable[tuple[str, str, str, str]]:
        for kind, words in WORDS.items():
            for three_d in (False, True) if kind is DocumentKind.SR else (False,):
                uid = UID(sop_class_of(kind, Style(comprehensive_3d=three_d)) or "")
                yield f"`{kind.value}`" + (", profile `ihe-air`" if three_d else ""), words, uid.name, str(uid)

    return table(("documents", "what it is", "SOP class", "UID"), rows())


def profiles() -> str:
    return table(
        ("profile", "documents", "SR geometry", "SR class", "language"),
        (
            (
                f"`{profile.value}`",
                ", ".join(f"`{kind.value}`" for kind in preset.documents),
                preset.sr_geometry.value,
                "Comprehensive 3D SR" if preset.comprehensive_3d else "Comprehensive SR",
                preset.language.value if preset.language else "the node's",
            )
            for profile, preset in PROFILES.items()
        ),
    )


def private_codes() -> str:
    return table(("code value", "meaning"), ((code.value, code.meaning) for code in codes.PRIVATE))


TABLES: dict[str, Callable[[], str]] = {
    "transfer-syntaxes": transfer_syntaxes,
    "documents": documents,
    "profiles": profiles,
    "private-codes": private_codes,
}


def renewed(text: str) -> str:
    """The statement with every table between `<!-- table NAME -->` and `<!-- end -->` written anew."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- table {name} -->\n).*?(\n<!-- end -->)"
        written = make().replace("\\", r"\\")
        text, count = re.subn(pattern, rf"\g<1>{written}\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"CONFORMANCE.md has {count} places for the table {name}")
    return text


if __name__ == "__main__":
    STATEMENT.write_text(renewed(STATEMENT.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{STATEMENT.name} written")

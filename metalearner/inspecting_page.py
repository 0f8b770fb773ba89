"""An inspection as a page that a person reads, on a phone too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from metalearner.collection import Part
from metalearner.inspecting import Concept, Inspection, named
from metalearner.report_pages import Banner, Cell, Page, Plot, Section, Table, bars, histogram

MOST_ROWS = 40
MOST_BARS = 16
_TITLES = {
    "view": "Views",
    "region": "Regions",
    "species": "Species",
    "breed": "Breeds",
    "sex": "Sex",
    "clinic": "Clinics (pseudonyms)",
    "device": "Devices",
    "laterality": "Sides",
    "spacing_source": "What a millimetre means",
}


def page_of(found: Inspection) -> Page:
    return Page(
        title=f"Collection {found.name}",
        lead=(
            f"{found.images} images of {found.patients} patients in {found.studies} studies; {found.labelled} are labelled.",
            f"Made from {', '.join(found.made_from)}." if found.made_from else "",
        ),
        banners=tuple(_banners(found)),
        sections=tuple(_sections(found)),
        foot=("Images are named by their UIDs in this collection. Nothing here says whose they are.",),
    )


def _banners(found: Inspection) -> Iterator[Banner]:
    for sentence in found.leaks:
        yield Banner(text=f"Leak: {sentence}", tone="bad")
    across = sum(pair.across for pair in found.alike)
    if across:
        said = f"{across} pairs of images of different patients look alike and stand on both sides of the split"
        yield Banner(text=f"{said}: one animal under two identifiers?", tone="bad")
    if found.conflicts:
        yield Banner(text=f"{len(found.conflicts)} times sources or readers disagree about an image", tone="bad")


def _sections(found: Inspection) -> Iterator[Section]:
    rows = [[part.value, str(patients), str(images)] for part, (patients, images) in found.parts.items()]
    split = Table(headings=(f"part, by {found.split_by}", "patients", "images"), rows=rows)
    yield Section(heading="Split", words=("Drawn once; new patients are added to it.",), tables=(split,))
    if found.warnings:
        table = Table(
            headings=("what to know before figures are trusted",), rows=[[sentence] for sentence in found.warnings]
        )
        yield Section(heading="Small numbers", tables=(table,))
    if found.concepts:
        yield Section(
            heading="Findings",
            words=("In images; a finding that nobody asked about is unknown, not absent.",),
            tables=(_findings(found),),
            plots=(_positives(found),),
        )
    if found.points or found.measures:
        yield _numbers(found)
    same = [
        f"{_TITLES[name]}: {value}" for name, counts in found.facts.items() for value in counts if value and len(counts) == 1
    ]
    yield Section(
        heading="Images",
        words=(f"The same for all images: {'; '.join(same)}.",) if same else (),
        plots=tuple(_plots(found)),
        tables=tuple(
            _counts(what, counts)
            for what, counts in (
                ("breed", found.facts["breed"]),  # no plot: their names are of any script
                ("columns × rows", found.sizes),
                ("source of labels", found.sources),
            )
            if counts
        ),
    )
    if found.declined:
        words = ("They are listed in cases.csv and are not learnt from.",)
        yield Section(heading="Declined images", words=words, tables=(_counts("reason", found.declined),))
    yield _disagreements(found)
    yield _near_duplicates(found)


def _findings(found: Inspection) -> Table:
    def cell(concept: Concept, part: Part) -> Cell:
        yes, no = concept.parts[part]
        return Cell(text=f"{yes} / {no}", tone="" if yes and no else "bad")

    return Table(
        headings=("finding", "present", "absent", "unknown", "patients with", "outlined", *(part.value for part in Part)),
        rows=[
            [
                named(one.value),
                str(one.present),
                str(one.absent),
                str(one.unknown),
                str(one.patients_with),
                str(one.drawn),
                *(cell(one, part) for part in Part),
            ]
            for one in found.concepts
        ],
        caption="The last columns: images with / without the finding in each part.",
    )


def _positives(found: Inspection) -> Plot:
    present = {named(one.value): one.present for one in sorted(found.concepts, key=lambda one: -one.present)}
    return bars(_first(present), "Images that show each finding")


def _numbers(found: Inspection) -> Section:
    plots = [
        histogram(values, f"{name}, {len(values)} images", label=name) for name, values in found.measures.items() if values
    ]
    tables = [_counts("landmark", found.points)] if found.points else []
    return Section(heading="Landmarks and measures", tables=tuple(tables), plots=tuple(plots[:MOST_BARS]))


def _plots(found: Inspection) -> Iterator[Plot]:
    for name, counts in found.facts.items():
        if len(counts) > 1 and name != "breed":
            said = {value or "unknown": count for value, count in counts.items()}
            yield bars(_first(said), _TITLES[name])
    if found.ages_years:
        yield histogram(found.ages_years, "Age where the header tells it", label="years")
    if found.spacings_mm:
        yield histogram(found.spacings_mm, "Pixel spacing where the header tells it", label="mm between rows")


def _first(counts: Mapping[str, float]) -> dict[str, float]:
    """The most frequent, and all others as one."""
    kept = dict(list(counts.items())[:MOST_BARS])
    rest = sum(counts.values()) - sum(kept.values())
    return {**kept, f"{len(counts) - len(kept)} others": rest} if rest else kept


def _counts(what: str, counts: Mapping[str, int]) -> Table:
    rows = [[name or "unknown", str(count)] for name, count in list(counts.items())[:MOST_ROWS]]
    left = len(counts) - len(rows)
    return Table(headings=(what, "images"), rows=rows, caption=f"and {left} more" if left > 0 else "")


def _disagreements(found: Inspection) -> Section:
    if not found.conflicts:
        return Section(heading="Disagreements", words=("No two sources disagree about an image.",))
    rows = [
        [named(one.about), "; ".join(f"{who}: {said}" for who, said in one.said.items()), one.image]
        for one in found.conflicts[:MOST_ROWS]
    ]
    words = (
        "What most say counts; where as many say yes as no, it is unknown. Settle them in the source and collect again.",
    )
    left = len(found.conflicts) - len(rows)
    table = Table(headings=("about", "who says what", "image"), rows=rows, caption=f"and {left} more" if left else "")
    return Section(heading="Disagreements", words=words, tables=(table,))


def _near_duplicates(found: Inspection) -> Section:
    if not found.alike:
        return Section(heading="Near-duplicates", words=("No two images of different patients look alike.",))
    ordered = sorted(found.alike, key=lambda pair: (not pair.across, -pair.correlation))
    rows: list[list[str | Cell]] = [
        [
            pair.first,
            pair.second,
            Cell(text=" and ".join(dict.fromkeys(pair.parts)), tone="bad" if pair.across else ""),
            f"{pair.correlation:.3f}",
        ]
        for pair in ordered[:MOST_ROWS]
    ]
    left = len(found.alike) - len(rows)
    table = Table(headings=("image", "image", "parts", "correlation"), rows=rows, caption=f"and {left} more" if left else "")
    return Section(heading="Near-duplicates", words=("Images of different patients that look alike.",), tables=(table,))

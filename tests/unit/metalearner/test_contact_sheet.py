"""The contact sheet holds what can be read of a folder, and phantoms of every region."""

from itertools import islice

import numpy as np
from PIL import Image

from domain.types import Region, Species
from metalearner.contact_sheet import ACROSS, GAP, TILE, findings, phantoms, radiographs, sheet
from phantoms.study import make_films


def test_films_and_pictures_are_read_and_a_refusal_is_said(tmp_path, capsys):
    make_films(2, directory=tmp_path, region=Region.HEAD, species=Species.DOG, rows=80, columns=90)
    Image.fromarray(np.full((30, 40), 255, np.uint8)).save(tmp_path / "white.png")
    (tmp_path / "broken.dcm").write_bytes(b"no DICOM")
    read = dict(radiographs(tmp_path))
    assert set(read) == {"01-head-right-lateral", "02-head-left-lateral", "03-head-dorsoventral", "white"}
    assert read["white"].max() == 1
    assert "broken.dcm: " in capsys.readouterr().out


def test_pictures_lie_side_by_side():
    bright = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (60, 1))
    page = np.asarray(sheet([("one", bright)] * (ACROSS + 1)))
    assert page.shape == (2 * (TILE + GAP), ACROSS * TILE)
    last = page[TILE + 2 * GAP :, :TILE]
    assert last[:, -20:].mean() > 200 > 60 > last[:, :20].mean()
    assert page[TILE + 2 * GAP :, TILE:].max() == 0


def test_dogs_and_cats_take_turns():
    names = [name for name, _ in islice(phantoms(3, 0.2), 2)]
    assert names == ["dog thorax right-lateral", "cat thorax right-lateral"]


def test_a_finding_has_a_row_from_none_to_severe():
    row = dict(islice(findings(3, 0.2), ACROSS))
    assert list(row) == [
        f"Cardiomegaly, {state}: {whose}"
        for whose in ("dog thorax right-lateral", "cat thorax ventrodorsal")
        for state in ("without", "mild", "severe")
    ]
    without, mild, severe = list(row.values())[:3]
    assert 0 < np.abs(mild - without).mean() < np.abs(severe - without).mean()

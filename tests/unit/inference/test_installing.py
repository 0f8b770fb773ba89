"""Packages from outside: signed or not, added whole or not at all."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from model_factory import constant_package, heart_package

from domain.errors import ModelFailed, ModelInvalid
from inference.checking import check_package
from inference.installing import add_package, write_sample
from inference.package import find_packages
from inference.signature import require_signature

KEY, OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32)), Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def signed(directory: Path, key: Ed25519PrivateKey = KEY) -> Path:
    heart_package(directory)
    signature = key.sign((directory / "package.toml").read_bytes())
    (directory / "package.toml.sig").write_text(base64.b64encode(signature).decode() + "\n")
    return directory


def add(source: Path, folder: Path, *, keys: tuple[str, ...] = (public(KEY),), required: bool = True) -> bool:
    return add_package(source, folder, trusted_keys=keys, signature_required=required).signed


def test_a_signed_package_is_added_and_found(tmp_path: Path) -> None:
    assert add(signed(tmp_path / "fixed-heart"), tmp_path / "models") is True
    (found,) = find_packages(str(tmp_path / "models"), trusted_keys=[public(KEY)], signature_required=True)[-1:]
    assert (found.name, found.directory.name) == ("fixed-heart", "fixed-heart-1.0.0")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["fixed-heart-1.0.0"]


def test_an_unsigned_package_is_added_where_no_signature_is_required(tmp_path: Path) -> None:
    unsigned = heart_package(tmp_path / "fixed-heart")
    with pytest.raises(ModelInvalid, match="it is not signed, and must be"):
        add(unsigned, tmp_path / "models")
    assert add(unsigned, tmp_path / "models", required=False) is False


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("how", ["another key", "another manifest", "no base64"])
def test_a_wrong_signature_is_worse_than_none(tmp_path: Path, how: str, required: bool) -> None:
    package = signed(tmp_path / "fixed-heart", OTHER if how == "another key" else KEY)
    if how == "another manifest":
        manifest = package / "package.toml"
        manifest.write_text(manifest.read_text().replace("demonstration", "validated"))
    if how == "no base64":
        (package / "package.toml.sig").write_text("é")
    with pytest.raises(ModelInvalid, match=r"none of the trusted keys|cannot be read"):
        add(package, tmp_path / "models", required=required)
    assert not (tmp_path / "models").exists()


def test_keys_that_are_none_sign_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="none of the trusted keys"):
        require_signature(signed(tmp_path / "a"), trusted_keys=["bm90aGluZw=="], required=True)


def test_an_installed_package_that_loses_its_signature_does_not_load(tmp_path: Path) -> None:
    add(signed(tmp_path / "fixed-heart"), tmp_path / "models")
    (tmp_path / "models" / "fixed-heart-1.0.0" / "package.toml.sig").unlink()
    with pytest.raises(ModelInvalid, match="not signed"):
        find_packages(str(tmp_path / "models"), trusted_keys=[public(KEY)], signature_required=True)


def test_a_package_that_fails_a_check_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = heart_package(tmp_path / "fixed-heart", nan=True)
    with pytest.raises(ModelInvalid):
        add(broken, tmp_path / "models", required=False)
    assert not (tmp_path / "models").exists()
    whole = heart_package(tmp_path / "b" / "fixed-heart")
    add(whole, tmp_path / "models", required=False)
    with pytest.raises(ModelInvalid, match=r"fixed-heart 1\.0\.0 is installed already"):
        add(whole, tmp_path / "models", required=False)


def test_a_sample_is_made_from_any_image(tmp_path: Path) -> None:
    package = heart_package(tmp_path / "fixed-heart")
    (package / "sample.png").unlink()
    (package / "expected.json").unlink()
    expected = write_sample(package, np.full((300, 500), 0.5, dtype=np.float32), pixel_aspect=1.0)
    assert expected["vertebral-heart-score"]["vhs"] == pytest.approx(10.12, abs=0.05)
    assert all(check.fault is None for check in check_package(package))


def test_an_image_that_the_model_cannot_judge_is_no_sample(tmp_path: Path) -> None:
    """Nothing could be checked by it: what was there stays."""
    package = heart_package(tmp_path / "fixed-heart", lateral_probability=0.1)
    before = {name: (package / name).read_bytes() for name in ("sample.png", "expected.json")}
    with pytest.raises(ModelFailed, match="head vertebral-heart-score gives no number for this image"):
        write_sample(package, np.full((300, 500), 0.5, dtype=np.float32), pixel_aspect=1.0)
    assert {name: (package / name).read_bytes() for name in before} == before


def test_a_ratio_without_a_concept_can_be_checked_too(tmp_path: Path) -> None:
    y, x = np.mgrid[0:32, 0:40]
    discs = [np.where((x - 20) ** 2 + (y - 16) ** 2 < radius**2, 0.9, 0.0) for radius in (6, 12)]
    heads = """[[head]]
kind = "masks"
output = "masks"
activation = "none"
ratio = { measure = "cardiothoracic-ratio", part = 1, whole = 2 }
[[head.class]]
[[head.class]]
"""
    package = constant_package(tmp_path / "ratio", {"masks": np.stack(discs).astype(np.float32)}, heads)
    expected = write_sample(package, np.tile(np.linspace(0, 1, 80, dtype=np.float32), (64, 1)), pixel_aspect=1.0)
    assert expected == {"masks": {"cardiothoracic-ratio": pytest.approx(0.25, abs=0.02), "tolerance": 0.02}}
    assert all(check.fault is None for check in check_package(package))

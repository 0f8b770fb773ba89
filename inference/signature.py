"""Who made a model package: an Ed25519 signature (RFC 8032) of `package.toml`, which names the weights by their hash.

`package.toml.sig` holds it in base64; a key is written as the base64 between the lines of a public key in PEM (RFC 8410).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from domain.errors import ModelInvalid
from inference.manifest import MANIFEST, SIGNATURE


def require_signature(directory: Path, *, trusted_keys: Sequence[str], required: bool) -> bool:
    """Whether the package is signed by one of the keys.

    ModelInvalid where a signature is required and none is there; and for one that none of the keys made, unless there are no
    keys to tell by: a signature that is wrong is worse than none.
    """
    try:
        manifest = (directory / MANIFEST).read_bytes()
        signature = base64.b64decode((directory / SIGNATURE).read_text(encoding="ascii"), validate=False)
    except FileNotFoundError as error:
        if required:
            raise ModelInvalid(f"model package {directory.name}: it is not signed, and must be") from error
        return False
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise ModelInvalid(f"model package {directory.name}: {SIGNATURE} cannot be read") from error
    if any(_signed(key, signature, manifest) for key in trusted_keys):
        return True
    if trusted_keys or required:
        raise ModelInvalid(f"model package {directory.name}: its signature was made by none of the trusted keys")
    return False


def _signed(key: str, signature: bytes, content: bytes) -> bool:
    try:
        public = load_der_public_key(base64.b64decode(key))
        if not isinstance(public, Ed25519PublicKey):
            return False
        public.verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True

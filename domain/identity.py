"""Who is who: deterministic UIDs, so that the same work done twice is the same object (PS3.5 B.2, `2.25.` UIDs).

lineage  a model's results for a study, whatever comes later: a late image must not move a report to another series
key      everything that decides a document's bytes; any change of content is another key, hence another UID
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What wrote a file or opened an association (PS3.7 D.3.3.2): uuid5(NAMESPACE_DNS, "houndsfield"), the same in every node.
IMPLEMENTATION_CLASS_UID = "2.25.295038038861300309169429110588194361223"
IMPLEMENTATION_VERSION_NAME = "HOUNDSFIELD"

# For `analyse`, which has no ledger to keep a namespace of its own in.
OFFLINE_NAMESPACE = uuid.UUID("b8f5b0f6-52c1-5c43-9d1d-6f3f0a0c7a51")


def digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a canonical JSON text; TypeError for what JSON cannot hold."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """UIDs of one node: `namespace` is random, made once and kept in the ledger."""

    namespace: uuid.UUID = OFFLINE_NAMESPACE

    def lineage(self, study_instance_uid: str, model_name: str) -> str:
        return digest({"namespace": str(self.namespace), "study": study_instance_uid, "model": model_name})

    def uid(self, *parts: str | int) -> str:
        """A UID of at most 44 characters that follows from the parts."""
        return f"2.25.{uuid.uuid5(self.namespace, '/'.join(map(str, parts))).int}"

    @staticmethod
    def may_have_made(uid: str) -> bool:
        """False where no node can have made this UID: its number is not that of a name-based UUID (RFC 4122 4.3)."""
        number = uid.removeprefix("2.25.")
        if number == uid or len(uid) > 44 or not (number.isascii() and number.isdigit()) or int(number) >> 128:
            return False
        return uuid.UUID(int=int(number)).version == 5

    @property
    def device_uid(self) -> str:
        """The node as a device: observer of its reports."""
        return self.uid("device")

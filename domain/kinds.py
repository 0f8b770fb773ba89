"""The closed vocabularies: every value that a noun of `domain.types` can take, spelt as in JSON, settings and manifests."""

from enum import StrEnum


class Language(StrEnum):
    ENGLISH = "en"
    KOREAN = "ko"


class Source(StrEnum):
    """Where a fact about the animal or the image comes from."""

    HEADER = "header"
    ASSUMED = "assumed"  # the settings' default for this modality
    USER = "user"
    PIXELS = "pixels"
    UNKNOWN = "unknown"


class Species(StrEnum):
    DOG = "dog"
    CAT = "cat"
    OTHER = "other"


class Region(StrEnum):
    """Body regions a model can be valid for; coded by CID 7483 in `domain.codes`."""

    THORAX = "thorax"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    SPINE = "spine"
    HEAD = "head"
    LIMB = "limb"
    OTHER = "other"


class View(StrEnum):
    """Projections as vets name them; coded by CID 7484 in `domain.codes`."""

    RIGHT_LATERAL = "right-lateral"
    LEFT_LATERAL = "left-lateral"
    LATERAL = "lateral"  # side not known
    VENTRODORSAL = "ventrodorsal"
    DORSOVENTRAL = "dorsoventral"
    CRANIOCAUDAL = "craniocaudal"
    CAUDOCRANIAL = "caudocranial"
    MEDIOLATERAL = "mediolateral"
    LATEROMEDIAL = "lateromedial"
    OTHER = "other"


class SpacingSource(StrEnum):
    """What a millimetre means: PS3.3 10.7.1.3."""

    CALIBRATED = "calibrated"  # in the animal, by fiducial or geometry
    DETECTOR = "detector"  # at the detector: objects look larger than they are
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What became of an image, a model's run on it, or a study. Silence is none of these."""

    ANALYSED = "ANALYSED"
    DECLINED = "DECLINED"  # no model is valid for this species, region or view: not a fault
    FAILED = "FAILED"


class FindingOutcome(StrEnum):
    PRESENT = "PRESENT"
    ABSENT = "ABSENT"
    UNCERTAIN = "UNCERTAIN"
    NOT_ASSESSABLE = "NOT_ASSESSABLE"


class QualityIssue(StrEnum):
    """What can be wrong with how a radiograph was taken."""

    CROPPED = "cropped"  # anatomy that the view must show is outside the image
    ROTATED_BODY = "rotated-body"  # the animal is turned about its own long axis
    UNDEREXPOSED = "underexposed"
    OVEREXPOSED = "overexposed"


class DocumentKind(StrEnum):
    SR = "sr"
    TEXT_SR = "text_sr"
    SC = "sc"
    GSPS = "gsps"
    KOS = "kos"
    PDF = "pdf"
    ORIGINAL = "original"  # what was received, forwarded


class SrGeometry(StrEnum):
    """Where a finding's outline stands in an SR: viewers differ in what they draw."""

    MEASURED = "measured"  # TID 1501: below the number that was measured from it
    REGION = "region"  # TID 1410: an Image Region of its own
    BOTH = "both"


class DeliveryState(StrEnum):
    PENDING = "PENDING"
    STORED = "STORED"  # the peer answered Success; nothing has confirmed it yet
    VERIFIED = "VERIFIED"  # found again on the peer
    REFUSED = "REFUSED"  # the peer said no, for good
    DEAD = "DEAD"  # gave up at the deadline
    CANCELLED = "CANCELLED"  # on purpose: a person cancelled it, or its results were withdrawn before it was sent


class AlarmKind(StrEnum):
    """What a person must know of without having asked; each stays open until it is mended or acknowledged."""

    DEAD_TASK = "dead_task"
    DESTINATION_DOWN = "destination_down"
    BROKER_DOWN = "broker_down"  # over Celery: nothing is analysed or delivered until it is back
    DISK = "disk"  # too little of it: low, or images are being refused
    MISSING_FILE = "missing_file"  # an acknowledged image whose file is gone
    CONFLICT = "conflict"  # one SOP Instance UID came with two contents
    URGENT_FINDING = "urgent_finding"  # marked so by a model package

"""Results as DICOM objects that an archive takes and a viewer shows: segmentations, and a picture of the uncertainty.

Their UIDs follow from the series and the instances that were segmented, the bundle, its version and what decides the
result, and nothing in them tells when they were made: made again they are the same bytes, and storing them again
changes nothing.

Legend: D slices or frames of the source, H W rows and columns, S structures.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from .geometry import frames, planes

MANUFACTURER = "noise2mask"
SERIES_NUMBER = 9000  # of the first result; far from what scanners use
CLOCK = "InstanceCreationDate InstanceCreationTime DateOfSecondaryCapture TimeOfSecondaryCapture".split()
WHEN = ("Series", "Acquisition", "Content", "Study")  # the first date that the source has is the result's
UNKNOWN_DATE, UNKNOWN_TIME = "19000101", "000000"  # where it has none: they may not be empty
Made = TypeVar("Made", bound=Dataset)


class Maker(NamedTuple):
    """What made a result."""

    bundle: str
    version: str
    structures: Sequence[Mapping[str, Any]]  # each in codes, see `coded.py`
    recipe: str  # digest of weights and settings

    def uid(self, source: Sequence[Dataset], kind: str) -> str:
        """The same for the same instances and maker, whenever it is asked."""
        return self._uid(source, kind, sorted(str(made.SOPInstanceUID) for made in source))

    def series_uid(self, source: Sequence[Dataset], kind: str) -> str:
        """The same for all cases of a series: the results of many stills are one series as well."""
        return self._uid(source, kind, [])

    def _uid(self, source: Sequence[Dataset], kind: str, instances: Sequence[str]) -> str:
        parts = (str(source[0].SeriesInstanceUID), *instances, self.bundle, self.version, self.recipe, kind)
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(parts)).int}"


def can_be_referred_to(source: Sequence[Dataset]) -> bool:
    """Whether highdicom (0.28) makes segmentations of it: of one still, or of what has a place in space."""
    if "FrameOfReferenceUID" not in source[0]:
        return len(source) == 1 and frames(source[0]) == 1 and "Multi-frame" not in source[0].SOPClassUID.name
    return all(plane.is_placed and plane.spacing for made in source for plane in planes(made))


def mask_object(source: Sequence[Dataset], mask: np.ndarray, maker: Maker) -> hd.seg.Segmentation:
    """A BINARY segmentation.

    Args:
        source: D headers (or one, of D frames) in the order of the mask's slices.
        mask:   (D, H, W, S) in {0, 1}.
        maker:  what made it.
    """
    return _segmentation(source, mask.astype(np.uint8), "BINARY", "mask", SERIES_NUMBER, maker)


def probability_object(source: Sequence[Dataset], probability: np.ndarray, maker: Maker) -> hd.seg.Segmentation:
    """A FRACTIONAL segmentation of type PROBABILITY, in steps of 1 / 255.

    Args:
        source:      as for `mask_object`.
        probability: (D, H, W, S) in [0, 1].
        maker:       what made it.
    """
    values = probability.astype(np.float32)
    return _segmentation(source, values, "FRACTIONAL", "probability", SERIES_NUMBER + 1, maker)


def picture_object(source: Sequence[Dataset], picture: np.ndarray, maker: Maker) -> hd.sc.SCImage:
    """A secondary capture, such as the preview with the uncertainty.

    Args:
        source:  whose patient and study it belongs to.
        picture: (H, W, 3) uint8.
        maker:   what made it.
    """
    made = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=source[0],
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=maker.series_uid(source, "picture series"),
        sop_instance_uid=maker.uid(source, "picture"),
        series_number=SERIES_NUMBER + 2,
        instance_number=_instance_number(source),
        manufacturer=MANUFACTURER,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )
    made["PatientOrientation"].value = None  # its panels have none; highdicom asks for one
    return _undated(made, source)


def _segmentation(
    source: Sequence[Dataset], values: np.ndarray, kind: str, what: str, number: int, maker: Maker
) -> hd.seg.Segmentation:
    made = hd.seg.Segmentation(
        source_images=source,
        pixel_array=values,
        segmentation_type=kind,
        segment_descriptions=[_segment(maker, number, source) for number in range(1, len(maker.structures) + 1)],
        series_instance_uid=maker.series_uid(source, f"{what} series"),
        sop_instance_uid=maker.uid(source, what),
        series_number=number,
        instance_number=_instance_number(source),
        software_versions=maker.version,
        device_serial_number="0",
        content_label=re.sub("[^A-Z0-9_]", "_", f"{maker.bundle} {what}".upper())[:16],
        content_description=f"{what} by {maker.bundle} {maker.version}; research only, not for diagnosis"[:64],
        series_description=f"noise2mask {maker.bundle}: {what} (research only)"[:64],
        omit_empty_frames=False,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=maker.bundle[:64],
    )
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = maker.uid(source, f"{what} dimensions")
    return _undated(made, source)


def _instance_number(source: Sequence[Dataset]) -> int:
    """Of the still or clip that it is made of, so that results are shown in the order of their images; else 1."""
    return max(1, int(source[0].get("InstanceNumber") or 1)) if len(source) == 1 else 1


def _undated(made: Made, source: Sequence[Dataset]) -> Made:
    """Put the source's date and time where highdicom puts those of the clock, or nothing where that may be."""
    for keyword in CLOCK:
        made.pop(keyword, None)
    made.ContributingEquipmentSequence[-1].pop("ContributionDateTime", None)  # highdicom's own
    if "ContentDate" in made:
        dated = next((what for what in WHEN if source[0].get(f"{what}Date")), None)
        made.ContentDate = source[0].get(f"{dated}Date", UNKNOWN_DATE)
        made.ContentTime = source[0].get(f"{dated}Time") or UNKNOWN_TIME
    return made


def _segment(maker: Maker, number: int, source: Sequence[Dataset]) -> hd.seg.SegmentDescription:
    """A structure, counted from 1, in codes."""
    structure = maker.structures[number - 1]
    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"noise2mask {maker.bundle}"[:64], version=maker.version, family=codes.cid7162.ArtificialIntelligence
    )
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure["label"],
        segmented_property_category=Code(*structure["category"]),
        segmented_property_type=Code(*structure["type"]),
        anatomic_regions=[Code(*region) for region in structure.get("anatomic_regions", [])],
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=f"{maker.bundle} {structure['label']}",
        tracking_uid=maker.uid(source, f"segment {number}"),
    )

"""Results as DICOM objects that an archive takes and a viewer shows: segmentations, and a picture of the uncertainty.

Their UIDs follow from the series, the bundle, its version and what decides the result, so that storing them again
changes nothing.

Legend: D slices or frames of the source, H W rows and columns.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

MANUFACTURER = "noise2mask"
SERIES_NUMBER = 9000  # of the first result; far from what scanners use


class Maker(NamedTuple):
    """What made a result."""

    bundle: str
    version: str
    structure: Mapping[str, Any]  # `coded_structure` of the bundle's metadata
    recipe: str  # digest of weights and settings

    def uid(self, series: str, kind: str) -> str:
        """The same for the same series and maker, whenever it is asked."""
        name = "/".join((series, self.bundle, self.version, self.recipe, kind))
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def can_be_referred_to(source: Sequence[Dataset]) -> bool:
    """Whether highdicom (0.28) makes segmentations of it: not of several frames that have no place in space."""
    return len(source) == 1 == int(source[0].get("NumberOfFrames", 1)) or "FrameOfReferenceUID" in source[0]


def mask_object(source: Sequence[Dataset], mask: np.ndarray, maker: Maker) -> hd.seg.Segmentation:
    """A BINARY segmentation.

    Args:
        source: D headers (or one, of D frames) in the order of the mask's slices.
        mask:   (D, H, W) in {0, 1}.
        maker:  what made it.
    """
    return _segmentation(source, mask.astype(np.uint8), "BINARY", "mask", SERIES_NUMBER, maker)


def probability_object(source: Sequence[Dataset], probability: np.ndarray, maker: Maker) -> hd.seg.Segmentation:
    """A FRACTIONAL segmentation of type PROBABILITY, in steps of 1 / 255.

    Args:
        source:      as for `mask_object`.
        probability: (D, H, W) in [0, 1].
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
    series = str(source[0].SeriesInstanceUID)
    return hd.sc.SCImage.from_ref_dataset(
        ref_dataset=source[0],
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=maker.uid(series, "picture series"),
        sop_instance_uid=maker.uid(series, "picture"),
        series_number=SERIES_NUMBER + 2,
        instance_number=1,
        manufacturer=MANUFACTURER,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )


def _segmentation(
    source: Sequence[Dataset], values: np.ndarray, kind: str, what: str, number: int, maker: Maker
) -> hd.seg.Segmentation:
    series = str(source[0].SeriesInstanceUID)
    return hd.seg.Segmentation(
        source_images=source,
        pixel_array=values,
        segmentation_type=kind,
        segment_descriptions=[_segment(maker, maker.uid(series, "segment"))],
        series_instance_uid=maker.uid(series, f"{what} series"),
        sop_instance_uid=maker.uid(series, what),
        series_number=number,
        instance_number=1,
        software_versions=maker.version,
        device_serial_number="0",
        content_label=f"{maker.bundle} {what}".upper().replace(" ", "_")[:16],
        content_description=f"{what} by {maker.bundle} {maker.version}; research only, not for diagnosis"[:64],
        series_description=f"noise2mask {maker.bundle}: {what} (research only)"[:64],
        omit_empty_frames=False,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=maker.bundle,
    )


def _segment(maker: Maker, uid: str) -> hd.seg.SegmentDescription:
    """The one structure that is segmented, in codes."""
    structure = maker.structure
    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"noise2mask {maker.bundle}", version=maker.version, family=codes.cid7162.ArtificialIntelligence
    )
    return hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=structure["label"],
        segmented_property_category=Code(*structure["category"]),
        segmented_property_type=Code(*structure["type"]),
        anatomic_regions=[Code(*region) for region in structure.get("anatomic_regions", [])],
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=f"{maker.bundle} {structure['label']}",
        tracking_uid=uid,
    )

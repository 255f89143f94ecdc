"""A MONAI Deploy application: a DICOM series in, a DICOM segmentation out, by a packed bundle, on a CPU or a GPU.

    python app.py -i FOLDER_WITH_DICOM -m UNPACKED_BUNDLE -o OUT

The series is chosen by its modality, MODALITY (US where it is not set), as an archive may send a whole study.
"""

import hashlib
import json
import logging
import os
from pathlib import Path

from monai.deploy.conditions import CountCondition
from monai.deploy.core import AppContext, Application
from monai.deploy.core.domain import Image
from monai.deploy.core.io_type import IOType
from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator
from monai.deploy.operators.dicom_seg_writer_operator import DICOMSegmentationWriterOperator, SegmentDescription
from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator
from monai.deploy.operators.dicom_series_to_volume_operator import DICOMSeriesToVolumeOperator
from monai.deploy.operators.monai_bundle_inference_operator import (
    BundleConfigNames,
    IOMapping,
    MonaiBundleInferenceOperator,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

ANATOMICAL = ("91723000", "SCT", "Anatomical Structure")  # of structures that the metadata has no codes of


class Masks(MonaiBundleInferenceOperator):
    """Runs the bundle, and hands on its map of the structures' numbers with a channel, which MONAI Deploy expects."""

    def _init_config(self, config_names):
        """Tell the config where its bundle stands: MONAI Deploy does not."""
        super()._init_config(config_names)
        self.parser["bundle_root"] = str(self.bundle_path)

    def post_process(self, data, *args, **kwargs):
        """{"pred": (1, W, H, D), numbers from 1 up} in the size and the axes of the input."""
        return {"pred": super().post_process(data, *args, **kwargs)["pred"][None]}


class SegmentSeries(Application):
    """Loader, selector, volume, bundle, writer."""

    def compose(self):
        """Build them, and say what flows where."""
        context = Application.init_app_context(self.argv)
        bundle = Path(context.model_path)
        conditions = {"Modality": f"(?i)^{os.environ.get('MODALITY', 'US')}$"}
        rules = {"selections": [{"name": "images", "conditions": conditions}]}
        loader = DICOMDataLoaderOperator(
            self, CountCondition(self, 1), input_folder=Path(context.input_path), name="loader"
        )
        selector = DICOMSeriesSelectorOperator(self, rules=json.dumps(rules), name="selector")
        volume = DICOMSeriesToVolumeOperator(self, name="volume")
        masks = Masks(
            self,
            input_mapping=[IOMapping("image", Image, IOType.IN_MEMORY)],
            output_mapping=[IOMapping("pred", Image, IOType.IN_MEMORY)],
            app_context=AppContext({}),  # the one above has opened the folder as a model of a kind that can not run
            bundle_config_names=BundleConfigNames(config_names=["inference"]),
            bundle_path=bundle,
            name="masks",
        )
        writer = DICOMSegmentationWriterOperator(
            self,
            segment_descriptions=described(bundle),
            output_folder=Path(context.output_path),
            omit_empty_frames=False,
            name="writer",
        )
        self.add_flow(loader, selector, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(selector, volume, {("study_selected_series_list", "study_selected_series_list")})
        self.add_flow(volume, masks, {("image", "image")})
        self.add_flow(selector, writer, {("study_selected_series_list", "study_selected_series_list")})
        self.add_flow(masks, writer, {("pred", "seg_image")})


def described(bundle):
    """The structures that are segmented and the algorithm, from the bundle's metadata."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    names = list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())[1:]
    private = {name: {"label": name[:64], "category": ANATOMICAL, "type": private_code(name)} for name in names}
    known = private | metadata.get("coded_structures", {})
    return [
        SegmentDescription(
            segment_label=known[name]["label"],
            segmented_property_category=Code(*known[name]["category"]),
            segmented_property_type=Code(*known[name]["type"]),
            anatomic_regions=[Code(*region) for region in known[name].get("anatomic_regions", [])],
            algorithm_name=f"noise2mask {metadata['name']}",
            algorithm_version=metadata["version"],
            algorithm_family=codes.cid7162.ArtificialIntelligence,
        )
        for name in names
    ]


def private_code(name):
    """As noise2mask/clinical/coded.py has it, which is not in packages: values have 16 characters at most."""
    short = hashlib.sha256(name.encode()).hexdigest()[:16] if len(name) > 16 else name
    return short, "99NOISE2MASK", name[:64]


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    SegmentSeries().run()

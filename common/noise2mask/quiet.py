"""Lines that MONAI 1.6.1 prints on every run and that tell nothing: exactly these are left out, and no others.

Real warnings stand among them and are overlooked.
"""

import logging
import warnings

WARNINGS = (  # how their texts begin, and their kinds
    ("NvImgCodecPydicomReader: nvImageCodec decoder plugin did not register", UserWarning),  # a reader not in use
    (".*always_return_as_numpy", FutureWarning),  # MONAI's HD95 calls MONAI's edges so
)
LOGGED = {  # by logger
    "monai.bundle.workflows": "Not all config files are in ",  # overlays stand in configs/data and beside the weights
    "monai.data.nvimgcodec_pydicom_plugin": "nvImageCodec is not available; ",
}


def quiet() -> None:
    """Leave these lines out from now on; as often as you like."""
    for beginning, kind in WARNINGS:
        warnings.filterwarnings("ignore", beginning, kind)
    for name in LOGGED:
        logging.getLogger(name).addFilter(_tells_something)


def _tells_something(record: logging.LogRecord) -> bool:
    """Whether a line is another one than those."""
    return not record.getMessage().startswith(LOGGED[record.name])

"""What the commands do with an archive: `segment --dicomweb` and `watch`."""

from logging.config import fileConfig
from pathlib import Path

from ..bundles import Bundle
from ..segmenter import Segmenter
from ..settings import parsed
from .how import How
from .run import run_segmentation

try:
    from ..clinical.dicomweb import Archive
    from ..clinical.study import Segment, serve_study
    from ..clinical.watch import Watch
except ImportError as error:
    raise ValueError(f"An archive needs more packages ({error}): install the extra clinical.") from error


def segment_study(url: str, study: str, modality: str | None, bundle: Bundle, output: Path, how: How) -> list[Path]:
    """Fetch, segment and store the series of a study; the folders of their results."""
    # What is missing is said before anything is fetched
    bundle.inference_configs(how.weights, how.presets)
    return serve_study(Archive(url), study, modality, output, _segment(bundle, how))


def watch_archive(url: str, modality: str, days: int, interval: float, bundle: Bundle, output: Path, how: How) -> None:
    """Serve an archive until the process is stopped."""
    _check(bundle, how)
    fileConfig(bundle.logging_config, disable_existing_loggers=False)  # before the first series' run does so
    watch = Watch(Archive(url), modality, days, output, _segment(bundle, how), lambda: _check(bundle, how))
    watch.run(interval)


def _check(bundle: Bundle, how: How) -> None:
    """Refuse weights and settings that are not there, or do not fit: before any series, and when one is refused."""
    Segmenter(str(bundle.root), how.weights, how.presets, **how.sampling, **parsed(how.settings))


def _segment(bundle: Bundle, how: How) -> Segment:
    return lambda files, folder: run_segmentation(bundle, files, folder, how)

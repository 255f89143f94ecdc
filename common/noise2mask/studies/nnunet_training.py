"""Trains nnU-Net on the images of one of our trainings, within a given time: what presets/nnunet_train.yaml names.

The images are written as a data set of nnU-Net, which plans, preprocesses and trains by its own code. At the end stands
`model.pt`, weights with the plans, and `model.yaml` and `model_images.json` beside it, as of every training here. All
files of nnU-Net's are in `nnunet/` of the output folder.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..diffusion.precision import PRECISIONS
from ..files import previous_path, save_atomically
from ..handlers.checkpoint import LAST, check_same_run, check_whole, dataset_digest, items_in, newest_readable
from ..handlers.model_files import save_model
from ..handlers.resolved_config import fingerprint, resolved_config
from ..handlers.trained_on import digests_of
from ..names import check_name
from ..networks.nnunet import PREFIX
from .nnunet_data import FOLDERS, NAME, clear_dataset, write_dataset
from .nnunet_trainer import STATE, Schedule, TimedTrainer

try:
    from batchgenerators.utilities.file_and_folder_operations import load_json
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
except ImportError as error:
    raise ValueError(f"nnU-Net needs more packages ({error}): install the extra peers.") from error

logger = logging.getLogger(__name__)

PLANS = "nnUNetPlans"  # of nnU-Net's default planner
NUMBER = int(NAME[7:10])  # of the data set


class NNUNetTraining:
    """One fold, our training and our validation.

    Args:
        training:             a `SliceDataset` without random transforms that gives whole files.
        validation:           the same.
        output_dir:           of `last.pt`, the curves and `nnunet/`.
        model_file:           where weights and plans go.
        minutes:              that training may take, planning and preprocessing not counted.
        configuration:        of nnU-Net: "2d", slice by slice, or "3d_fullres".
        structures:           names of the channels, of several; None: masks have one channel.
        exclusive:            channel 0 is the background; a pixel that is in no channel is ignored.
        iterations_per_epoch: after which nnU-Net validates and the state is saved.
        memory_target:        GB of a GPU that nnU-Net plans for, also where there is none: less makes smaller batches.
        precision:            of the forward pass; "float32" leaves a GPU nnU-Net's own, float16.
        num_workers:          processes that augment; 0: none beside this one.
        seed:                 of weights and augmentation.
        device:               to train on.

    Raises:
        ValueError: where a number or the configuration is out of range, or the config has another network.
    """

    def __init__(
        self,
        training: Any,
        validation: Any,
        output_dir: str,
        model_file: str,
        minutes: float,
        configuration: str = "2d",
        structures: Sequence[str] | None = None,
        exclusive: bool = False,
        iterations_per_epoch: int = 25,
        memory_target: float = 8.0,
        precision: str = "float32",
        num_workers: int = 0,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        if minutes <= 0 or memory_target <= 0 or iterations_per_epoch < 1:
            found = f"minutes is {minutes}, memory_target {memory_target}, iterations_per_epoch {iterations_per_epoch}"
            raise ValueError(f"{found}; expected more than 0, the last a whole number: correct them.")
        if configuration not in ("2d", "3d_fullres"):
            raise ValueError(f"configuration is {configuration!r}, expected '2d' or '3d_fullres': correct it.")
        self.training, self.validation = training, validation
        self.folder, self.model_file = Path(output_dir), model_file
        self.minutes, self.configuration = minutes, configuration
        self.structures = None if structures is None else list(structures)
        self.exclusive = exclusive
        check_name("precision", precision, PRECISIONS)
        self.memory_target, self.precision = memory_target, precision
        self.iterations, self.num_workers, self.seed = iterations_per_epoch, num_workers, seed
        self.device = torch.device("cpu") if device is None else device
        self.config = resolved_config()
        if self.config and "NNUNet" not in str(self.config.get("network_def")):
            raise ValueError("network_def is no nnU-Net: give presets/nnunet.yaml before presets/nnunet_train.yaml.")

    def run(self) -> None:
        """Train, or go on where an interrupted run of the same config was; a finished one starts anew.

        Raises:
            ValueError: where `last.pt` belongs to an unfinished run of another config, or the configuration does not
                fit the images.
        """
        facts: dict[str, Any] = {
            "fingerprint": fingerprint(self.config),
            "data": dataset_digest(self.training),
            "validation": dataset_digest(self.validation),
        }
        path, saved = newest_readable(self.folder / LAST)
        saved = None if saved is None or saved["finished"] else saved
        if saved is not None:
            check_same_run(path, saved, facts["fingerprint"], facts["data"], facts["validation"])
            check_whole(path, saved, STATE)
            logger.info(f"resumed from {path}: {saved['epoch']} epochs in {saved['elapsed'] / 60:.1f} minutes are done")
        with self._environment():
            if saved is None or not self._preprocessed.is_dir():
                self._prepare()
            trainer = self._trainer(facts, saved)
            trainer.run_training()
        self._finish(trainer, facts)

    @property
    def _work(self) -> Path:
        return self.folder / "nnunet"

    @property
    def _preprocessed(self) -> Path:
        return self._work / "preprocessed" / NAME

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """nnU-Net takes its folders from variables, which here live as long as its work."""
        names = {f"nnUNet_{name}": str(self._work / name) for name in FOLDERS}
        with _variables(names | {"nnUNet_n_proc_DA": str(self.num_workers)}):
            yield

    def _prepare(self) -> None:
        """Raw data, fingerprint, plans, preprocessed data: all anew."""
        clear_dataset(self._work)
        write_dataset(self._work / "raw", self.training, self.validation, self.structures, self.exclusive)
        processes = max(1, self.num_workers)
        with _variables({"nnUNet_n_proc_DA": str(processes)}):  # the planner makes threads of it, at least one
            extract_fingerprint_dataset(NUMBER, num_processes=processes, verbose=False, show_progress_bar=False)
            as_they_are = self.configuration == "2d"  # else its slices may be along another axis than ours
            ExperimentPlanner(NUMBER, self.memory_target, suppress_transpose=as_they_are).plan_experiment()
        plans = PlansManager(self._plans())
        if self.configuration not in plans.available_configurations:
            raise ValueError(f"{self.configuration} is of volumes, but the images are pictures: take '2d'.")
        preprocessor = plans.get_configuration(self.configuration).preprocessor_class(verbose=False)
        preprocessor.show_progress_bar = False
        preprocessor.run(NUMBER, self.configuration, PLANS, num_processes=processes)

    def _plans(self) -> dict[str, Any]:
        return dict(load_json(str(self._preprocessed / f"{PLANS}.json")))

    def _trainer(self, facts: Mapping[str, Any], saved: Mapping[str, Any] | None) -> TimedTrainer:
        """Ready to begin, or to go on."""
        plans = self._plans() | {"continue_training": False}  # of its logger alone
        dataset = load_json(str(self._preprocessed / "dataset.json"))
        torch.manual_seed(self.seed)  # of the weights
        trainer = TimedTrainer(plans, self.configuration, 0, dataset, device=self.device)
        seconds, state = 60 * self.minutes, self.folder / LAST
        schedule = Schedule(
            seconds=seconds,
            iterations=self.iterations,
            seed=self.seed,
            precision=self.precision,
            path=state,
            facts=facts,
            curves=self.folder,
        )
        trainer.follow(schedule, saved)
        chosen = trainer.configuration_manager
        weights = sum(weight.numel() for weight in trainer.network.parameters())
        batches = f"{chosen.batch_size} patches of {' x '.join(map(str, chosen.patch_size))} in a batch"
        logger.info(f"{self.configuration}: {batches}, {weights / 1e6:.1f} million weights")
        return trainer

    def _finish(self, trainer: TimedTrainer, facts: Mapping[str, Any]) -> None:
        """Weights and plans, what goes with them, and last the word that the run is finished."""
        weights = {PREFIX + name: value.cpu() for name, value in trainer.network.state_dict().items()}
        content = {
            "model": weights,
            "plans": self._plans(),
            "dataset": load_json(str(self._preprocessed / "dataset.json")),
            "configuration": self.configuration,
            "mirror_axes": list(trainer.inference_allowed_mirroring_axes),
        }
        save_model(content, self.model_file, self.config, digests_of(items_in(self.training)))
        state = {"epoch": trainer.current_epoch, "elapsed": trainer.elapsed}
        save_atomically({**facts, **state, "finished": True}, self.folder / LAST)
        previous_path(self.folder / LAST).unlink(missing_ok=True)
        logger.info(
            f"finished after {trainer.current_epoch} epochs, {trainer.elapsed / 60:.1f} minutes: {self.model_file}"
        )


@contextmanager
def _variables(own: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment, and afterwards those that there were."""
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

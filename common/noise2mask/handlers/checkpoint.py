"""One `last.pt` per run to resume from, and the best weights as `model.pt`, with `model.yaml` for inference.

A run may have several phases (PGDiffSeg: prior, then diffusion), each with its own trainer and its own `Checkpoint`;
they share `last.pt`, which knows the phase it was saved in. The same command, run again, goes on where it was stopped.
"""

import hashlib
import json
import logging
import math
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from monai.transforms import Compose
from torch import nn

from ..data.datalist import FILES, is_path
from ..data.item_paths import paths_of
from ..diffusion.denoiser import unwrap
from ..digest import sha256_once
from ..files import load_plain, previous_path, save_atomically, write_text_atomically
from .model_files import save_model
from .resolved_config import difference, fingerprint, resolved_config
from .trained_on import digests_of

logger = logging.getLogger(__name__)

LAST = "last.pt"  # the state that a run resumes from
CONFIG = "config.json"  # of the last call
OF_ANY = ("finished", "fingerprint")  # what every state has, whoever saved it
OF_PHASE = ("phase", "epoch", "iteration", "best", "objects", "scaler", "random")  # what `Checkpoint` adds


class Checkpoint:
    """Saves and resumes one phase of a run.

    Attach it after the handlers that change the state (EMA, validation). At the start it looks at `last.pt`:
    unfinished and of the same config, the run goes on; of another config, it stops and says what differs; finished, or
    not there, the run starts anew.

    Args:
        output_dir: folder of `last.pt`.
        objects:    what has a state: networks, optimiser, ...; networks may be in DistributedDataParallel.
        phase:      number of this phase, counted from 0.
        phases:     how many phases the run has.
        evaluator:  its key metric decides what is best; None where the phase has no validation.
        weights:    the network whose weights are saved when the key metric is best, such as the moving average; at the
                    end where no validation gave a score.
        model_file: where they go, as a bare state dict, which MONAI Label, MONAI Deploy and `monai.bundle.load` read;
                    `model.yaml` beside it says how they are to be used,
                    `model_images.json` what they were trained on.
    """

    def __init__(
        self,
        output_dir: str,
        objects: Mapping[str, Any],
        phase: int = 0,
        phases: int = 1,
        evaluator: Engine | None = None,
        weights: nn.Module | None = None,
        model_file: str | None = None,
    ) -> None:
        self.path = Path(output_dir) / LAST
        self.objects = objects
        self.phase, self.phases = phase, phases
        self.evaluator = evaluator
        self.weights = weights
        self.model_file = model_file
        self.best: float | None = None
        self.images: list[str] | None = None
        self.data = ""  # digests, known when the run starts
        self.validation: str | None = None
        self.config = resolved_config()
        self.fingerprint = fingerprint(self.config)

    def attach(self, engine: Engine) -> None:
        """Resume when the run starts, save when an epoch ends."""
        engine.add_event_handler(Events.STARTED, self.resume)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    # Resuming

    def resume(self, engine: Engine) -> None:
        """Take up an unfinished run.

        Raises:
            ValueError: where `last.pt` belongs to an unfinished run of another config, or is not whole.
        """
        self.data = data_digest(engine)
        self.validation = None if self.evaluator is None else data_digest(self.evaluator)
        path, saved = newest_readable(self.path)
        if saved is None or saved["finished"]:
            return self._write_config()
        check_same_run(path, saved, self.fingerprint, self.data, self.validation)
        check_whole(path, saved, OF_PHASE)
        self._write_config()
        if saved["phase"] > self.phase:
            logger.info(f"{path}: phase {self.phase} is done")
            engine.terminate()
        elif saved["phase"] == self.phase:
            check_whole(path, saved["objects"], self.objects)
            self._restore(saved, engine)
            logger.info(f"resumed from {path}: epoch {saved['epoch']} of phase {self.phase} is done")

    def _write_config(self) -> None:
        """For people: what this call was given, overlays and command line included."""
        if self.config and idist.get_rank() == 0:
            text = json.dumps(self.config, indent=1, default=str)
            write_text_atomically(f"{text}\n", self.path.with_name(CONFIG))

    def _restore(self, saved: Mapping[str, Any], engine: Engine) -> None:
        for name, thing in self.objects.items():
            _plain_object(thing).load_state_dict(saved["objects"][name])
        if getattr(engine, "scaler", None) is not None:
            engine.scaler.load_state_dict(saved["scaler"])
        engine.state.epoch, engine.state.iteration = saved["epoch"], saved["iteration"]
        self.best = saved["best"]
        _set_random_states(saved["random"])

    # Saving

    def save(self, engine: Engine) -> None:
        """Write `last.pt` and, where the key metric of this epoch's validation is best, the weights."""
        if idist.get_rank() > 0:
            return
        finished = self.phase == self.phases - 1 and engine.state.epoch == engine.state.max_epochs
        self._save_best(engine)
        if finished and self.best is None and self.evaluator is not None:
            why = f"epoch {engine.state.epoch}: no validation gave a score, the last weights"
            self._save_weights(why, items_of(engine))
        scaler = getattr(engine, "scaler", None)
        content = {
            "fingerprint": self.fingerprint,
            "data": self.data,
            "validation": self.validation,
            "phase": self.phase,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "finished": finished,
            "best": self.best,
            "objects": {name: _plain_object(thing).state_dict() for name, thing in self.objects.items()},
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": _random_states(),
        }
        save_atomically(content, self.path, keep_previous=True)

    def _save_best(self, engine: Engine) -> None:
        """Only a validation of this very epoch counts."""
        if self.evaluator is None or self.evaluator.state.epoch != engine.state.epoch:
            return
        metric = float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
        if math.isnan(metric) or (self.best is not None and metric <= self.best):
            return
        self.best = metric
        why = f"epoch {engine.state.epoch}: best {self.evaluator.state.key_metric_name} {metric:.4f}"
        self._save_weights(why, items_of(engine))

    def _save_weights(self, why: str, items: Sequence[Any]) -> None:
        assert self.weights is not None and self.model_file is not None, (
            "a phase with validation says what to save where"
        )
        content = dict(unwrap(self.weights).state_dict())
        if self.images is None:  # the first of this call: what stands beside them does not change in a run
            self.images = digests_of(items)
            save_model(content, self.model_file, self.config, self.images)
        else:
            save_atomically(content, self.model_file)
        logger.info(f"{why} -> {self.model_file}")


def check_same_run(
    path: Path, saved: Mapping[str, Any], config: Mapping[str, str], data: str, validation: str | None
) -> None:
    """See that an unfinished run is the one that is asked for.

    Args:
        path:       of its state.
        saved:      what it holds.
        config:     fingerprint of the config that is asked for.
        data:       digest of the training data.
        validation: digest of the validation data; None: there are none.

    Raises:
        ValueError: where it is another one; it says what differs.
    """
    changes = difference(saved["fingerprint"], config)
    # Compared from the front: a state of an older version has no digest of what the files hold
    if not (saved.get("data") and data.startswith(saved["data"])):
        changes.append("the training data are others (images, masks, patients or split)")
    if saved.get("validation") and validation and not validation.startswith(saved["validation"]):
        changes.append("the validation data are others, and so the best score so far is not theirs")
    if changes:
        raise ValueError(
            f"{path} belongs to an unfinished run with another config: {'; '.join(changes[:8])}. "
            "Run that config to its end, give another output_dir, or delete the file."
        )


def check_whole(path: Path, saved: Any, names: Iterable[str]) -> None:
    """Raise ValueError where a state lacks one of these names: an older version, or another program, has saved it."""
    missing = sorted(name for name in names if not isinstance(saved, Mapping) or name not in saved)
    if missing:
        raise ValueError(
            f"{path} is no state that this training can go on from: it lacks {', '.join(missing)}. "
            "Give another output_dir, or move the file away to start anew."
        )


def finished(folder: Path) -> bool | None:
    """Whether the training in a folder has come to its end; None where it has saved no state.

    Raises:
        ValueError: where `last.pt` can not be read, or is none.
    """
    path = folder / LAST
    if not path.is_file():
        return None
    saved = load_plain(path)
    check_whole(path, saved, ["finished"])
    return bool(saved["finished"])


def items_of(engine: Engine) -> list[Mapping[str, Any]]:
    """What a trainer trains on, or an evaluator scores."""
    return items_in(getattr(engine.data_loader, "dataset", None))


def items_in(dataset: Any) -> list[Mapping[str, Any]]:
    """What a data set is of."""
    return [item for item in getattr(dataset, "data", []) if isinstance(item, Mapping)]


def data_digest(engine: Engine) -> str:
    """`dataset_digest` of what a trainer trains on, or an evaluator scores."""
    return dataset_digest(getattr(engine.data_loader, "dataset", None))


def dataset_digest(dataset: Any) -> str:
    """Two digests, of the items and of the files that they name.

    Items: which images, with which masks, of whom, in which order; and files that transforms have read. Files: what
    they hold. They are read whole, once in a process, which takes about as long as an epoch's reading: sizes would not
    tell of a mask that was corrected, and times change where data are copied to a node before each call.
    """
    items = items_in(dataset)
    plain: list[Any] = [sorted((str(key), str(value)) for key, value in item.items()) for item in items]
    transform = getattr(dataset, "transform", None)
    steps = transform.flatten().transforms if isinstance(transform, Compose) else ()
    plain += [step.digest for step in steps if hasattr(step, "digest")]
    files = [path for item in items for key in FILES if is_path(item.get(key)) for path in paths_of(item[key])]
    return f"{_of_json(plain)} {_of_json([sha256_once(path) for path in files])}"


def _of_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _plain_object(thing: Any) -> Any:
    return unwrap(thing) if isinstance(thing, nn.Module) else thing


def newest_readable(path: Path) -> tuple[Path, Any]:
    """`last.pt`, or the one before it where that is damaged, and what the file holds; None where there is neither.

    Raises:
        ValueError: where nothing that is there can be read, or it is no state of a training; errors of disk and memory
            pass, and nothing is put aside.
    """
    found, readable, problems = path, None, []
    candidates = [candidate for candidate in (path, previous_path(path)) if candidate.exists()]
    for candidate in candidates:
        try:
            found, readable = candidate, load_plain(candidate)
            break
        except ValueError as error:
            problems.append(error)
    if problems and readable is None:
        names = " and ".join(candidate.name for candidate in candidates)
        why = " ".join(map(str, problems))
        raise ValueError(f"{path.parent}: {names} can not be read: delete them to start anew. {why}") from problems[0]
    if problems:
        logger.warning(f"{problems[0]} Falling back to {previous_path(path)}.")
        if idist.get_rank() == 0:  # out of the way, or the next save would put it in the place of the good one
            os.replace(path, path.with_suffix(".damaged"))
    if candidates:
        check_whole(found, readable, OF_ANY)
    return found, readable


def _random_states() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "python": [version, list(words), gauss],
        "numpy": [name, keys.tolist(), int(position), int(has_gauss), float(cached)],
    }


def _set_random_states(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))

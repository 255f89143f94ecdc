"""A run that is interrupted and started again ends with the same weights, to the last bit."""

import json
import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.transforms import Compose, RandGaussianNoised
from torch import nn

from noise2mask.data.slice_dataset import SliceDataset
from noise2mask.diffusion.noise_schedule import NoiseSchedule
from noise2mask.diffusion.prepare_batch import PrepareDiffusion
from noise2mask.files import load_plain, previous_path
from noise2mask.handlers import checkpoint as module
from noise2mask.handlers.checkpoint import Checkpoint, check_same_run, data_digest, dataset_digest
from noise2mask.handlers.ema import EMA
from noise2mask.handlers.reseed import Reseed
from noise2mask.transforms.reinhard import ReinhardToSlided

CPU = torch.device("cpu")
ITEMS = [{"image": torch.full((1, 4, 4), n / 5), "label": torch.ones(1, 4, 4) * (n % 2)} for n in range(5)]
VALIDATION = ITEMS[:1]


class Tiny(nn.Module):
    """BatchNorm has buffers, dropout draws random numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 1, 1)
        )

    def forward(self, x, timesteps=None, context=None):
        return self.layers(torch.cat([x, x if context is None else context], dim=1))


class Run:
    """A tiny training run in a folder: one phase of diffusion with augmentation, Adam, EMA and a falling rate."""

    def __init__(self, folder, epochs=3, phase=0, phases=1, scores=None):
        dataset = SliceDataset(ITEMS, Compose([RandGaussianNoised("image", prob=1.0)]))
        loader = DataLoader(dataset, batch_size=2, shuffle=True)
        self.network, self.losses = Tiny(), []
        self.ema = EMA(self.network, decay=0.9)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-2)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.5)
        self.objects = {"network": self.network, "ema": self.ema.network, "optimizer": self.optimizer}
        self.objects["schedule"] = self.schedule
        validation = [ValidationHandler(1, self._evaluator(iter(scores)), epoch_level=True)] if scores else []
        best = (
            {"weights": self.ema.network, "model_file": f"{folder}/model.pt", "evaluator": self.evaluator}
            if scores
            else {}
        )
        self.checkpoint = Checkpoint(str(folder), self.objects, phase, phases, **best)
        self.trainer = SupervisedTrainer(
            CPU,
            epochs,
            loader,
            self.network,
            self.optimizer,
            lambda output, target: nn.functional.mse_loss(output, target["prediction"]),
            prepare_batch=PrepareDiffusion(NoiseSchedule("linear", 50)),
            train_handlers=[self.ema, Reseed(loader, seed=3), *validation],
            decollate=False,
        )
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.schedule.step())
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        self.checkpoint.attach(self.trainer)

    def _evaluator(self, scores):
        loader = DataLoader(SliceDataset(VALIDATION, Compose([])))
        self.evaluator = SupervisedEvaluator(CPU, loader, self.network, iteration_update=lambda engine, batch: None)
        self.evaluator.state.key_metric_name = "dice"
        score = self.evaluator.state.metrics.update
        self.evaluator.add_event_handler(Events.COMPLETED, lambda: score(dice=next(scores)))
        return self.evaluator

    def _note(self, engine):
        self.losses.append((engine.state.epoch, engine.state.iteration, engine.state.output["loss"].item()))

    def go(self, killed_at=None):
        """Run to the end, or die when an iteration (2 to 9; 3 make an epoch) starts."""
        if killed_at is not None:
            self.trainer.add_event_handler(Events.ITERATION_STARTED(once=killed_at), self._die)
        try:
            self.trainer.run()
        except KeyboardInterrupt:
            pass
        return self

    def _die(self, engine):
        raise KeyboardInterrupt

    def state(self):
        return repr([_bits(thing.state_dict()) for thing in self.objects.values()])


def _bits(value):
    if isinstance(value, torch.Tensor):
        return value.detach().double().flatten().tolist()
    if isinstance(value, dict):
        return {key: _bits(item) for key, item in value.items()}
    return [_bits(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("whole")).go()


@pytest.fixture
def config(monkeypatch):
    settings = {"optimizer": {"lr": 0.01}, "size": [64, 64]}
    monkeypatch.setattr(module, "resolved_config", lambda: settings)
    return settings


# Resuming


@pytest.mark.parametrize("killed_at", [2, 4, 6, 9])
def test_an_interrupted_run_ends_like_a_whole_one_to_the_last_bit(tmp_path, whole, killed_at):
    first = Run(tmp_path).go(killed_at)
    torch.rand(11)
    second = Run(tmp_path).go()
    done = (killed_at - 1) // 3 * 3
    assert first.losses[:done] + second.losses == whole.losses
    assert second.state() == whole.state()


def test_a_run_may_be_interrupted_again_and_again(tmp_path, whole):
    for killed_at in (5, 2, 8, 9):
        Run(tmp_path).go(killed_at)
    assert Run(tmp_path).go().state() == whole.state()


def test_a_finished_run_starts_anew(tmp_path, whole):
    Run(tmp_path).go()
    again = Run(tmp_path).go()
    assert again.losses == whole.losses and again.state() == whole.state()


def test_another_config_is_refused_with_what_differs(tmp_path, config):
    Run(tmp_path).go(killed_at=5)
    config["optimizer"]["lr"], config["size"] = 0.1, [64, 32]
    with pytest.raises(ValueError, match="lr is 0.1, was 0.01; size::1 is 32, was 64") as caught:
        Run(tmp_path).go()
    assert "last.pt belongs to an unfinished run" in str(caught.value) and "another output_dir" in str(caught.value)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == {"optimizer": {"lr": 0.01}, "size": [64, 64]}  # of the run there is, not of the refused one


def test_other_data_are_refused(tmp_path, monkeypatch):
    Run(tmp_path).go(killed_at=5)
    monkeypatch.setitem(globals(), "ITEMS", [{**item, "patient": "other"} for item in ITEMS])
    with pytest.raises(ValueError, match="the training data are others"):
        Run(tmp_path).go()


@pytest.mark.parametrize("key", ["image", "label"])
def test_a_file_that_was_edited_makes_other_data(tmp_path, key):
    items = [{"image": str(tmp_path / "a.png"), "label": [str(tmp_path / "b.png"), str(tmp_path / "c.png")]}]
    for name in "abc":
        (tmp_path / f"{name}.png").write_text("old")
    before = dataset_digest(Dataset(items))
    os.utime(tmp_path / "a.png", (1, 1))  # as a copy has another time
    assert dataset_digest(Dataset(items)) == before
    (tmp_path / ("a.png" if key == "image" else "c.png")).write_text("new")
    assert dataset_digest(Dataset(items)) != before
    saved = {"fingerprint": {}, "data": before}
    with pytest.raises(ValueError, match=r"the training data are others \(images, masks"):
        check_same_run(tmp_path, saved, {}, dataset_digest(Dataset(items)), None)


def test_a_checkpoint_that_knows_its_files_by_name_alone_is_accepted(tmp_path, whole):
    Run(tmp_path).go(killed_at=5)
    saved = load_plain(tmp_path / "last.pt")
    saved["data"] = saved["data"].split()[0]  # as older versions have it
    torch.save(saved, tmp_path / "last.pt")
    assert Run(tmp_path).go().state() == whole.state()


def test_data_whose_transforms_have_read_another_file_are_others(tmp_path):
    known = {"mean": [50, 0, 0], "deviation": [5, 1, 1], "patches": 1, "pixels": 9}

    def digest(luminance):
        (tmp_path / "colours.json").write_text(json.dumps({"luminance": [0, luminance], "slides": {"s": known}}))
        dataset = Dataset(
            [{"image": "a.png"}], Compose([Compose([ReinhardToSlided("image", tmp_path / "colours.json")])])
        )
        return data_digest(SimpleNamespace(data_loader=SimpleNamespace(dataset=dataset)))

    assert digest(85) == digest(85) != digest(90)


def test_other_validation_data_are_refused(tmp_path, monkeypatch):
    Run(tmp_path, scores=[0.9, 0.1, 0.1]).go(killed_at=5)
    monkeypatch.setitem(globals(), "VALIDATION", ITEMS[:2])
    with pytest.raises(ValueError, match="last.pt belongs .* the validation data are others"):
        Run(tmp_path, scores=[0.5, 0.6]).go()
    assert Run(tmp_path).go().checkpoint.best == 0.9  # a run without validation has nothing to compare


def test_a_checkpoint_that_does_not_know_its_validation_data_is_accepted(tmp_path):
    Run(tmp_path, scores=[0.9, 0.1, 0.1]).go(killed_at=5)
    saved = load_plain(tmp_path / "last.pt")
    del saved["validation"]
    torch.save(saved, tmp_path / "last.pt")
    assert Run(tmp_path, scores=[0.5, 0.6]).go().checkpoint.best == 0.9


def test_another_config_may_replace_a_finished_run(tmp_path, config):
    Run(tmp_path).go()
    config["optimizer"]["lr"] = 0.1
    assert len(Run(tmp_path).go().losses) == 9


@pytest.mark.parametrize("keep", [0, 1000])
def test_a_truncated_file_falls_back_to_the_one_before(tmp_path, whole, keep, caplog):
    caplog.set_level("INFO")
    Run(tmp_path).go(killed_at=8)
    last = tmp_path / "last.pt"
    last.write_bytes(last.read_bytes()[:keep])
    second = Run(tmp_path).go()
    assert second.losses[0][0] == 2 and second.state() == whole.state()
    assert "last.pt is no readable checkpoint" in caplog.text
    assert f"resumed from {tmp_path / 'last_previous.pt'}: epoch 1 of phase 0 is done" in caplog.text
    assert (tmp_path / "last.damaged").stat().st_size == keep  # not put in the place of the good one


def test_a_kill_between_the_two_renames_falls_back_too(tmp_path, whole):
    Run(tmp_path).go(killed_at=8)
    (tmp_path / "last.pt").unlink()
    assert Run(tmp_path).go().state() == whole.state()


def test_two_damaged_files_stop_the_run(tmp_path):
    for name in ("last.pt", "last_previous.pt"):
        (tmp_path / name).write_bytes(b"x")
    expected = "last.pt and last_previous.pt can not be read: delete them .*last.pt is no readable checkpoint .*Error"
    with pytest.raises(ValueError, match=expected):
        Run(tmp_path).go()


def test_a_failing_disk_puts_no_checkpoint_aside(tmp_path):
    Run(tmp_path).go(killed_at=8)
    good = (tmp_path / "last.pt").rename(tmp_path / "good")
    (tmp_path / "last.pt").symlink_to("/proc/self/mem")  # reading its first byte fails as a bad disk does
    with pytest.raises(OSError, match="Input/output error"):
        Run(tmp_path).go()
    assert (tmp_path / "last.pt").is_symlink() and good.exists()


@pytest.mark.parametrize("foreign", [torch.zeros(2), {"weight": torch.zeros(2)}, {"epoch": 3, "finished": False}])
def test_a_file_of_another_program_is_no_state(tmp_path, foreign):
    torch.save(foreign, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="last.pt is no state that this training can go on from: it lacks fin"):
        Run(tmp_path).go()
    assert (tmp_path / "last.pt").exists()


@pytest.mark.parametrize(("part", "name"), [("", "random"), ("", "phase"), ("objects", "schedule")])
def test_what_a_state_lacks_is_named(tmp_path, part, name):
    Run(tmp_path).go(killed_at=5)
    saved = load_plain(tmp_path / "last.pt")
    del (saved[part] if part else saved)[name]
    torch.save(saved, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=f"last.pt is no state .*: it lacks {name}. Give another output_dir"):
        Run(tmp_path).go()


def test_the_previous_epoch_is_kept(tmp_path):
    Run(tmp_path).go(killed_at=8)
    assert load_plain(tmp_path / "last.pt")["epoch"] == 2
    assert load_plain(previous_path(tmp_path / "last.pt"))["epoch"] == 1


# Phases


def test_a_finished_phase_is_passed_over_and_the_next_one_goes_on(tmp_path):
    expected = Run(tmp_path / "whole", phase=1, phases=2).go()
    Run(tmp_path, phase=0, phases=2).go()
    Run(tmp_path, phase=1, phases=2).go(killed_at=5)
    assert Run(tmp_path, phase=0, phases=2).go().losses == []
    second = Run(tmp_path, phase=1, phases=2).go()
    assert second.losses[0][0] == 2 and second.state() == expected.state()


def test_a_phase_that_was_saved_whole_is_restored_before_the_next_one(tmp_path):
    first = Run(tmp_path, phase=0, phases=2).go()
    again = Run(tmp_path, phase=0, phases=2).go()
    assert again.losses == [] and again.state() == first.state()
    assert len(Run(tmp_path, phase=1, phases=2).go().losses) == 9


def test_random_states_are_restored(tmp_path):
    Run(tmp_path, phase=0, phases=2).go()
    expected = torch.rand(1), np.random.rand(), random.random()
    Run(tmp_path, phase=0, phases=2).go()
    assert (torch.rand(1), np.random.rand(), random.random()) == expected


def test_a_run_is_finished_when_its_last_phase_is(tmp_path):
    for phase, finished in ((0, False), (1, True)):
        Run(tmp_path, phase=phase, phases=2).go()
        assert load_plain(tmp_path / "last.pt")["finished"] is finished


# The best weights


def test_the_best_weights_are_those_of_the_best_epoch(tmp_path):
    run = Run(tmp_path, scores=[0.3, 0.7, 0.5])
    kept = []
    run.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: kept.append(_bits(run.ema.network.state_dict())))
    run.go()
    assert _bits(load_plain(tmp_path / "model.pt")) == kept[1]
    assert run.checkpoint.best == 0.7


def test_a_resumed_run_remembers_its_best(tmp_path):
    Run(tmp_path, scores=[0.9, 0.1, 0.1]).go(killed_at=5)
    before = (tmp_path / "model.pt").read_bytes()
    assert Run(tmp_path, scores=[0.5, 0.6]).go().checkpoint.best == 0.9
    assert (tmp_path / "model.pt").read_bytes() == before


def test_a_score_that_is_no_number_is_never_the_best(tmp_path):
    assert Run(tmp_path, scores=[float("nan"), 0.4, float("nan")]).go().checkpoint.best == 0.4
    assert (tmp_path / "model.pt").exists()

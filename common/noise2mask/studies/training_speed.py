"""How fast a training goes, by its curves, and how many epochs of it fit into a time."""

from pathlib import Path
from statistics import mean
from typing import NamedTuple

from ..handlers.epoch_log import PRIOR_SECONDS, SECONDS
from ..report.curves import read_scalars

MEASURED_INTERVAL = 2  # of validation
MEASURED_EPOCHS = 5  # the first fills the caches; the second and fourth are validated, the third and fifth are not
SHARE = 0.9  # of the time that is planned for: starting takes some, and the others' share of the machine varies
VALIDATIONS = 24  # of a training at most: enough to see how its curve ends


class Speed(NamedTuple):
    """What a training takes beside the others, in seconds.

    epoch:      without validation.
    validation: of one.
    prior:      of an epoch of the phase before, 0 where there is none.
    """

    epoch: float
    validation: float
    prior: float = 0.0


def speed_of(folder: Path) -> Speed | None:
    """By the curves of a measurement, whose every second epoch is validated; None while it has not done enough.

    The first epoch of each phase does not count, because it fills caches.
    """
    times = {tag: list(steps.values()) for tag, steps in read_scalars(folder).items() if tag.endswith(SECONDS)}
    prior = times.pop(PRIOR_SECONDS, [])[1:]
    main = [seconds for own in times.values() for seconds in own]
    if len(main) < MEASURED_EPOCHS:
        return None
    epoch, validated = mean(main[2::2]), mean(main[1::2])
    return Speed(epoch, max(0.0, validated - epoch), mean(prior) if prior else 0.0)


def epochs_within(seconds: float, speed: Speed, prior_epochs: int = 0) -> dict[str, int]:
    """As many epochs as fit into `SHARE` of the time, in whole intervals of validation.

    Args:
        seconds:      that are there.
        speed:        of the training.
        prior_epochs: of the phase before.

    Returns:
        `epochs` and `val_interval`, the settings.

    Raises:
        ValueError: where not even two epochs fit.
    """
    left = SHARE * seconds - prior_epochs * speed.prior
    all_validated = left / (speed.epoch + speed.validation)  # epochs: the more of both where they are few
    most = int(max(all_validated, (left - VALIDATIONS * speed.validation) / speed.epoch))
    if most < 2:
        takes = f"{prior_epochs} epochs of the prior and two of {speed.epoch + speed.validation:.1f} s"
        raise ValueError(f"{seconds:.0f} s are not enough for {takes}: give more --minutes.")
    interval = -(-most // VALIDATIONS)  # rounded up
    return {"epochs": most // interval * interval, "val_interval": interval}

"""From image to mask: N samples of a denoising network per image, fused to class probabilities.

Everything that changes separately is an argument: the noise schedule, what the network predicts, the sampler, the
fusion. Each view of an image is encoded once, and evaluated for all samples that see it in one batch.

Legend: B images, b items that the network takes one by one (images, slices of volumes, or, with 3 dimensions, whole
volumes), N samples, K classes, H W D size, T trained timesteps.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
from monai.inferers import Inferer
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..meta import files_of, without_meta
from ..names import check_name
from ..spread import evenly
from .denoiser import Condition, Denoiser, unwrap
from .fusion import METHODS, fuse
from .noise import NoiseSource
from .noise_schedule import NoiseSchedule
from .samplers import DEFAULT_SPACING, SAMPLERS, VARIANCES, Denoised, evaluations
from .smaller_chunks import in_smaller_chunks
from .target import check_kind, check_mask_scale, split_variance, to_x0
from .temperature import check_temperature, tempered
from .timesteps import select_timesteps
from .uncertainty import triage
from .views import View, count_of_views, views_of


class Intermediate(NamedTuple):
    """What a callback gets before every transition of a sampler."""

    images: range  # numbers of the images, or slices, in this chunk
    samples: range  # numbers of the samples in this chunk
    step: int  # 0, 1, ...
    timestep: int
    x: Tensor  # (images * samples, K, H, W[, D]), the noisy mask, on +-mask_scale plus noise
    x0: Tensor  # (images * samples, K, H, W[, D]), the clean mask estimated from it, on +-mask_scale


class EnsembleInferer(Inferer):
    """Samples a denoising network and fuses the samples.

    Args:
        noise_schedule: of training.
        target:         what the network predicts: "epsilon", "x0" or "v".
        mask_scale:     clean masks live on +-mask_scale.
        out_channels:   K.
        sampler:        a name of `samplers.SAMPLERS`.
        steps:          length of the list of timesteps, 1 .. T; 0 takes the network's own coarse mask as it is, once.
        spacing:        "log_snr" or "uniform"; None takes the sampler's own default.
        samples:        N.
        flips:          axes along which the views of an image are mirrored, such as [[], [1]]: 0 rows, 1 columns, 2
                        slices (of a network of three dimensions). A mirrored image must look like one.
        zooms:          sizes at which they are seen, such as [1.0, 1.2]. Sample n takes flips[n] and zooms[n], each
                        list over and over again, and is laid back onto the image: `views.py`.
        seed:           sample n of every image takes its noise from seed + n.
        fusion:         "mean", "majority" or "staple".
        exclusive:      classes exclude one another (one-hot masks, K >= 2).
        temperature:    of the fused probabilities, for `tempered`; what a call gives is as the samples say.
        variance:       of the noise that "ddpm" adds: "small", "large" (the authors of PGDiffSeg take it) or "learned",
                        of a network that predicts it; other samplers add no noise.
        clip:           bound the clean mask to +-mask_scale before every step; without it samples from steep noise
                        schedules leave their range.
        start:          first timestep t0 of a truncated start from the network's coarse mask; None starts from noise
                        at T - 1.
        chunk_size:     images * samples evaluated at once, which bounds the memory; a whole volume counts D. Where
                        it does not suffice, half as many are tried, and so on.
        progress:       show a progress bar over network evaluations.

    Raises:
        ValueError: where a name or a number is out of range.
    """

    def __init__(
        self,
        noise_schedule: NoiseSchedule,
        target: str = "x0",
        mask_scale: float = 0.3,
        out_channels: int = 1,
        sampler: str = "ddim",
        steps: int = 2,
        spacing: str | None = None,
        samples: int = 5,
        flips: Sequence[Sequence[int]] = ((),),
        zooms: Sequence[float] = (1.0,),
        seed: int = 0,
        fusion: str = "mean",
        exclusive: bool = False,
        temperature: float = 1.0,
        variance: str = "small",
        clip: bool = True,
        start: int | None = None,
        chunk_size: int = 64,
        progress: bool = False,
    ) -> None:
        super().__init__()
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        samples = samples if steps else count_of_views(flips, zooms)  # of one view the coarse mask is always the same
        check_kind(target)
        check_mask_scale(mask_scale)
        check_name("sampler", sampler, SAMPLERS)
        check_name("fusion", fusion, METHODS)
        check_name("variance", variance, VARIANCES)
        check_temperature(temperature)
        if samples < 1 or chunk_size < 1:
            raise ValueError(f"samples and chunk_size must be at least 1, found {samples} and {chunk_size}.")
        self.noise_schedule = noise_schedule
        self.target = target
        self.mask_scale = mask_scale
        self.out_channels = out_channels
        self.sampler = sampler
        spacing = spacing or DEFAULT_SPACING[sampler]
        self.timesteps = select_timesteps(noise_schedule, steps, spacing, start) if steps else []
        self.samples = samples
        self.views = views_of(flips, zooms, samples)
        self.seed = seed
        self.fusion = fusion
        self.exclusive = exclusive
        self.temperature = temperature
        self.variance = variance
        self.bound = mask_scale if clip else None
        self.truncated = start is not None
        self.chunk_size = chunk_size
        self.progress = progress

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the samples, and the list of timesteps that follows from it."""
        left_out = ("noise_schedule", "chunk_size", "progress")
        decided = {name: value for name, value in self._arguments.items() if name not in left_out}
        return decided | {
            "samples": self.samples,
            "timesteps": self.timesteps,
            "noise_schedule": repr(self.noise_schedule),
        }

    def changed(self, **options: Any) -> "EnsembleInferer":
        """An inferer with the same arguments but for these, such as `steps=10`; this one stays as it is."""
        return EnsembleInferer(**{**self._arguments, **options})

    def __call__(self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
        """Class probabilities, as a MONAI evaluator, MONAI Label and MONAI Deploy expect them.

        Args:
            inputs:  (B, C, H, W) or volumes (B, C, H, W, D), in the range the network was trained on; volumes alone for
                a network of three dimensions.
            network: a `Denoiser`, in DistributedDataParallel or not.

        Returns:
            (B, K, H, W[, D]) in [0, 1].

        Raises:
            ValueError: where the image has other axes, a sample is not finite, the network predicts other channels than
                K (or 2 K, the variance with them), or none of a variance that is "learned"; or as its `encode` does.
                It names the files of the batch, where they are known.
        """
        try:
            return fuse(self.sample(inputs, network), self.fusion, self.exclusive)
        except ValueError as error:
            raise ValueError(f"{error}{files_of(inputs)}") from error

    def tempered(self, probability: Tensor) -> Tensor:
        """Fused probabilities (K, *S) of one image at its own size, where its mask is decided -> calibrated ones."""
        return tempered(probability[None], self.temperature, self.exclusive)[0]

    def triage(self, inputs: Tensor, network: Callable[..., Any]) -> Tensor:
        """How unsure the model is of each image, (B,) in [0, 1]: 1 minus the mean Dice over pairs of samples.

        Arguments and errors are those of a call.
        """
        return triage(self.sample(inputs, network), self.exclusive)["triage"]

    def states(self, image: Tensor, network: Callable[..., Any], most: int) -> list[tuple[int, Tensor]]:
        """What the network is given on the way of the first sample, at some evenly spread steps.

        Args:
            image:   (B, C, H, W), of a network of three dimensions (B, C, H, W, D).
            network: a `Denoiser`.
            most:    steps at most.

        Returns:
            Timestep and noisy mask (B, K, H, W[, D]), the noisiest first; none where no step is taken.
        """
        chosen, kept = set(evenly(len(self.timesteps), most)), dict[int, tuple[int, list[Tensor]]]()

        def keep(state: Intermediate) -> None:
            if state.step in chosen:
                kept.setdefault(state.step, (state.timestep, []))[1].append(state.x)

        self.changed(samples=1).sample(image, network, callback=keep)
        return [(timestep, torch.cat(parts)) for _, (timestep, parts) in sorted(kept.items())]

    @torch.no_grad()
    def sample(
        self,
        image: Tensor,
        network: Callable[..., Any],
        coarse: Tensor | None = None,
        callback: Callable[[Intermediate], None] | None = None,
    ) -> Tensor:
        """Soft samples, from which every map is derived.

        Args:
            image:    (B, C, H, W) or (B, C, H, W, D).
            network:  a `Denoiser`; it is evaluated in eval mode and left in the mode it was in.
            coarse:   (B, K, H, W[, D]) in [0, 1], where a truncated run starts; None takes the network's own.
            callback: is shown every intermediate state, in chunks.

        Returns:
            (B, N, K, H, W[, D]) in [0, 1].
        """
        if coarse is not None and not self.truncated:
            raise ValueError(
                "A coarse mask is used by a truncated start only: give the inferer a `start`, such as 400."
            )
        with evaluated(network) as denoiser:
            items = _to_items(image, denoiser.spatial_dims)  # (b, C, H, W[, D])
            starts = None if coarse is None else _to_items(coarse, denoiser.spatial_dims)  # (b, K, H, W[, D])
            out = self._sample_views(items, denoiser, starts, callback)  # (b, N, K, H, W[, D])
        return _from_items(out, image)  # (B, N, K, H, W[, D])

    def _sample_views(
        self,
        images: Tensor,
        network: Denoiser,
        coarse: Tensor | None,
        callback: Callable[[Intermediate], None] | None,
    ) -> Tensor:
        """(b, C, H, W[, D]) -> (b, N, K, H, W[, D]), view by view, of each the networks' samples in turn."""
        out = images.new_empty((len(images), self.samples, self.out_channels, *images.shape[2:]))
        for view, of_view in self.views:
            start = None if coarse is None else view.of(coarse)  # (b, K, H, W[, D])
            shown = None if callback is None else _laid_back(callback, view)
            for member, numbers in shared(network, of_view):
                samples = self._sample_items(view.of(images), member, start, shown, numbers=numbers)  # (b, n, K, ...)
                laid_back = view.back(samples.flatten(0, 1)).unflatten(0, samples.shape[:2])  # (b, n, K, H, W[, D])
                out[:, numbers.start :: numbers.step] = laid_back
        return out  # (b, N, K, H, W[, D])

    def _sample_items(
        self,
        images: Tensor,
        network: Denoiser,
        coarse: Tensor | None,
        callback: Callable[[Intermediate], None] | None,
        others: Sequence[Tensor] = (),
        seeds: Sequence[int] | None = None,
        numbers: range | None = None,
    ) -> Tensor:
        """(b, C, H, W[, D]), what else is encoded of each, their seeds, n samples' numbers -> (b, n, K, H, W[, D])."""
        numbers = range(self.samples) if numbers is None else numbers
        chunk_size = max(1, self.chunk_size // (images.shape[4] if images.ndim == 5 else 1))
        chunk_size = max(1, min(chunk_size, len(images) * len(numbers)))  # half of it is less than there is

        def run(size: int) -> Tensor:
            return self._sample_chunks(images, network, coarse, callback, others, seeds, numbers, size)

        return run(chunk_size) if callback else in_smaller_chunks(run, chunk_size)  # it must see no state twice

    def _sample_chunks(
        self,
        images: Tensor,
        network: Denoiser,
        coarse: Tensor | None,
        callback: Callable[[Intermediate], None] | None,
        others: Sequence[Tensor],
        seeds: Sequence[int] | None,
        numbers: range,
        chunk_size: int,
    ) -> Tensor:
        """The same, `chunk_size` images * samples at a time."""
        out = images.new_empty((len(images), len(numbers), self.out_channels, *images.shape[2:]))
        together = min(len(numbers), chunk_size)  # samples of one image in one batch
        with self._bar(len(images), chunk_size // together, len(numbers), together) as bar:
            for some in _ranges(len(images), chunk_size // together):
                condition = network.encode(*(own[some.start : some.stop] for own in (images, *others)))
                start = None if coarse is None else coarse[some.start : some.stop]  # (b, K, H, W[, D])
                seed = self.seed if seeds is None else seeds[some.start : some.stop]
                for at in _ranges(len(numbers), together):
                    show = _Show(some, numbers[at.start : at.stop], callback)
                    x0 = self._run(network, condition, show.samples, start, seed, show, bar)  # (b * m, K, H, W[, D])
                    soft = ((x0 / self.mask_scale + 1) / 2).clamp(0, 1)  # (b * m, K, H, W[, D])
                    out[some.start : some.stop, at.start : at.stop] = soft.unflatten(0, (len(some), -1))
        return out  # (b, n, K, H, W[, D])

    def _run(
        self,
        network: Denoiser,
        condition: Condition,
        numbers: range,
        coarse: Tensor | None,
        seed: int | Sequence[int],
        show: "_Show",
        bar: tqdm,
    ) -> Tensor:
        """One chunk: the samples `numbers` of the encoded images -> x0 (b * n, K, H, W[, D])."""
        image = condition.image
        x0 = None  # (b * n, K, H, W[, D])
        if self.truncated or not self.timesteps:
            coarse = network.coarse(condition) if coarse is None else coarse  # (b, K, H, W[, D])
            if coarse.shape[1] != self.out_channels:
                raise ValueError(f"The coarse mask has {coarse.shape[1]} classes, expected {self.out_channels}.")
            x0 = self.mask_scale * (2 * coarse.repeat_interleave(len(numbers), dim=0) - 1)  # (b * n, K, H, W[, D])
        if not self.timesteps:
            return cast(Tensor, x0)
        shape = (self.out_channels, *image.shape[2:])
        noise = NoiseSource(seed, numbers, len(image), shape, image.device, image.dtype)
        x = (
            noise() if x0 is None else self.noise_schedule.noised(x0, noise(), self.timesteps[0])
        )  # (b * n, K, H, W[, D])
        denoise = self._denoise(network, condition, bar)
        options: dict[str, Any] = {"variance": self.variance} if self.sampler == "ddpm" else {}
        return SAMPLERS[self.sampler](denoise, x, self.timesteps, self.noise_schedule, noise, callback=show, **options)

    def _denoise(self, network: Denoiser, condition: Condition, bar: tqdm) -> Callable[[Tensor, float], Denoised]:
        """x_t, t -> the clean mask, clipped to +-mask_scale before any step is taken from it, unless `clip` is off."""

        def denoise(x: Tensor, t: float) -> Denoised:
            timesteps = torch.tensor([t], device=x.device)  # (1,)
            at = network.at(condition, timesteps)
            output = cast(Tensor, network.denoise(x, timesteps, at))  # (b * n, K or 2 K, ...), a tensor in eval mode
            check_finite(output, len(condition.image), t)
            prediction, variance = split_variance(output.float(), self.out_channels)  # (b * n, K, ...) each
            x0 = to_x0(self.target, prediction, x, *self.noise_schedule.alpha_sigma(t))  # (b * n, K, ...)
            bar.update()
            return Denoised(x0 if self.bound is None else x0.clamp(-self.bound, self.bound), variance)

        return denoise

    def _bar(self, images: int, images_at_once: int, samples: int, samples_at_once: int) -> tqdm:
        """A progress bar that counts network evaluations."""
        chunks = -(-images // images_at_once) * -(-samples // samples_at_once)
        total = chunks * evaluations(self.sampler, len(self.timesteps))
        return tqdm(total=total, desc="sampling", unit="evaluation", disable=not self.progress, leave=False)


class _Show:
    """Tells the callback which images and samples an intermediate state belongs to."""

    def __init__(self, images: range, samples: range, callback: Callable[[Intermediate], None] | None) -> None:
        self.images, self.samples, self.callback = images, samples, callback

    def __call__(self, step: int, timestep: int, x: Tensor, x0: Tensor) -> None:
        if self.callback is not None:
            self.callback(Intermediate(self.images, self.samples, step, timestep, x, x0))


def _laid_back(callback: Callable[[Intermediate], None], view: View) -> Callable[[Intermediate], None]:
    """It is shown what is sampled of a view in the image's place."""
    return lambda state: callback(state._replace(x=view.back(state.x), x0=view.back(state.x0)))


def shared(network: Denoiser, numbers: range) -> Iterator[tuple[Denoiser, range]]:
    """The networks of an ensemble, each with its samples of a view's, in turn; of few samples the first alone."""
    members = network.members
    return ((member, own) for i, member in enumerate(members) if (own := numbers[i :: len(members)]))


@contextmanager
def evaluated(network: Callable[..., Any]) -> Iterator[Denoiser]:
    """The network inside a wrapper, in eval mode; left in the mode that it was in."""
    denoiser = cast(Denoiser, unwrap(cast(nn.Module, network)))
    was_training = denoiser.training
    denoiser.eval()
    try:
        yield denoiser
    finally:
        denoiser.train(was_training)


def check_finite(prediction: Tensor, images: int, t: float) -> None:
    """Raise ValueError where a prediction (b * n, K, ...) is not finite: clipping would hide an infinite one."""
    finite = torch.isfinite(prediction).flatten(1).all(dim=1)  # (b * n,)
    if not finite.all():
        image, sample = divmod(int((~finite).nonzero()[0]), len(prediction) // images)
        found = f"sample {sample} of image {image} of this chunk is not finite at timestep {t:g}"
        raise ValueError(f"The prediction of {found}: check the image's range and the weights.")


def _ranges(total: int, size: int) -> Iterator[range]:
    """0 .. total - 1 in pieces of at most `size`."""
    return (range(begin, min(begin + size, total)) for begin in range(0, total, size))


def _to_items(image: Tensor, spatial_dims: int) -> Tensor:
    """As it is, or (B, C, H, W, D) -> (B * D, C, H, W) for a network of slices; without MONAI's meta data."""
    image = without_meta(image)
    if image.ndim not in ((4, 5) if spatial_dims == 2 else (5,)):
        expected = "Expected images (B, C, H, W) or volumes" if spatial_dims == 2 else "Expected volumes"
        raise ValueError(f"{expected} (B, C, H, W, D), found shape {tuple(image.shape)}.")
    return image if image.ndim == spatial_dims + 2 else image.movedim(4, 1).flatten(0, 1)


def _from_items(samples: Tensor, image: Tensor) -> Tensor:
    """(b, N, K, H, W[, D]) -> (B, N, K, H, W[, D]): slices become volumes again."""
    if samples.ndim == image.ndim + 1:
        return samples
    return samples.unflatten(0, (image.shape[0], -1)).movedim(1, -1)

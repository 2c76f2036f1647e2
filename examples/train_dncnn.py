"""Train DnCNN, a denoiser, on patches cut by `allcores patches`, and measure it on other images.

The network and what it learns are those of Zhang et al., "Beyond a Gaussian denoiser: residual learning of deep CNN
for image denoising" (IEEE TIP 2017): it sees a noisy patch and predicts the noise in it. The learning rate falls along
half a cosine instead of in steps. All of it in one file, to be read and changed.

    pip install 'allcores[images,torch]'
    python examples/train_dncnn.py --data Train400 --test BSD68

`--data` is a folder of images, or the .npy file that ``allcores patches FOLDER FILE.npy`` has made of one. 50 epochs
take minutes on a large GPU and days on a laptop's processor; to see it work on one of these:

    python examples/train_dncnn.py --data Train400 --test BSD68 --depth 5 --features 16 --minutes 1

With `--checkpoint FILE` a run that was stopped goes on from its last epoch when it is started again.
"""

from __future__ import annotations

import argparse
import math
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

try:
    import torch
    from torch import nn
    from torch.nn import functional
    from torch.utils.data import DataLoader, Dataset
except ImportError:
    sys.exit("this example needs PyTorch: pip install 'allcores[torch]'")

from allcores.jobs.patches import make_patches


class DnCNN(nn.Sequential):
    """Convolutions of 3 × 3, batch normalisation and rectifiers; what comes out is the noise in what went in."""

    def __init__(self, depth: int = 17, features: int = 64) -> None:
        layers = [nn.Conv2d(1, features, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [
                nn.Conv2d(features, features, 3, padding=1, bias=False),
                nn.BatchNorm2d(features),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.Conv2d(features, 1, 3, padding=1))
        for module in self:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self[-1].weight)  # at first, nothing is taken for noise

    def denoised(self, noisy: torch.Tensor) -> torch.Tensor:
        """The image that is left without the noise, levels from 0 to 1."""
        return (noisy - self(noisy)).clamp(0, 1)


class Patches(Dataset):
    """The patches of an .npy file, mapped into memory: nothing is loaded at the start, only what is used is read."""

    def __init__(self, path: str) -> None:
        self.patches = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.patches[index].copy())

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        """A whole batch at once, as DataLoader asks for it where a dataset can: a hundred times as quick."""
        return torch.from_numpy(self.patches[np.sort(indices)])


def main() -> None:
    """Make patches if need be, train, and tell the PSNR after every epoch."""
    options = parse()
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    source = patch_file(options)
    patches = Patches(source)
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(pathlib.Path(options.test).glob("*.png"))]
    print(f"{len(patches)} patches of {source}, {len(images)} images of {options.test}, on {device}")
    print(f"noise alone: {average_psnr(lambda noisy: noisy.clamp(0, 1), images, options.sigma, device):.2f} dB")

    model = DnCNN(options.depth, options.features).to(device, memory_format=torch.channels_last)
    training = Training(model, patches, options, device)
    began = time.monotonic()
    for epoch in training.remaining():
        loss = training.epoch(epoch, until=began + 60 * options.minutes)
        psnr = average_psnr(model.eval().denoised, images, options.sigma, device)
        print(
            f"epoch {epoch + 1} of {options.epochs}: loss {loss:.5f}, PSNR {psnr:.2f} dB, "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
        if time.monotonic() > began + 60 * options.minutes:
            break


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--data", required=True, help="a folder of images to train on, or an .npy file of patches")
    add("--test", required=True, help="a folder of images to measure on")
    add("--sigma", type=float, default=25, help="standard deviation of the noise, of 255 levels")
    add("--epochs", type=int, default=50, help="how often every patch is seen")
    add("--minutes", type=float, default=math.inf, help="stop after so many, in the middle of an epoch perhaps")
    add("--batch", type=int, default=128, help="patches a step")
    add("--rate", type=float, default=1e-3, help="learning rate at the start")
    add("--depth", type=int, default=17, help="layers")
    add("--features", type=int, default=64, help="features of each layer")
    add("--seed", type=int, default=0, help="of weights, order and noise")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, cuda:1, mps")
    add("--half", action="store_true", help="compute in half precision where that is safe: twice as fast on GPUs")
    add("--checkpoint", help="a file that keeps the state after each epoch, and from which to go on")
    return parser.parse_args()


def patch_file(options: argparse.Namespace) -> str:
    """The file of patches; made beside a folder of images, unless it is there already."""
    if not os.path.isdir(options.data):
        return options.data
    path = os.path.abspath(options.data).rstrip(os.sep) + "-patches.npy"
    if not os.path.exists(path):
        print(make_patches(options.data, path, trim_to=options.batch, seed=options.seed))
    return path


class Training:
    """The state of a training run: network, optimiser, learning rate."""

    def __init__(self, model: DnCNN, patches: Patches, options: argparse.Namespace, device: torch.device) -> None:
        self.model, self.options, self.device = model, options, device
        # A batch is complete when it comes from the dataset, so there is nothing to collate.
        self.loader = DataLoader(
            patches, options.batch, shuffle=True, drop_last=True, collate_fn=lambda batch: batch,
            pin_memory=device.type == "cuda",
        )  # fmt: skip
        self.optimizer = torch.optim.Adam(model.parameters(), lr=options.rate)
        steps = options.epochs * len(self.loader)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=options.half and device.type == "cuda")
        self.first_epoch = 0
        if options.checkpoint and os.path.exists(options.checkpoint):
            self.load(torch.load(options.checkpoint, map_location=device))

    def remaining(self) -> Iterator[int]:
        """The epochs that are still to come."""
        yield from range(self.first_epoch, self.options.epochs)

    def epoch(self, number: int, until: float) -> float:
        """See every patch once, or as many as there is time for; returns the mean squared error of the noise."""
        self.model.train()
        losses = []
        for batch in self.loader:
            clean = batch[:, None].to(self.device, non_blocking=True).float() / 255
            losses.append(self.step(clean.contiguous(memory_format=torch.channels_last)))
            if time.monotonic() > until:
                break
        else:
            self.save(number + 1)
        return torch.stack(losses).mean().item()

    def step(self, clean: torch.Tensor) -> torch.Tensor:
        """One step of the optimiser on a batch of clean patches with fresh noise."""
        noise = torch.randn_like(clean) * (self.options.sigma / 255)
        with torch.autocast(self.device.type, enabled=self.options.half):
            predicted = self.model(clean + noise)
        loss = functional.mse_loss(predicted.float(), noise)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()

    def save(self, epochs: int) -> None:
        """Keep everything that a later run needs to go on."""
        if not self.options.checkpoint:
            return
        parts = {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "schedule", "scaler")}
        torch.save({"epochs": epochs, "random": torch.get_rng_state(), **parts}, f"{self.options.checkpoint}.part")
        os.replace(f"{self.options.checkpoint}.part", self.options.checkpoint)

    def load(self, state: dict) -> None:
        """Go on from what `save` has kept."""
        for name in ("model", "optimizer", "schedule", "scaler"):
            getattr(self, name).load_state_dict(state[name])
        torch.set_rng_state(state["random"].cpu())
        self.first_epoch = state["epochs"]


@torch.no_grad()
def average_psnr(denoise, images: Sequence[np.ndarray], sigma: float, device: torch.device) -> float:
    """The mean over images of the peak signal-to-noise ratio, in dB; the noise is the same each time."""
    values = []
    for number, image in enumerate(images):
        clean = torch.from_numpy(image).float()[None, None] / 255
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(number)) * (sigma / 255)
        result = denoise((clean + noise).to(device)).cpu()
        values.append(-10 * math.log10(functional.mse_loss(result, clean).item()))
    return sum(values) / len(values)


if __name__ == "__main__":
    main()

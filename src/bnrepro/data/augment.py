"""What is done to a mini-batch of images before the network sees it, on the device, from a seed's own stream."""

import torch
from torch import Tensor

from bnrepro.config import AugmentConfig
from bnrepro.seeding import AUGMENTATION, generator, onto, uniform

STRONGEST = 0.4  # change of brightness, contrast and saturation at strength 1
LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in brightness (ITU-R BT.601)


def as_input(images: Tensor) -> Tensor:
    """Return images as the network takes them, float32 in [0, 1]; whole bytes are divided by 255."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def centre(images: Tensor, side: int) -> Tensor:
    """Cut the centre of ``side`` pixels out of (..., H, W); 0: the whole image."""
    if not side or side == images.shape[-1]:
        return images
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    return images[..., top : top + side, left : left + side]


class Augment:
    """Crop, mirror and photometric distortion of (B, C, H, W) images.

    The numbers are drawn on the CPU, so that a seed distorts the same way on every device.
    """

    def __init__(self, config: AugmentConfig, seed: int, stream: int = AUGMENTATION) -> None:
        self.config = config
        self.generator = generator(seed, stream)

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 images, each distorted by its own draws."""
        config = self.config
        x = images
        if config.crop_at == "centre":
            x = centre(x, config.crop)
        elif config.crop or config.pad:
            x = self._crop(x, config.crop or x.shape[-1], config.pad)
        if config.flip:
            mirrored = onto(x.device, uniform(self.generator, (len(x),)) < 0.5)
            x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(-1), x)
        x = as_input(x)
        return self._distort(x, config.photometric * STRONGEST) if config.photometric else x

    def _crop(self, x: Tensor, side: int, pad: int) -> Tensor:
        padded = torch.nn.functional.pad(x, (pad, pad, pad, pad))
        room = torch.tensor([padded.shape[-2] - side + 1, padded.shape[-1] - side + 1])
        corner = onto(x.device, (uniform(self.generator, (len(x), 2)) * room).long())  # (B, 2), each place as likely
        along = torch.arange(side, device=x.device)
        rows, columns = corner[:, :1] + along, corner[:, 1:] + along  # (B, side)
        which = torch.arange(len(x), device=x.device).view(-1, 1, 1)
        return padded[which, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)

    def _distort(self, x: Tensor, most: float) -> Tensor:
        """Change brightness, contrast and saturation by factors from 1 - ``most`` to 1 + ``most``, in this order."""
        factors = 1 + most * (2 * uniform(self.generator, (3, len(x)), batch=1) - 1)
        brightness, contrast, saturation = onto(x.device, factors.clamp(min=0)).view(3, -1, 1, 1, 1)
        x = (x * brightness).clamp(0, 1)
        mean = self._grey(x).mean(dim=(2, 3), keepdim=True)
        x = torch.lerp(mean.expand_as(x), x, contrast).clamp(0, 1)
        return torch.lerp(self._grey(x).expand_as(x), x, saturation).clamp(0, 1)

    @staticmethod
    def _grey(x: Tensor) -> Tensor:
        if x.shape[1] != 3:
            return x.mean(dim=1, keepdim=True)
        weights = onto(x.device, torch.tensor(LUMA, dtype=x.dtype)).view(1, 3, 1, 1)
        return (x * weights).sum(dim=1, keepdim=True)

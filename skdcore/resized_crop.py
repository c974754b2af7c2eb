"""Random resized crops of a whole batch, as torchvision's RandomResizedCrop cuts them one by one from PIL images.

Resizing an image is two products, rows @ image @ columns^T, with the weights of PIL's bilinear filter, which averages
where it shrinks.  All shapes are fixed and nothing waits for the device, so that a captured GPU step can be replayed.
"""

import torch
import torch.nn.functional as F


def random_boxes(n, side, device="cpu"):
    """Random boxes in n images of `side` pixels: their starts and sizes, whole float32 numbers (2, n), rows first.

    The area is uniform in 8 to 100 % of the image and the ratio of width to height log-uniform in 3/4 to 4/3; of ten
    tries the first that fits is taken, else the whole image.  Its position is uniform.
    """
    area = torch.empty(n, 10, device=device).uniform_(0.08, 1) * side**2
    ratio = (4 / 3) ** torch.empty(n, 10, device=device).uniform_(-1, 1)
    tries = F.pad(torch.stack([area / ratio, area * ratio]).sqrt().round(), (0, 1), value=side)
    first = (tries <= side).all(dim=0).int().argmax(dim=1)
    size = tries.gather(2, first.expand(2, n)[:, :, None])[:, :, 0]
    start = (torch.rand(2, n, device=device) * (side - size + 1)).floor()
    return start, size


def resized_crop(images, start, size, side):
    """The boxes of the images, uint8 (B, 3, H, W), each resized to `side` pixels: float32 (B, side, side, 3).

    `start` and `size` are as `random_boxes` gives them.  PIL's pixels are these, rounded after each of its two passes.
    """
    rows = _weights(start[0], size[0], images.shape[2], side)
    columns = _weights(start[1], size[1], images.shape[3], side)
    with torch.autocast(images.device.type, enabled=False):  # it would round the pixels to bf16
        return torch.einsum("brh,bchw,bkw->brkc", rows, images.float(), columns)


def _weights(start, size, length, side):
    """How `side` pixels are made of the `size` from `start` on, of a line of `length`: float32 (B, side, length).

    Triangles around the new pixels' centres: each ends at the next centre or, to enlarge, one old pixel away.
    """
    start, size = start[:, None, None], size[:, None, None]
    step = size / side
    centre = start + step * (torch.arange(side, device=start.device)[:, None] + 0.5)
    pixel = torch.arange(length, device=start.device) + 0.5
    weight = (1 - (pixel - centre).abs() / step.clamp(min=1)).clamp(min=0)
    weight = weight * ((start < pixel) & (pixel < start + size))
    return weight / weight.sum(dim=2, keepdim=True)

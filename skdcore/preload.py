"""What every worker needs, in one import, so that workers that are forked share it: seconds of imports, done once."""

import distributed  # noqa: F401
import torch._dynamo  # noqa: F401  the optimizer imports it at its first step

import skdcore.train  # noqa: F401
from skdcore.vision import torchvision  # noqa: F401

"""What a method may look at in one iteration, in the paper's symbols, computed when asked for.

A method is a function `Step -> loss`.  It *pulls*: `s.z` runs the network, `s.exit(2)` the auxiliary
classifier after block 2, `s.logits(index)` a second forward on other images.  What no term of a sum
asks for is never computed, and what two terms ask for is computed once.
"""

from functools import cached_property

import torch


def full(z):
    """Half-precision results of an autocast region as float32 (losses live there); others unchanged."""
    return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z


class Step:
    """Iteration t of a run: the mini-batch `index` (int64 (B,), on the device) of `data`, seen by `net`.

    `epoch` counts from 0 to `epochs` - 1.  `memories` is a plain dict {term: {name: tensor}} that the
    caller keeps between steps; a tensor in it keeps its shape and is written in place (`copy_`), so that
    a checkpoint holds everything and a captured GPU step can be replayed.
    """

    def __init__(self, *, net, data, index, epoch, epochs, memories, teachers=None):
        self.net, self.data, self.index = net, data, index
        self.epoch, self.epochs, self.memories = epoch, epochs, memories
        self.teachers = teachers or {}  # {sum: network trained by it, in evaluation mode}, for `kd`
        self.term = ""  # the term now running; `build` sets it
        self.adornments = ()  # the views of the sum, such as cutout; `build` sets them
        self.made = {}  # {name: value when made} of the buffers of parts that this step made
        self._exits, self._embeddings = {}, {}

    @cached_property
    def x(self):
        """The batch: an augmented view of its images, float32 (B, 3, side, side), normalised."""
        return self.view(self.index)

    @cached_property
    def y(self):
        """Labels, int64 (B,)."""
        return self.data.labels[self.index]

    @cached_property
    def features(self):
        """Outputs of the network's four blocks, shallow to deep."""
        return self.net.features(self.x)

    @cached_property
    def z(self):
        """Logits of the whole network, (B, K), float32 also under autocast."""
        return full(self.net.head(self.features[-1]))

    def exit(self, k):
        """z': logits of the auxiliary classifier after block `k` (1..3), (B, K), float32.

        Raises ValueError for a `k` that the network has no exit for.
        """
        if k not in range(1, len(self.net.exits) + 1):
            raise ValueError(f"k={k!r}: exits stand after blocks 1 to {len(self.net.exits)}")
        if k not in self._exits:
            embedding, z = self.net.exits[k - 1](self.features[k - 1], embedding=True)
            self._embeddings[k], self._exits[k] = full(embedding), full(z)
        return self._exits[k]

    def embedding(self, k):
        """The pooled features that the auxiliary classifier after block `k` classifies, (B, C), float32."""
        self.exit(k)
        return self._embeddings[k]

    def teacher(self, name):
        """Logits of the network that the sum `name` trained, on the same `x`, (B, K), float32, no gradient.

        Raises ValueError if the run supplied no such network.
        """
        if name not in self.teachers:
            raise ValueError(f"no teacher {name!r}: its run must be trained first and its network supplied")
        with torch.no_grad():
            return full(self.teachers[name](self.x))

    def view(self, index):
        """Another augmented view of those training images, as `x`, with the sum's adornments on it."""
        x = self.data.view(index)
        for adorn in self.adornments:
            x = adorn(x)
        return x

    def logits(self, index):
        """Logits of a fresh view of those images: a second forward, which batch norm sees too."""
        return full(self.net(self.view(index)))

    def part(self, name, make):
        """A trainable module of the running term's own, made by `make()` the first time it is asked for."""
        key = f"{self.term} {name}".replace(".", "%2E")  # a module's name may hold no dot
        if key not in self.net.parts:
            part = self.net.parts[key] = make().to(self.x.device, memory_format=torch.channels_last)
            self.made |= {f"parts.{key}.{name}": buffer.clone() for name, buffer in part.named_buffers()}
        return self.net.parts[key]

    @property
    def memory(self):
        """What the running term remembers between iterations: {name: tensor}."""
        return self.memories.setdefault(self.term, {})

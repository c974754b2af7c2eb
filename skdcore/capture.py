"""The training step as a CUDA graph: captured once, then replayed without the host.

A GPU runs a step of ResNet18 in less time than Python needs to launch its kernels one by one.  A graph is
launched as a whole.  Only kernels are replayed: numbers that Python computes, such as the learning rate or PS-KD's
alpha, stay as they were at the capture.  So the step is captured again at each epoch, where they change.
"""

import gc

import torch

WARM_UP = 2  # steps on the stream of the capture, where libraries choose kernels and take their workspace


class Capture:
    """Captures `step`, a function without arguments that works on one CUDA device and never waits for it.

    `state` returns the tensors that a step changes in place, except the random state.  They must exist already, so the
    first step of a run is eager.
    """

    def __init__(self, step, state, device):
        self.step, self.state, self.device = step, state, device
        self.stream = self.graph = None

    def capture(self):
        """A function that replays the step on the current stream.  The capture itself changes no state."""
        with torch.cuda.device(self.device):
            if self.stream is None:
                self.stream = torch.cuda.Stream()
                self.warm_up()
            self.graph = None  # frees the memory of the previous capture before the next one asks for its own
            self.graph = torch.cuda.CUDAGraph()
            gc.disable()  # an older graph that it found would be destroyed within this capture, and break it
            try:
                with torch.cuda.graph(self.graph, stream=self.stream):
                    self.step()
            finally:
                gc.enable()
        return self.graph.replay

    def warm_up(self):
        """Takes a few steps and undoes each before the next, as an epoch may have but one step left."""
        state, chance = self.state(), torch.cuda.get_rng_state(self.device)
        before = [tensor.clone() for tensor in state]
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                self.step()
                with torch.no_grad():
                    for tensor, value in zip(state, before, strict=True):
                        tensor.copy_(value)
        torch.cuda.current_stream().wait_stream(self.stream)
        torch.cuda.set_rng_state(chance, self.device)

"""Seeds that are pure functions of where one stands in a run, so that nothing has to be saved to go on exactly."""

import torch

_MASK = 2**64 - 1


def mix(*integers: int) -> int:
    """A 64-bit seed from integers: neighbouring inputs give unrelated seeds (the finalizer of SplitMix64).

    Reference: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 17.
    """
    state = 0
    for integer in integers:
        state = (state + integer + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def seed_generators(seed: int, device: torch.device) -> None:
    """Seeds torch's default random generators of the CPU and of one device.

    torch.manual_seed would do it for every backend there is, and where CUDA is not initialised it queues a stack trace
    at each call: 2 ms and a leak for each iteration.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)

"""Cases of memory, transfers, starting operations and optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from profiles.benchmark.cases import Case, Lab
from profiles.benchmark.clock import Call

CHAIN: Final = 64
"""Small operations in one call, so that what surrounds them does not count."""

PARAMETERS: Final = 16

FRESH_BYTES: Final = 96 << 20
"""Above glibc's largest threshold for memory of its own (32 MiB, mallopt(3)), and above what it keeps free at the top
of its heap (twice that): such tensors get new pages each time."""

REUSED_BYTES: Final = 8 << 20
_COPY_BYTES: Final = {"cpu": 64 << 20, "gpu": 1 << 30}
_TRANSFER_BYTES: Final = 256 << 20
_TINY: Final = 16


def memory_cases(kind: str) -> Iterator[Case]:
    """Yield copies within the device's memory and, on a CPU, writing to memory that was just asked for."""
    size = _COPY_BYTES[kind]
    yield Case(f"memory copy {size >> 20} MiB", "copy", "float32", _copy(size // 4))
    if kind == "cpu":
        for name, fresh in (("fresh", FRESH_BYTES), ("reused", REUSED_BYTES)):
            yield Case(f"{name} memory {fresh >> 20} MiB", "fresh memory", "float32", _fresh(fresh // 4))


def _copy(elements: int) -> Callable[[Lab], Call]:
    def make(lab: Lab) -> Call:
        source, target = (lab.torch.ones(elements, device=lab.device) for _ in range(2))
        return lambda: target.copy_(source)

    return make


def _fresh(elements: int) -> Callable[[Lab], Call]:
    def make(lab: Lab) -> Call:
        return lambda: lab.torch.empty(elements, device=lab.device).fill_(1.0)

    return make


def transfer_cases(kind: str) -> Iterator[Case]:
    """Yield copies between host and device, from memory of either kind; none on a CPU."""
    if kind == "cpu":
        return
    for pinned in (True, False):
        how = "pinned" if pinned else "pageable"
        for family in ("host to device", "device to host"):
            name = f"{family}, {how} {_TRANSFER_BYTES >> 20} MiB"
            made = _transfer(pinned, family == "host to device")
            yield Case(name, family, "float32", made, moved_bytes=_TRANSFER_BYTES)


def _transfer(pinned: bool, to_device: bool) -> Callable[[Lab], Call]:
    def make(lab: Lab) -> Call:
        host = lab.torch.ones(_TRANSFER_BYTES // 4)
        host = host.pin_memory() if pinned else host
        device = lab.torch.ones(_TRANSFER_BYTES // 4, device=lab.device)
        source, target = (host, device) if to_device else (device, host)
        return lambda: target.copy_(source, non_blocking=pinned)

    return make


def launch_cases(kind: str) -> Iterator[Case]:
    """Yield what it takes to start an operation: alone, in each pass of training; to call a module; to make a view."""
    timer: Any = "device" if kind == "cpu" else "launch"
    made: tuple[tuple[str, Callable[[Lab], Call], int], ...] = (
        ("one operation", _one_operation, 1),
        ("an operation of a forward pass", _forward_chain, CHAIN),
        ("a module of a forward pass", _module_chain, CHAIN),
        ("a view of a forward pass", _view_chain, CHAIN),
        ("an operation of a backward pass", _backward_chain, CHAIN),
        ("AdamW of one parameter", _tiny_optimizer, PARAMETERS),
    )
    for name, make, inside in made:
        yield Case(f"launch of {name}", "launch", "float32", make, cached=True, timer=timer, calls_inside=inside)


def _one_operation(lab: Lab) -> Call:
    one, other = lab.random(_TINY), lab.random(_TINY)
    return lambda: lab.torch.add(one, other)


def _forward_chain(lab: Lab) -> Call:
    inputs, tanh = lab.random(_TINY, grad=True), lab.torch.tanh
    return lambda: _repeated(tanh, inputs)


def _module_chain(lab: Lab) -> Call:
    inputs, modules = lab.random(_TINY, grad=True), [lab.torch.nn.Tanh() for _ in range(CHAIN)]

    def call() -> Any:
        value = inputs
        for module in modules:
            value = module(value)
        return value

    return call


def _view_chain(lab: Lab) -> Call:
    inputs, transpose = lab.random(_TINY, _TINY, grad=True), lab.torch.t
    return lambda: _repeated(transpose, inputs)


def _backward_chain(lab: Lab) -> Call:
    inputs = lab.random(_TINY, grad=True)
    output = _repeated(lab.torch.tanh, inputs)
    gradient = lab.torch.ones_like(output)
    return lambda: lab.torch.autograd.grad(output, inputs, gradient, retain_graph=True)


def _repeated(function: Callable[[Any], Any], value: Any) -> Any:
    for _ in range(CHAIN):
        value = function(value)
    return value


def _tiny_optimizer(lab: Lab) -> Call:
    return _adamw(lab, [_TINY] * PARAMETERS)


def optimizer_cases(kind: str) -> Iterator[Case]:
    """Yield an AdamW step over parameters larger than the caches."""
    sizes = [1 << 20] * 6 if kind == "cpu" else [1 << 24] * 12
    name = f"AdamW step of {len(sizes)} x {sizes[0]} parameters"
    yield Case(name, "optimizer", "float32", lambda lab: _adamw(lab, sizes))


def _adamw(lab: Lab, sizes: list[int]) -> Call:
    parameters = [lab.own(size).requires_grad_() for size in sizes]
    for parameter in parameters:
        parameter.grad = lab.torch.randn_like(parameter)
    optimizer = lab.torch.optim.AdamW(parameters, lr=1e-9)
    optimizer.step()
    return lambda: optimizer.step()

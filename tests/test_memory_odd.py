"""Models built in unusual ways against a real step on this machine, tensor by tensor.

Recurrent cells in a loop; tied, frozen, shared and unused weights; parametrisations; several losses and optimizers;
gradients of gradients; checkpoints.
"""

import gc
import inspect

import pytest
import torch
from live_storages import LiveStorages, states_of
from odd_models import ODD

from estimator.memory import memory_of
from profiles import profile_model

KINDS = {"adamw": (torch.optim.AdamW, {}), "sgd": (torch.optim.SGD, {"lr": 0.01})}


def as_given(made):
    torch.manual_seed(0)
    model, inputs, *step = made()
    return model, inputs, step[0] if step else None


def losses(model, inputs, step):
    """Yield each loss with the parameters that it trains."""
    found = model(*inputs) if step is None else step(model, *inputs)
    if inspect.isgenerator(found):
        yield from found
        return
    outputs = found if isinstance(found, tuple) else (found,)
    yield (sum(output.mean() for output in outputs) if found.dim() else found), model.parameters()


def real_peak(model, inputs, step, name):
    kind, options = KINDS[name]
    optimizers = []

    def run():
        for number, (loss, parameters) in enumerate(losses(model, inputs, step)):
            loss.backward()
            if number == len(optimizers):
                trained = [parameter for parameter in parameters if parameter.requires_grad]
                optimizers.append(kind(trained, foreach=False, **options))
            optimizers[number].step()
            optimizers[number].zero_grad(set_to_none=True)

    run()
    gc.collect()
    gc.disable()
    try:
        states = [state for optimizer in optimizers for state in states_of(optimizer)]
        with LiveStorages([*model.parameters(), *model.buffers(), *inputs, *states]) as seen:
            run()
    finally:
        gc.enable()
    return seen.peak


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("made", ODD, ids=lambda made: made.__name__)
def test_a_step_of_an_odd_model_is_met_to_the_byte(made, name):
    real = real_peak(*as_given(made), name)
    model, inputs, step = as_given(made)
    found = profile_model(model, inputs, optimizer=name, device="cpu", step=step)
    assert memory_of(found).live_bytes == found.peak_memory_bytes == real

"""The cheapest blocks to checkpoint: against every choice there is, and against a step that is run so."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from live_storages import real_peak
from torch.utils.checkpoint import checkpoint

import hardware_db
from estimator.fit import cheapest_blocks, fit
from estimator.fit.cheapest import choose_alike, earliest, kinds_of, solve
from estimator.memory import MemorySettings, memory_of
from hardware_db.errors import UsageError
from profiles import profile_model


class Layer(torch.nn.Module):
    def __init__(self, width, inside):
        super().__init__()
        self.norm, self.act = torch.nn.LayerNorm(width), torch.nn.GELU()
        self.up, self.down = torch.nn.Linear(width, inside), torch.nn.Linear(inside, width)

    def forward(self, x):
        return x + self.down(self.act(self.up(self.norm(x))))


class Stack(torch.nn.Module):
    """Layers of different widths, so that it matters which are chosen."""

    def __init__(self, inside=(512, 256, 1024, 512, 2048), again=()):
        super().__init__()
        self.layers = torch.nn.ModuleList(Layer(128, each) for each in inside)
        self.again = again

    def forward(self, x):
        for number, layer in enumerate(self.layers):
            x = checkpoint(layer, x, use_reentrant=False) if number in self.again else layer(x)
        return x


INPUTS = (torch.zeros(4096, 128),)
CARD = hardware_db.load().device("l4")


@pytest.fixture(scope="module")
def plain():
    return profile_model(Stack(), INPUTS, optimizer="sgd", device="cpu")


def high(profile, settings=None):
    return math.ceil(memory_of(profile, device=CARD, settings=settings).total.high)


def test_no_other_choice_that_fits_is_faster(plain):
    """All of the 3^5 choices, by hand."""
    all_full = tuple((f"layers.{n}", "full") for n in range(5))
    least, most = high(plain, MemorySettings(checkpointed_blocks=all_full)), high(plain)
    budget = (least + most) // 2
    found = cheapest_blocks(plain, CARD, budget)
    assert found.need.total.high <= budget < most
    for modes in product(("none", "selective", "full"), repeat=5):
        chosen = tuple((f"layers.{n}", mode) for n, mode in enumerate(modes) if mode != "none")
        if high(plain, MemorySettings(checkpointed_blocks=chosen)) <= budget:
            assert found.time.mid <= seconds(plain, chosen) * 1.003


def seconds(profile, chosen):
    from estimator.fit.costs import Costs, ratio

    costs = Costs(profile, CARD)
    return ratio(costs.seconds(MemorySettings(checkpointed_blocks=chosen)), costs.seconds(MemorySettings())).mid


def test_what_is_freed_is_what_a_step_frees_that_is_run_so(plain):
    settings = MemorySettings(checkpointed_blocks=(("layers.2", "full"), ("layers.4", "full")))
    model = Stack(again=(2, 4))
    real = real_peak(model, INPUTS, torch.optim.SGD(model.parameters(), lr=0.01, foreach=False))
    assert memory_of(plain, settings=settings).live_bytes == real < 0.9 * plain.peak_memory_bytes


def test_less_memory_never_takes_less_time(plain):
    ends = [high(plain, MemorySettings(checkpointing="full")), high(plain)]
    times = [cheapest_blocks(plain, CARD, math.ceil(size)).time.mid for size in np.linspace(*ends, 5)]
    assert times == sorted(times, reverse=True)
    assert times[-1] == 1.0 < times[0]


def test_where_no_choice_fits_there_is_none(plain):
    assert cheapest_blocks(plain, CARD, 10**6) is None


def test_equal_layers_are_chosen_from_the_first_on():
    equal = profile_model(Stack((512,) * 6), INPUTS, optimizer="sgd")
    budget = (high(equal) + high(equal, MemorySettings(checkpointing="full"))) // 2
    numbers = [int(name.rpartition(".")[2]) for name, _ in cheapest_blocks(equal, CARD, budget).blocks]
    assert numbers == list(range(len(numbers))) and 0 < len(numbers) < 6


def test_a_model_without_layers_has_none_to_choose():
    flat = profile_model(torch.nn.Linear(8, 8), (torch.zeros(4, 8),))
    with pytest.raises(UsageError, match="no repeated layers"):
        cheapest_blocks(flat, CARD, 10**9)


def test_names_that_are_no_layers_are_refused(plain):
    with pytest.raises(UsageError, match="no repeated layers of these names"):
        memory_of(plain, settings=MemorySettings(checkpointed_blocks=(("head", "full"),)))


def test_all_and_some_contradict():
    with pytest.raises(UsageError, match="give one of them"):
        MemorySettings(checkpointing="full", checkpointed_blocks=(("layers.0", "full"),))


def test_a_fit_names_the_blocks():
    """Half of the layers suffice where all of them save more than is missing."""
    step = profile_model(Stack((4096,) * 8), (torch.zeros(65536, 128),), optimizer="sgd")
    needs = [memory_of(step, device=CARD, settings=each).total.mid for each in
             (MemorySettings(), MemorySettings(checkpointing="full"))]  # fmt: skip
    small = replace(CARD, visible_memory_bytes=round(sum(needs) / 2))
    ways = fit(step, small, micro_batch_size=65536).ways
    chosen = [way for way in ways if way.settings.checkpointed_blocks]
    full = next(way for way in ways if way.changes == ("full checkpointing",))
    assert chosen[0].fits and chosen[0].time.mid < full.time.mid
    assert chosen[0].changes[0].startswith("checkpointing of ")
    assert "layers." in chosen[0].notes[-1]


def test_choices_of_equal_blocks_move_to_the_first_of_them():
    modes = np.array([[0, 0, 1, 0, 1], [1, 0, 0, 1, 0]], dtype=bool)
    told = np.array([[5.0, 5.0, 5.0, 5.0, 7.0]])
    assert earliest(modes, kinds_of(told)).tolist() == [
        [True, False, False, False, True],
        [False, True, True, False, False],
    ]


def test_the_program_is_solved():
    """Two blocks: the second frees enough alone and costs less."""
    picked = solve(np.array([1.0, 0.5, 0.4, 0.1]), np.array([[4.0, 6.0, 1.0, 2.0]]), np.array([5.0]))
    assert picked.tolist() == [False, True, False, False]
    assert solve(np.ones(2), np.ones((1, 2)), np.array([3.0])) is None
    assert not solve(np.ones(2), np.ones((1, 2)), np.array([-1.0])).any()


def alike(blocks, full, selective, seconds):
    """Seconds and bytes freed of equal blocks that run one after the other and back: (moments, choices)."""
    alive = np.tril(np.ones((blocks, blocks)))[::-1]
    freed = np.vstack([np.triu(np.ones((blocks, blocks))).T, alive])
    return np.repeat(seconds, blocks), np.hstack([full * freed, selective * freed])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("seconds", [(1.0, 0.2), (1.0, 0.55), (1.0, 0.9)])
def test_numbers_of_equal_blocks_are_chosen_as_cheap_as_of_all_choices(share, seconds):
    """Against all 3^6 choices, and no dearer than what the integer program finds in its time."""
    costs, freed = alike(6, 4.0, 2.5, seconds)
    wanted = np.where(np.arange(len(freed)) == 5, share * 24.0, -1.0)
    picked = choose_alike(costs, freed, wanted)
    every = np.array(list(product((False, True), repeat=12)))
    every = every[~(every[:, :6] & every[:, 6:]).any(axis=1) & (every @ freed.T >= wanted).all(axis=1)]
    assert (freed @ picked >= wanted - 1e-9).all()
    assert costs @ picked == pytest.approx((every @ costs).min())
    assert costs @ picked <= costs @ solve(costs, freed, wanted) + 1e-9


def test_no_number_of_equal_blocks_is_enough():
    costs, freed = alike(6, 4.0, 2.5, (1.0, 0.5))
    assert choose_alike(costs, freed, np.full(len(freed), 25.0)) is None

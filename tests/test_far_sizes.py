"""A law seen at small sizes is held against large ones, where code of a user may do something else."""

import pytest

from hardware_db.errors import UsageError
from profiles import profile_model

torch = pytest.importorskip("torch")
WIDTH = 32


class Words(torch.nn.Module):
    """Embeds words and gives them to a function of the layer and what it gets."""

    def __init__(self, run):
        super().__init__()
        self.words, self.linear, self.run = torch.nn.Embedding(100, WIDTH), torch.nn.Linear(WIDTH, WIDTH), run
        self.places = torch.nn.Parameter(torch.zeros(512, WIDTH))

    def forward(self, tokens):
        return self.run(self, self.words(tokens))


def profile(run):
    return profile_model(Words(run), torch.zeros(4, 16, dtype=torch.long), mode="forward")


def products(batch_size, length, layers=1):
    return 2 * batch_size * length * WIDTH * WIDTH * layers


def test_a_length_that_is_cut_off_bounds_the_lengths():
    found = profile(lambda self, x: self.linear(x[:, : min(x.shape[1], 256)]))
    assert found.at(7, 200).matmul_flops.forward == products(7, 200)
    assert any("of at most 234" in note for note in found.notes)
    with pytest.raises(UsageError, match="at most 234"):
        found.at(4, 1000)


def test_learned_positions_end_the_lengths_where_they_end():
    found = profile(lambda self, x: self.linear(x + self.places[: x.shape[1]]))
    assert found.at(3, 512).matmul_flops.forward == products(3, 512)
    with pytest.raises(UsageError, match="at most 512"):
        found.at(3, 513)


def test_a_branch_on_large_batches_leaves_the_batch_traced():
    found = profile(lambda self, x: self.linear(self.linear(x) if x.shape[0] >= 32 else x))
    assert found.at(4, 16).matmul_flops.forward == products(4, 16)
    assert any("in batches of 1,027 the model computes something else" in note for note in found.notes)
    with pytest.raises(UsageError, match="batch size of 4 only"):
        found.at(64, 16)


def test_chunks_of_the_batch_leave_the_batch_traced():
    found = profile(lambda self, x: torch.cat([self.linear(part) for part in x.split(64)]))
    with pytest.raises(UsageError, match="batch size of 4 only"):
        found.at(130, 16)


def test_what_is_the_same_at_all_sizes_holds_at_all():
    found = profile(lambda self, x: self.linear(x))
    assert found.at(64, 8192).matmul_flops.forward == products(64, 8192)

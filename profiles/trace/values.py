"""Values behind symbolic tensors: small integers and masks keep a real twin, so that control flow is a real run's.

A meta tensor has no values, yet models ask for some: is the mask all ones, how many tokens went to this expert. Integer
and boolean results whose inputs all have values are therefore computed for real next to the symbolic result. Where a
model asks for a value that nobody knows, a stated policy answers and the answer is counted as a guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_map

from profiles.trace.calls import tensors_in

aten = torch.ops.aten

LARGEST_INTEGERS = 1 << 22
LARGEST_FLOATS = 64
MOST_GUESSES = 10_000
_ATTRIBUTE = "_flopcast_values"
_STALE = "_flopcast_stale"
"""On the memory of values that something unknown was written over: no view of it is known any longer."""
_CPU = torch.device("cpu")

ASKS_FOR_VALUES = frozenset(
    {
        aten._local_scalar_dense,
        aten.equal,
        aten.is_nonzero,
        aten.nonzero,
        aten.masked_select,
        aten._unique,
        aten._unique2,
        aten.unique_dim,
        aten.unique_consecutive,
        aten.repeat_interleave,
        aten.bincount,
    }
)
_ASK_FOR_ONE = frozenset({aten._local_scalar_dense, aten.equal, aten.is_nonzero})
MASKED = frozenset({aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index})
_COMPARED = {aten.eq: False, aten.ne: True}
"""What comes of comparing a real number that nobody knows with a constant: data hardly ever equals one."""
_ZEROS = frozenset({aten.zeros_like, aten.new_zeros})
_MARKS = frozenset({aten.zeros, aten.scatter, *_ZEROS})
"""Real numbers that say which expert takes which token: written, as ones or weights, into zeros."""
_CHOOSES = {aten.topk: 1, aten.argmax: None, aten.max: 1}
_UNKNOWABLE = ("rand", "bernoulli", "uniform", "normal", "multinomial", "exponential", "dropout", "empty", "geometric")
_UNWRITTEN = frozenset({aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided})


class ValueNeeded(Exception):
    """The model asks for values that no symbolic run can know."""


def values_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """Real values of a tensor, or None where they are unknown."""
    if tensor.device.type == "cpu" and not isinstance(tensor, torch._subclasses.FakeTensor):
        return tensor
    found = getattr(tensor, _ATTRIBUTE, None)
    return None if found is None or hasattr(found.untyped_storage(), _STALE) else found


def give_values(tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Attach real values to a symbolic tensor, if it is of a kind and size that is followed."""
    if is_followed(tensor):
        setattr(tensor, _ATTRIBUTE, values)
    return tensor


def may_be_followed(func: torch._ops.OpOverload, outputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether values of an operator's results are followed, or those that it writes over have to be forgotten."""
    if not outputs:
        return False
    if func._overloadpacket is aten.expand or func._schema.is_mutable:
        return True  # what is repeated takes no memory of its own
    if func._overloadpacket in _MARKS or func._overloadpacket in _CHOOSES:
        return outputs[-1].numel() <= LARGEST_INTEGERS
    return all(map(is_followed, outputs))


def is_followed(tensor: torch.Tensor) -> bool:
    """Whether values of a tensor of this type and size are followed."""
    return tensor.numel() <= (LARGEST_FLOATS if _is_real(tensor) else LARGEST_INTEGERS)


class Values:
    """Follows values through the operations of one step and answers what the model asks.

    `strict` raises `ValueNeeded` where a size would have to be guessed; otherwise everything is guessed and counted.
    While `counting` is off, single numbers are made up without notice: an optimizer's numbers decide no sizes.
    """

    def __init__(self, strict: bool) -> None:
        self.guesses: Counter[str] = Counter()
        self.balanced_choices = 0
        self.decided_sizes = 0
        self.counting = True
        self._strict = strict

    def answer(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Result of an operator whose result, or the size of it, depends on values."""
        known, real_args, real_kwargs = _real(args, kwargs)
        if not known:
            return self._guess(func, args)
        self.decided_sizes += func._overloadpacket not in _ASK_FOR_ONE
        if func._overloadpacket is aten.nonzero and not is_followed(args[0]):
            return args[0].new_empty((_count(real_args[0]), args[0].dim()), dtype=torch.int64)
        with torch._C._DisableTorchDispatch():
            result = func(*real_args, **real_kwargs)
        return tree_map(lambda r: _symbolic(r, args[0].device) if isinstance(r, torch.Tensor) else r, result)

    def listed(self, tensor: torch.Tensor) -> Any:
        """All values of a symbolic tensor as nested lists, guessed where they are unknown.

        Raises
        ------
        ValueNeeded
            If they are several and may not be guessed.
        """
        values = values_of(tensor)
        if values is None:
            if self._strict and tensor.numel() > 1:
                raise ValueNeeded("a list of values is asked for that depends on data")
            self.guesses["tolist"] += 1
            values = torch.full(tensor.shape, _likely(tensor), dtype=tensor.dtype, device=_CPU)
        return values.tolist()

    def without_masks(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arguments of an indexing operator with each boolean mask replaced by the places where it is true."""
        indices = args[1]
        if not any(isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8) for i in indices):
            return args
        found: list[Any] = []
        for index in indices:
            if isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8):
                places = self.answer(aten.nonzero.default, (index,), {})
                found.extend(_column(places, column) for column in range(index.dim()))
            else:
                found.append(index)
        return (args[0], found, *args[2:])

    def follow(self, func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> None:
        """Compute the values of an operation's results, where its inputs have values and the results are small."""
        outputs = tuple(tensors_in(out))
        if not may_be_followed(func, outputs) or (not self.counting and _is_state(func, outputs[0])):
            return
        name = func._schema.name
        known, real_args, real_kwargs = _real(args, kwargs)
        if known and not any(word in name for word in _UNKNOWABLE):
            self._compute(func, real_args, real_kwargs, outputs)
        elif func._overloadpacket in _ZEROS or (func._overloadpacket in _UNWRITTEN and not _is_real(outputs[0])):
            with torch._C._DisableTorchDispatch():  # what is read before it is written may be anything
                setattr(outputs[0], _ATTRIBUTE, torch.zeros_like(outputs[0], device=_CPU))
        elif func._overloadpacket in _CHOOSES:
            self._balance(func, args, outputs)
        elif func._overloadpacket in _COMPARED and _is_data(args):
            setattr(outputs[0], _ATTRIBUTE, torch.full(outputs[0].shape, _COMPARED[func._overloadpacket], device=_CPU))
        elif func is aten.scatter.src:  # weights hardly ever equal zero
            self.follow(aten.scatter.value, (*args[:3], 1), {}, out)
        elif func._schema.is_mutable:
            _forget(outputs)

    def _compute(self, func: Any, args: Any, kwargs: Any, outputs: tuple[torch.Tensor, ...]) -> None:
        try:
            with torch.no_grad(), torch._C._DisableTorchDispatch():
                result = func(*args, **kwargs)
        except (RuntimeError, NotImplementedError, IndexError, TypeError):
            return _forget(outputs)  # no CPU kernel for these types: the values stay unknown
        for output, values in zip(outputs, tensors_in(result), strict=False):
            if values.shape == output.shape:
                setattr(output, _ATTRIBUTE, values)

    def _balance(self, func: Any, args: tuple[Any, ...], outputs: tuple[torch.Tensor, ...]) -> None:
        """Choices among unknown scores (routing to experts) are assumed balanced: each choice equally often."""
        position = _CHOOSES[func._overloadpacket]
        indices = outputs[-1] if position is None or len(outputs) > 1 else None
        if indices is None or indices.dtype is not torch.int64 or args[0].dim() == 0:
            return
        choices = args[0].shape[_dimension(func, args)]
        setattr(indices, _ATTRIBUTE, torch.arange(indices.numel()).reshape(indices.shape) % max(1, choices))
        self.balanced_choices += 1

    def _guess(self, func: torch._ops.OpOverload, args: tuple[Any, ...]) -> Any:
        packet, tensor = func._overloadpacket, args[0]
        if packet is aten.masked_select and (mask := values_of(args[1])) is not None:
            return tensor.new_empty((int(torch.broadcast_to(mask, tensor.shape).sum()),))
        if not self.counting:
            return _likely(tensor)
        self.guesses[packet.__name__] += 1
        if self.guesses.total() > MOST_GUESSES:
            raise ValueNeeded("a loop whose end depends on values")
        if packet in (aten._local_scalar_dense, aten.is_nonzero):
            return _likely(tensor)
        if packet is aten.equal:
            return True
        if self._strict:
            raise ValueNeeded(f"the size of a result of {func._schema.name} depends on values")
        return _largest_result(func, args)


def _count(mask: torch.Tensor) -> int:
    """Number of places where a mask is true, counted once along dimensions that it is repeated over."""
    repeats = 1
    for dimension, (size, step) in enumerate(zip(mask.shape, mask.stride(), strict=True)):
        if step == 0 and size > 1:
            mask, repeats = mask.narrow(dimension, 0, 1), repeats * size
    with torch._C._DisableTorchDispatch():
        return repeats * int(torch.count_nonzero(mask))


def _column(places: torch.Tensor, column: int) -> torch.Tensor:
    symbolic = places.select(1, column)
    values = values_of(places)
    return symbolic if values is None else give_values(symbolic, values.select(1, column))


def _likely(tensor: torch.Tensor) -> bool | int | float:
    """Return the answer to a question for a single unknown value: no, 0 or 1.0."""
    if tensor.dtype is torch.bool:
        return False
    return 1.0 if tensor.is_floating_point() else 0


def _is_data(args: tuple[Any, ...]) -> bool:
    """Whether real numbers are compared with a constant."""
    return args[0].is_floating_point() and not isinstance(args[1], torch.Tensor)


def _is_real(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds real or complex numbers."""
    return tensor.is_floating_point() or tensor.is_complex()


def _is_state(func: torch._ops.OpOverload, made: torch.Tensor) -> bool:
    """Whether what an optimizer makes is as large as its states: they decide nothing, and would take their memory."""
    return not func._schema.is_mutable and _is_real(made) and made.numel() > LARGEST_FLOATS


def _forget(tensors: tuple[torch.Tensor, ...]) -> None:
    """Forget the values of tensors, and of all that look at the same memory."""
    for tensor in tensors:
        if (values := getattr(tensor, _ATTRIBUTE, None)) is not None:
            setattr(values.untyped_storage(), _STALE, True)


def _dimension(func: Any, args: tuple[Any, ...]) -> int:
    position = 2 if func._overloadpacket is aten.topk else 1
    dimension = args[position] if len(args) > position else -1
    return dimension if isinstance(dimension, int) else -1


def _real(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[bool, Any, Any]:
    """Return whether all tensor arguments have values, and the arguments with these in their place."""
    for tensor in tensors_in(args):
        if values_of(tensor) is None:
            return False, (), {}
    named = {k: _CPU if isinstance(v, torch.device) else v for k, v in kwargs.items()}
    if any(values_of(tensor) is None for tensor in tensors_in(tuple(named.values()))):
        return False, (), {}
    swap = _to_values
    return True, tree_map(swap, args), tree_map(swap, named)


def _to_values(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return values_of(value)
    return _CPU if isinstance(value, torch.device) else value


def _symbolic(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Symbolic tensor with these values."""
    twin = torch.empty_strided(values.shape, values.stride(), dtype=values.dtype, device=device)
    return give_values(twin, values)


def _largest_result(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> Any:
    """Result of an operator of unknown result size, as if everything were selected."""
    packet, tensor = func._overloadpacket, args[0]
    if packet is aten.nonzero:
        return tensor.new_empty((tensor.numel(), tensor.dim()), dtype=torch.int64)
    if packet is aten.masked_select:
        return tensor.new_empty((tensor.numel(),))
    if packet in (aten._unique2, aten._unique):
        flat = tensor.new_empty((tensor.numel(),))
        counts = flat.new_empty(flat.shape, dtype=torch.int64)
        return (flat, flat.new_empty(tensor.shape, dtype=torch.int64), counts)
    raise ValueNeeded(f"the size of a result of {func._schema.name} depends on values")

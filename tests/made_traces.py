"""Traces of an invented transformer, written down call by call, so that every total is known by hand."""

from profiles.model_profile import ModelProfile
from profiles.records import Operation, TensorSpec
from profiles.trace_record import LiveBytes, RawTrace, fit_growth, fold

WIDTH, WORDS = 64, 1000
RUNS = ((2, 96), (3, 65), (2, 128), (3, 131), (5, 77), (2, 192))
SINGLE_RUNS = ((1, 96), (1, 65), (1, 128), (1, 131))


def spec(*shape, dtype="bfloat16"):
    elements = 1
    for size in shape:
        elements *= size
    return TensorSpec(tuple(shape), dtype, elements)


def operation(module="", phase="forward", **changes):
    fields = {
        "operator": "aten.add",
        "family": "elementwise",
        "inputs": (spec(4, 8), spec(4, 8)),
        "outputs": (spec(4, 8),),
        "precision": "bfloat16",
        "engine": "vector",
        "flops": 32,
        "model_flops": 32,
        "executed_flops": 32,
        "bytes_read": 128,
        "bytes_written": 64,
    }
    return Operation(module=module, phase=phase, **{**fields, **changes})


def product(module, phase, m, k, n):
    flops = 2 * m * k * n
    return operation(
        module,
        phase,
        operator="aten.mm",
        family="matmul",
        engine="matrix",
        inputs=(spec(m, k), spec(k, n)),
        outputs=(spec(m, n),),
        flops=flops,
        model_flops=flops,
        executed_flops=flops,
        bytes_read=2 * (m * k + k * n),
        bytes_written=2 * m * n,
        dims=(("m", m), ("n", n), ("k", k), ("batch", 1)),
    )


def attention(module, phase, batch, length, products=2):
    """Causal attention with 4 heads: forward 2 products, flash backward 5 of which the model asks for 4."""
    one = 2 * batch * length * length * WIDTH
    heads = spec(batch, 4, length, WIDTH // 4)
    return operation(
        module,
        phase,
        operator="aten._flash",
        family="attention",
        engine="matrix",
        inputs=(heads,) * 3,
        outputs=(heads,),
        flops=products * one,
        model_flops=(2 if phase == "forward" else 4) * one,
        executed_flops=products * one // 2,
        bytes_read=6 * batch * length * WIDTH,
        bytes_written=2 * batch * length * WIDTH,
        dims=(("m", length), ("n", length), ("k", WIDTH // 4), ("batch", 4 * batch)),
    )


def vector(module, phase, *shape, **changes):
    tensor = spec(*shape)
    flops = tensor.storage_elements
    figures = {"flops": flops, "model_flops": 0, "executed_flops": flops}
    traffic = {"bytes_read": 4 * flops, "bytes_written": 2 * flops}
    return operation(module, phase, inputs=(tensor, tensor), outputs=(tensor,), **figures, **traffic, **changes)


def embedding(batch, length):
    rows, row = batch * length, 2 * batch * length * WIDTH
    return operation(
        "model.embed",
        operator="aten.embedding",
        family="embedding",
        engine="none",
        inputs=(spec(WORDS, WIDTH), spec(batch, length, dtype="int64")),
        outputs=(spec(batch, length, WIDTH),),
        bytes_read=8 * rows + row,
        bytes_written=row,
        **NO_WORK,
    )


NO_WORK = {"flops": 0, "model_flops": 0, "executed_flops": 0}


class Tape:
    """Writes calls down, each with the bytes alive after it."""

    def __init__(self, batch, length, parameters):
        self.raw = RawTrace([], [], batch, length)
        self.live = {
            "parameter_bytes": 2 * parameters,
            "buffer_bytes": 0,
            "gradient_bytes": 0,
            "optimizer_state_bytes": 4 * parameters,
            "input_bytes": 8 * batch * length,
            "activation_bytes": 0,
        }

    def call(self, operation, activation=0, gradient=0):
        self.live["activation_bytes"] += activation
        self.live["gradient_bytes"] += gradient
        self.raw.operations.append(operation)
        self.raw.timeline.append(LiveBytes(operation.phase, operation.module, **self.live))
        if operation.phase == "forward" and activation > 0:
            self.raw.kept[operation.module] = self.raw.kept.get(operation.module, 0) + activation


def transformer(batch, length, layers=3):
    """An embedding, `layers` of (q, attention, o, two vector operations), a head; forward, backward, optimizer."""
    rows, row = batch * length, 2 * batch * length * WIDTH
    tape = Tape(batch, length, WORDS * WIDTH + layers * 2 * WIDTH * WIDTH)
    tape.call(embedding(batch, length), row)
    for layer in range(layers):
        tape.call(product(f"model.layers.{layer}.attn.q", "forward", rows, WIDTH, WIDTH), row)
        tape.call(attention(f"model.layers.{layer}.attn", "forward", batch, length), row + 16 * batch * length)
        tape.call(product(f"model.layers.{layer}.attn.o", "forward", rows, WIDTH, WIDTH), row)
        for _ in range(2):
            tape.call(vector(f"model.layers.{layer}", "forward", batch, length, WIDTH), row)
    tape.call(product("head", "forward", rows, WIDTH, WORDS), 2 * rows * WORDS)
    tape.call(vector("", "forward", batch, length - 1, WORDS, operator="my.loss", counted=False))
    tape.call(product("head", "backward", WORDS, rows, WIDTH), -2 * rows * WORDS, 2 * WORDS * WIDTH)
    for layer in reversed(range(layers)):
        for _ in range(2):
            tape.call(vector(f"model.layers.{layer}", "backward", batch, length, WIDTH), -row)
        tape.call(product(f"model.layers.{layer}.attn.o", "backward", WIDTH, rows, WIDTH), -row, 2 * WIDTH * WIDTH)
        tape.call(attention(f"model.layers.{layer}.attn", "backward", batch, length, 5), -row - 16 * batch * length)
        tape.call(product(f"model.layers.{layer}.attn.q", "backward", WIDTH, rows, WIDTH), -row, 2 * WIDTH * WIDTH)
    weights = WORDS * WIDTH + layers * 2 * WIDTH * WIDTH
    tape.call(vector("", "optimizer", weights, family="optimizer", operator="aten._fused_adamw_"))
    if batch > 1:
        no_work = {**NO_WORK, "bytes_read": 0, "bytes_written": 0}
        tape.call(operation("model", operator="aten.expand", family="view", engine="none", **no_work))
    return tape.raw


def module_parameters(layers=3):
    span = f"[0-{layers - 1}]" if layers > 1 else "0"
    each = layers * WIDTH * WIDTH
    return (
        ("model.embed", WORDS * WIDTH),
        (f"model.layers.{span}.attn.q", each),
        (f"model.layers.{span}.attn.o", each),
        ("head", 0),
    )


def profile(trace=None, **changes):
    parameters = module_parameters()
    total = sum(count for _, count in parameters)
    fields = {
        "model": "invented",
        "mode": "train",
        "precision": "bfloat16",
        "optimizer": "adamw",
        "device": "cuda",
        "parameters": total,
        "trainable_parameters": total,
        "module_parameters": parameters,
        "trace": symbolic_trace() if trace is None else trace,
    }
    return ModelProfile(**{**fields, **changes})


def symbolic_trace(layers=3, single=True):
    runs = RUNS + (SINGLE_RUNS if single else ())
    return fit_growth([transformer(batch, length, layers) for batch, length in runs])


def direct(batch, length, layers=3):
    return fold(transformer(batch, length, layers))


def made(calls, **changes):
    """Return the profile of a trace of these calls, without parameters."""
    return profile(fold(RawTrace(calls, [], 2, None)), **{"module_parameters": (), **changes})

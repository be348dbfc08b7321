"""Small models that are built in unusual ways: each function returns (model, inputs) or (model, inputs, step)."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


def rnn_cell():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(24, 48)
            self.head = nn.Linear(48, 5)

        def forward(self, x):
            h = x.new_zeros(x.shape[0], 48)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.head(h)

    return M(), (torch.randn(32, 12, 24),)


def unet():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
            self.b = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.SiLU())
            self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
            self.o = nn.Conv2d(16, 2, 1)

        def forward(self, x):
            a = self.a(x)
            b = self.b(F.max_pool2d(a, 2))
            u = self.up(b)
            return self.o(torch.cat([a, u], 1))

    return M(), (torch.randn(4, 3, 64, 64),)


def tied():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.e = nn.Embedding(500, 64)
            self.l = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
            self.o = nn.Linear(64, 500, bias=False)
            self.o.weight = self.e.weight

        def forward(self, x):
            return self.o(self.l(self.e(x)))

    return M(), (torch.randint(0, 500, (4, 32)),)


def frozen_middle():
    m = nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 4)
    )
    for p in m[2].parameters():
        p.requires_grad_(False)
    return m, (torch.randn(256, 64),)


def frozen_all_but_head():
    m = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(256, 10)
    )
    for p in m[:5].parameters():
        p.requires_grad_(False)
    return m, (torch.randn(16, 3, 32, 32),)


def shared_module():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Linear(64, 64)
            self.n = nn.LayerNorm(64)

        def forward(self, x):
            for _ in range(6):
                x = self.n(x + F.gelu(self.l(x)))
            return x

    return M(), (torch.randn(128, 64),)


def ckpt_reentrant():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.i = nn.Linear(32, 64)
            self.l = nn.ModuleList(nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range(4))
            self.o = nn.Linear(64, 2)

        def forward(self, x):
            x = self.i(x)
            for layer in self.l:
                x = checkpoint(layer, x, use_reentrant=True)
            return self.o(x)

    return M(), (torch.randn(256, 32),)


def ckpt_seq():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Sequential(
                *[nn.Sequential(nn.Linear(64, 256), nn.Dropout(0.1), nn.GELU(), nn.Linear(256, 64)) for _ in range(6)]
            )

        def forward(self, x):
            return checkpoint_sequential(self.l, 3, x, use_reentrant=False)

    return M(), (torch.randn(256, 64),)


def several_losses():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.t = nn.Linear(32, 128)
            self.a = nn.Linear(128, 10)
            self.b = nn.Linear(128, 1)

        def forward(self, x):
            h = F.relu(self.t(x))
            return self.a(h), self.b(h)

    def step(model, x):
        a, b = model(x)
        return (
            F.cross_entropy(a, torch.zeros(x.shape[0], dtype=torch.long, device=x.device))
            + 0.5 * F.mse_loss(b, torch.zeros_like(b))
            + 1e-4 * sum(p.pow(2).sum() for p in model.parameters())
        )

    return M(), (torch.randn(200, 32),), step


def buffers():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("pe", torch.randn(512, 64))
            self.register_buffer("ema", torch.zeros(64))
            self.l = nn.Linear(64, 64)
            self.bn = nn.BatchNorm1d(64)

        def forward(self, x):
            y = self.bn(self.l(x + self.pe[: x.shape[0]]))
            self.ema.mul_(0.9).add_(y.detach().mean(0) * 0.1)
            return y * self.ema

    return M(), (torch.randn(128, 64),)


def gan():
    class P(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Sequential(nn.Linear(16, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 784), nn.Tanh())
            self.d = nn.Sequential(nn.Linear(784, 128), nn.LeakyReLU(0.2), nn.Linear(128, 1))

    def step(m, z, x):
        f = m.g(z)
        yield F.softplus(-m.d(x)).mean() + F.softplus(m.d(f.detach())).mean(), m.d.parameters()
        yield F.softplus(-m.d(f)).mean(), m.g.parameters()

    return P(), (torch.randn(64, 16), torch.randn(64, 784)), step


def mha_weights():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.MultiheadAttention(64, 4, dropout=0.1, batch_first=True)

        def forward(self, x):
            return self.a(x, x, x)[0]

    return M(), (torch.randn(8, 40, 64),)


def seq2seq():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.t = nn.Transformer(32, 4, 2, 2, 64, batch_first=True)
            self.o = nn.Linear(32, 50)
            self.e = nn.Embedding(50, 32)

        def forward(self, a, b):
            return self.o(
                self.t(self.e(a), self.e(b), tgt_mask=nn.Transformer.generate_square_subsequent_mask(b.shape[1]))
            )

    return M(), (torch.randint(0, 50, (4, 20)), torch.randint(0, 50, (4, 20)))


def conv1d():
    m = nn.Sequential(
        nn.Conv1d(4, 16, 5),
        nn.PReLU(),
        nn.Conv1d(16, 16, 3, groups=4),
        nn.InstanceNorm1d(16, affine=True),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.LazyLinear(3),
    )
    with torch.no_grad():
        m(torch.zeros(2, 4, 100))
    return m, (torch.randn(16, 4, 100),)


def weightnorm():
    m = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(64, 128)),
        nn.Tanh(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(128, 8)),
    )
    return m, (torch.randn(64, 64),)


def gnn():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(16, 32)
            self.b = nn.Linear(32, 4)

        def forward(self, x, src, dst):
            h = F.relu(self.a(x))
            m = torch.zeros_like(h).index_add(0, dst, h[src])
            return self.b(m)

    return M(), (torch.randn(100, 16), torch.randint(0, 100, (400,)), torch.randint(0, 100, (400,)))


def double_backward():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.n = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))

        def forward(self, x):
            return self.n(x)

    def step(m, x):
        x = x.requires_grad_(True)
        u = m(x)
        g = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
        return (g[:, 0] ** 2).mean() + (u**2).mean()

    return M(), (torch.randn(300, 2),), step


def distill():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.t = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 10)).requires_grad_(False)
            self.s = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))

        def forward(self, x):
            with torch.no_grad():
                t = self.t(x)
            return F.kl_div(F.log_softmax(self.s(x), -1), t.softmax(-1), reduction="batchmean")

    return M(), (torch.randn(128, 32),)


def complex_fft():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(8, 17, dtype=torch.cfloat))
            self.o = nn.Linear(32, 2)

        def forward(self, x):
            return self.o(torch.fft.irfft(torch.fft.rfft(x) * self.w, n=32))

    return M(), (torch.randn(16, 8, 32),)


def unused():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(64, 64)
            self.never = nn.Linear(512, 512)

        def forward(self, x):
            return self.a(x)

    return M(), (torch.randn(64, 64),)


def inplace_slices():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(32, 96)

        def forward(self, x):
            q, k, v = self.a(x).chunk(3, -1)
            out = torch.empty_like(x)
            out[:, :16] = (q * k)[:, :16]
            out[:, 16:] = v[:, 16:].sigmoid()
            return out

    return M(), (torch.randn(64, 32),)


def ctc():
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.LSTM(20, 32, bidirectional=True, batch_first=True)
            self.o = nn.Linear(64, 11)

        def forward(self, x):
            return self.o(self.l(x)[0])

    def step(m, x, y):
        p = m(x).log_softmax(-1).transpose(0, 1)
        n = x.shape[0]
        return F.ctc_loss(p, y, torch.full((n,), p.shape[0]), torch.full((n,), y.shape[1]))

    return M(), (torch.randn(4, 30, 20), torch.randint(1, 11, (4, 8))), step


ODD = [made for made in list(globals().values()) if getattr(made, "__module__", None) == __name__]

"""Which operators autocast runs in which precision, by target device.

Source: PyTorch documentation "Automatic Mixed Precision package - torch.amp", sections "CUDA Ops that can autocast" and
"CPU Op-Specific Behavior", with the overloads of aten/src/ATen/autocast_mode.h and autocast_mode.cpp. A test compares
the names with the operators that torch itself has in these layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Lists:
    """Operators of one autocast layer.

    lower             tensors are cast to the lower precision
    float32           tensors are cast to float32
    float32_dtype     the result is asked for in float32 through the operator's dtype argument
    float32_overload  the same, where another overload has that argument
    promote           tensors are cast to the widest of their types
    banned            refused: in half precision their result would be useless
    """

    lower: tuple[str, ...]
    float32: tuple[str, ...]
    float32_dtype: tuple[str, ...] = ()
    float32_overload: dict[str, str] = field(default_factory=dict)
    promote: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()


CUDA = Lists(
    lower=(
        *("_convolution", "_convolution.deprecated", "convolution", "conv1d", "conv2d", "conv3d", "conv_tbc"),
        *("conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input"),
        *("cudnn_convolution", "cudnn_convolution_transpose", "prelu", "linear", "matmul", "einsum"),
        *("mm", "mv", "bmm", "addmm", "addmv", "addr", "addbmm", "baddbmm", "linalg_vecdot"),
        *("chain_matmul", "linalg_multi_dot", "scaled_dot_product_attention", "_scaled_dot_product_flash_attention"),
        *("_thnn_fused_lstm_cell", "_thnn_fused_gru_cell", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    ),
    float32=(
        *("acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal", "rsqrt"),
        *("sinh", "tan", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "softplus", "renorm", "logsumexp"),
        *("layer_norm", "native_layer_norm", "group_norm", "rms_norm", "dist", "pdist", "cdist", "cosine_similarity"),
        *("frobenius_norm.dim", "nuclear_norm", "nuclear_norm.dim"),
        *("linalg_vector_norm", "linalg_matrix_norm", "linalg_matrix_norm.str_ord"),
        *("poisson_nll_loss", "cosine_embedding_loss", "nll_loss", "nll_loss2d", "hinge_embedding_loss", "kl_div"),
        *("l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss", "margin_ranking_loss", "multilabel_margin_loss"),
        *("soft_margin_loss", "triplet_margin_loss", "multi_margin_loss", "binary_cross_entropy_with_logits"),
        *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d"),
        *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"),
        *("upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_bicubic2d", "_upsample_bicubic2d_aa"),
        "upsample_trilinear3d",
    ),
    float32_dtype=(
        *("prod", "prod.dim_int", "softmax.int", "log_softmax.int", "cumprod", "cumsum", "sum", "sum.dim_IntList"),
    ),
    float32_overload={"norm.Scalar": "norm.ScalarOpt_dtype", "norm.ScalarOpt_dim": "norm.ScalarOpt_dim_dtype"},
    promote=(
        *("addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "grid_sampler", "index_put"),
        *("tensordot", "scatter_add"),
    ),
    banned=("binary_cross_entropy",),
)

CPU = Lists(
    lower=(
        *("_convolution.deprecated", "conv1d", "conv1d.padding", "conv2d", "conv2d.padding", "conv3d"),
        *("conv3d.padding", "conv_tbc", "conv_transpose1d", "conv_transpose2d.input", "conv_transpose3d.input"),
        *("mm", "bmm", "addmm", "addbmm", "baddbmm", "_addmm_activation", "linalg_vecdot", "linear", "matmul"),
        *("prelu", "mkldnn_rnn_layer", "scaled_dot_product_attention", "_native_multi_head_attention"),
    ),
    float32=(
        *("avg_pool3d", "adaptive_avg_pool3d", "adaptive_max_pool3d", "max_pool3d", "max_unpool2d", "max_unpool3d"),
        *("fractional_max_pool2d", "fractional_max_pool3d", "reflection_pad1d", "reflection_pad2d"),
        *("replication_pad1d", "replication_pad2d", "replication_pad3d"),
        *("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "_grid_sampler_2d_cpu_fallback"),
        *("binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy_loss"),
        *("ctc_loss.IntList", "ctc_loss.Tensor", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss"),
        *("margin_ranking_loss", "mse_loss", "multi_margin_loss", "multilabel_margin_loss"),
        *("multilabel_margin_loss_forward", "nll_loss", "nll_loss2d", "poisson_nll_loss", "smooth_l1_loss"),
        *("soft_margin_loss", "triplet_margin_loss", "cdist", "trace", "polar", "view_as_complex"),
        *("prod", "prod.dim_int", "quantile", "quantile.scalar", "nanquantile", "nanquantile.scalar"),
        *("stft", "stft.center", "fft_fft", "fft_ifft", "fft_fft2", "fft_ifft2", "fft_fftn", "fft_ifftn"),
        *("fft_rfft", "fft_irfft", "fft_rfft2", "fft_irfft2", "fft_rfftn", "fft_irfftn", "fft_hfft", "fft_ihfft"),
        *("cholesky", "cholesky_inverse", "cholesky_solve", "inverse", "lu_solve", "_lu_with_info", "orgqr", "ormqr"),
        *("pinverse", "qr", "geqrf", "svd", "triangular_solve", "fake_quantize_per_tensor_affine"),
        *("linalg_cholesky", "linalg_cholesky_ex", "linalg_cond", "linalg_cond.p_str", "linalg_eig", "linalg_eigh"),
        *("linalg_eigvals", "linalg_eigvalsh", "linalg_householder_product", "linalg_inv", "linalg_inv_ex"),
        *("linalg_lstsq", "linalg_matrix_rank", "linalg_matrix_rank.atol_rtol_float"),
        *("linalg_matrix_rank.atol_rtol_tensor", "linalg_matrix_rank.tol_tensor", "linalg_qr", "linalg_solve"),
        *("linalg_svd", "linalg_svdvals", "linalg_tensorinv", "linalg_tensorsolve"),
    ),
    promote=("cat", "stack", "index_copy"),
)

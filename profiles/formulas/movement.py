"""Operators that only look at memory, move it or fill it: no FLOPs."""

from __future__ import annotations

from profiles.formulas.call import Call, Cost
from profiles.formulas.costs import movement_cost, view_cost, write_cost
from profiles.formulas.registry import register_formula
from profiles.formulas.traffic import total_bytes

_VIEWS = (
    "view _unsafe_view reshape _reshape_alias view_as reshape_as as_strided expand expand_as broadcast_to "
    "broadcast_tensors permute transpose t numpy_T mT mH matrix_H adjoint movedim moveaxis swapaxes swapdims "
    "squeeze unsqueeze select slice narrow split split_with_sizes unsafe_split unsafe_split_with_sizes chunk "
    "unsafe_chunk tensor_split hsplit vsplit dsplit unbind unfold diagonal linalg_diagonal alias detach "
    "view_as_real view_as_complex real imag _conj conj resolve_conj resolve_neg _neg_view flatten unflatten ravel "
    "lift_fresh lift atleast_1d atleast_2d atleast_3d data set set_data values indices _values _indices "
    "crow_indices col_indices ccol_indices row_indices _coalesced contiguous type_as to requires_grad _fw_primal "
    "_make_dual _unpack_dual slice_inverse _lazy_clone _add_batch_dim _remove_batch_dim _nested_view_from_buffer "
    "_nested_view_from_jagged _nested_get_values _nested_get_offsets _nested_get_lengths _nested_get_min_seqlen "
    "_nested_get_max_seqlen _nested_get_ragged_idx _nested_get_jagged_dummy _sparse_broadcast_to"
)
"""Another look at the same memory. A reshape or contiguous that has to copy arrives as a clone of its own."""

_QUESTIONS = (
    "size stride dim numel storage_offset sym_size sym_stride sym_numel sym_storage_offset sym_is_contiguous "
    "is_contiguous is_same_size is_floating_point is_complex is_conj is_neg is_signed is_inference is_leaf "
    "is_set_to is_coalesced is_pinned is_distributed result_type can_cast promote_types get_device output_nr "
    "_version retain_grad retains_grad dense_dim sparse_dim _dimI _dimV _nnz qscheme q_scale q_zero_point "
    "q_per_channel_axis q_per_channel_scales q_per_channel_zero_points _has_compatible_shallow_copy_type "
    "_has_same_storage_numel _is_zerotensor _debug_has_internal_overlap _fused_sdp_choice _nnpack_available "
    "cudnn_is_acceptable _use_cudnn_ctc_loss _use_cudnn_rnn_flatten_weight _use_miopen_ctc_loss is_vulkan_available "
    "_assert_tensor_metadata _assert_scalar _assert_async _functional_assert_scalar _functional_assert_async _print "
    "sym_constrain_range sym_constrain_range_for_size _functional_sym_constrain_range "
    "_functional_sym_constrain_range_for_size _make_dep_token record_stream resize resize_as _resize_output "
    "_linalg_check_errors _nested_tensor_size _nested_tensor_strides _nested_tensor_storage_offsets "
    "_validate_sparse_coo_tensor_args _validate_compressed_sparse_indices _shape_as_tensor "
    "_cufft_get_plan_cache_size _propagate_xla_data sparse_resize sparse_resize_and_clear resize_as_sparse "
    "_nested_compute_contiguous_strides_offsets"
)
"""Questions about a tensor and checks; no data moves."""

_UNWRITTEN = (
    "empty empty_like empty_strided empty_permuted new_empty new_empty_strided _efficientzerotensor empty_quantized "
    "_empty_affine_quantized _empty_per_channel_affine_quantized _sparse_coo_tensor_with_dims "
    "_sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe sparse_coo_tensor sparse_csr_tensor "
    "_sparse_csr_tensor_unsafe _sparse_compressed_tensor_unsafe sparse_compressed_tensor "
    "_new_zeros_with_same_feature_meta _spdiags _cudnn_init_dropout_state _sparse_compressed_tensor_with_dims"
)
"""Memory that is reserved but not written, or put together from tensors that are there."""

_FILLED = (
    "zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full zero fill arange range linspace "
    "logspace eye scalar_tensor tril_indices triu_indices fill_diagonal hann_window hamming_window blackman_window "
    "bartlett_window kaiser_window fft_fftfreq fft_rfftfreq"
)
"""Written without reading anything."""

_COPIES = (
    "clone _to_copy _copy_from _copy_from_and_resize _to_cpu _pin_memory pin_memory lift_fresh_copy cat concat "
    "concatenate stack _stack hstack vstack dstack column_stack row_stack _chunk_cat block_diag repeat tile "
    "repeat_interleave roll flip fliplr flipud rot90 constant_pad_nd pad _pad_enum _pad_circular reflection_pad1d "
    "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d pixel_shuffle "
    "pixel_unshuffle channel_shuffle native_channel_shuffle diag diagflat diag_embed one_hot polar complex "
    "combinations cartesian_prod meshgrid _reshape_copy view_copy as_strided_copy expand_copy permute_copy "
    "transpose_copy t_copy squeeze_copy unsqueeze_copy select_copy slice_copy split_copy split_with_sizes_copy "
    "unbind_copy unfold_copy diagonal_copy alias_copy detach_copy view_as_real_copy view_as_complex_copy _conj_copy "
    "_neg_view_copy _reshape_alias_copy _fw_primal_copy narrow_copy values_copy indices_copy _values_copy "
    "_indices_copy crow_indices_copy col_indices_copy _local_scalar_dense item to_mkldnn to_mkldnn_backward "
    "mkldnn_reorder_conv2d_weight mkldnn_reorder_conv3d_weight _mkldnn_reshape _mkldnn_transpose "
    "_pack_padded_sequence _pack_padded_sequence_backward _pad_packed_sequence _cudnn_rnn_flatten_weight "
    "flatten_dense_tensors unflatten_dense_tensors _nested_from_padded _nested_from_padded_tensor "
    "_nested_tensor_from_mask nested_to_padded_tensor to_padded_tensor _jagged_to_padded_dense_forward "
    "_padded_dense_to_jagged_forward _nested_tensor_from_tensor_list _autocast_to_reduced_precision "
    "_autocast_to_full_precision _cast_Float _cast_Half _cast_Double _cast_Int _cast_Long _cast_Byte _cast_Char "
    "_cast_Short chalf fft_fftshift fft_ifftshift _convert_weight_to_int4pack _convert_weight_to_int4pack_for_cpu "
    "_saturate_weight_to_fp16 lu_unpack _make_per_channel_quantized_tensor _make_per_tensor_quantized_tensor "
    "_nested_get_values_copy _nested_select_backward _nested_tensor_from_mask_left_aligned "
    "_nested_view_from_buffer_copy _nested_view_from_jagged_copy _sparse_broadcast_to_copy row_indices_copy "
    "ccol_indices_copy _make_dual_copy _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo"
)
"""Inputs read once, outputs written once."""

_PAD_GRADIENTS = (
    "reflection_pad1d_backward reflection_pad2d_backward reflection_pad3d_backward replication_pad1d_backward "
    "replication_pad2d_backward replication_pad3d_backward"
)


def _names(text: str) -> tuple[str, ...]:
    """Operators of the aten namespace."""
    return tuple(f"aten.{name}" for name in text.split())


_PROFILER = (
    "profiler._record_function_enter",
    "profiler._record_function_enter_new",
    "profiler._record_function_exit",
    "profiler._call_end_callbacks_on_jit_fut",
)
"""Marks that torch sets for its own profiler."""

register_formula(*_names(_VIEWS), *_names(_QUESTIONS), *_names(_UNWRITTEN))(view_cost)
register_formula(*_PROFILER, "prim.device", "prims.view_of")(view_cost)
register_formula(*_names(_FILLED))(write_cost)
register_formula(*_names(_COPIES))(movement_cost)


@register_formula("aten.copy", "aten.copy_sparse_to_sparse")
def copy(call: Call) -> Cost:
    """(self, src): what is overwritten is not read."""
    cost = movement_cost(call)
    return cost.with_traffic(total_bytes((call.tensor(1, "src"),)), cost.bytes_written)


@register_formula(*_names(_PAD_GRADIENTS))
def pad_backward(call: Call) -> Cost:
    """(grad_output, self, padding): the gradient is read, the input is not; few elements are added up."""
    cost = movement_cost(call)
    return cost.with_traffic(total_bytes((call.tensor(0),)), cost.bytes_written)

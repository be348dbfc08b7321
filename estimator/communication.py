"""What collectives reach of the link between the devices of one machine."""

from __future__ import annotations

from typing import Final

from estimator.ranges import Range

LINK_EFFICIENCY: Final = Range(0.60, 0.80, 0.90)
"""Reached bus bandwidth over link bandwidth: NCCL reaches 370 of 450 GB/s on H100 NVLink, "protocol overhead about
20 %" (github.com/NVIDIA/nccl-tests/issues/212) and 208 of 300 on A100 (issues/178); PCIe and Ethernet are lower."""

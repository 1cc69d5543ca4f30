# SPDX-License-Identifier: GPL-2.0-only
"""What the memory map has on x86 only: offsets from where guest RAM lies, as in the map of all."""

from __future__ import annotations

from typing import Final

PAGE_TABLES: Final = 0x10000
"""Long mode: three pages of page tables, written by the harness."""
VMCB: Final = 0x14000
"""The program nested_svm: its guest's control block."""
MSR_BITMAP: Final = 0x16000
"""The program nested_svm: which MSRs its guest may not reach, two pages."""
PORT_BITMAP: Final = 0x18000
"""The program nested_svm: which ports its guest may not reach, three pages."""
SMI_HANDLER: Final = 0x38000
"""Entry of the SMI handler, SMBASE 0x30000 + 0x8000."""

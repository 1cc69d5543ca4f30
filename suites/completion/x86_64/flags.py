# SPDX-License-Identifier: GPL-2.0-only
"""RFLAGS as arithmetic leaves it (Intel SDM volume 1, 3.4.3.1), for `forms`."""

from __future__ import annotations

CF, PF, AF, ZF, SF, OF = 1 << 0, 1 << 2, 1 << 4, 1 << 6, 1 << 7, 1 << 11
STATUS = CF | PF | AF | ZF | SF | OF


def of_sum(one: int, other: int, size: int) -> int:
    """After ADD, XADD and INC of so many bytes."""
    bits = 8 * size
    one, other = one & (1 << bits) - 1, other & (1 << bits) - 1
    total = one + other
    found = _of_result(total, bits) | _flag(AF, (one ^ other ^ total) >> 4)
    found |= _flag(OF, ((one ^ total) & (other ^ total)) >> bits - 1)
    return found | _flag(CF, total >> bits)


def of_difference(one: int, other: int, size: int) -> int:
    """After CMP and CMPXCHG, which is `one` less `other`."""
    bits = 8 * size
    one, other = one & (1 << bits) - 1, other & (1 << bits) - 1
    left = one - other
    found = _of_result(left, bits) | _flag(AF, (one ^ other ^ left) >> 4)
    found |= _flag(OF, ((one ^ other) & (one ^ left)) >> bits - 1)
    return found | _flag(CF, one < other)


def of_logic(result: int, size: int) -> int:
    """After OR, which leaves AF undefined: here it is 0."""
    return _of_result(result, 8 * size)


def _of_result(result: int, bits: int) -> int:
    result &= (1 << bits) - 1
    even = (result & 0xFF).bit_count() % 2 == 0
    return _flag(PF, even) | _flag(ZF, not result) | _flag(SF, result >> bits - 1)


def _flag(flag: int, value: int) -> int:
    return flag if value & 1 else 0

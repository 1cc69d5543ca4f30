# SPDX-License-Identifier: GPL-2.0-only
"""The numbers in a struct: each is found, read and set by itself, and nothing beside it."""

from __future__ import annotations

from harness.kvm.bits import numbers
from harness.native import ffi


def test_each_number_has_its_path_and_its_place() -> None:
    struct = ffi.new("struct kvm_userspace_memory_region *")
    found = list(numbers(struct))
    assert [(each.path, each.width) for each in found] == [
        ("slot", 32),
        ("flags", 32),
        ("guest_phys_addr", 64),
        ("memory_size", 64),
        ("userspace_addr", 64),
    ]
    for value, each in enumerate(found, 1):
        each.put(value)
    assert (struct.slot, struct.flags, struct.userspace_addr) == (1, 2, 5)
    assert [each.get() for each in found] == [1, 2, 3, 4, 5]


def test_numbers_within_structs_and_arrays_are_found() -> None:
    struct = ffi.new("struct kvm_enable_cap *", {"args": [7, 0, 0, 9]})
    found = {each.path: each.get() for each in numbers(struct)}
    assert found == {"cap": 0, "flags": 0, "args.0": 7, "args.1": 0, "args.2": 0, "args.3": 9}


def test_other_values_never_are_the_value_itself() -> None:
    struct = ffi.new("struct kvm_mp_state *", {"mp_state": 0xFFFFFFFF})
    (only,) = numbers(struct)
    assert set(only.extremes()) == {0xFFFFFFFE, 0}
    flipped = list(only.flips())
    assert flipped == [0xFFFFFFFF ^ 1 << bit for bit in range(32)]

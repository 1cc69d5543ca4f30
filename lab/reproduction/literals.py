# SPDX-License-Identifier: GPL-2.0-only
"""The content of a struct as a C initializer: what is not zero, by name."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

from harness.native import ffi
from lab.reproduction.arch import UntoldError

_WORD = 8
_IN_A_ROW = 6


def argument(kind: str, data: bytes) -> str:
    """A pointer to such a content. Raises `UntoldError` where it is not known, or has pointers."""
    try:
        told = ffi.typeof(kind)
    except (ffi.error, AttributeError) as error:
        raise UntoldError(f"the argument {kind or 'of no type'}") from error
    if told.kind == "primitive":
        return f"&({kind}){{{int.from_bytes(data, sys.byteorder):#x}}}"
    if told.kind != "struct":
        raise UntoldError(f"the argument {kind}")
    covered, size = bytearray(len(data)), int(ffi.sizeof(told))
    ends_open = told.fields and told.fields[-1][1].type.kind == "array"
    if len(data) < size or (len(data) > size and not ends_open):
        raise UntoldError(f"{len(data)} bytes of {kind}")
    head = "{" + ", ".join(_fields(told, data[:size], 0, covered)) + "}"
    text = f"&({kind}){head}"
    if len(data) > size:  # an array without a length at its end
        item = told.fields[-1][1].type.item
        rest = (len(data) - size) // ffi.sizeof(item)
        values = ", ".join(
            _value(item, data, size + ffi.sizeof(item) * number, covered) or "{0}"
            for number in range(rest)
        )
        text = f"&(struct {{{kind} head; {item.cname} rest[{rest}];}}){{{head}, {{{values}}}}}"
    if any(byte and not seen for byte, seen in zip(data, covered, strict=True)):
        raise UntoldError(f"all of {kind}")
    return text


def _fields(told: Any, data: bytes, at: int, covered: bytearray) -> Iterator[str]:
    for name, field in told.fields:
        begin = at + field.offset
        value = _value(field.type, data, begin, covered)
        if value:
            yield f".{name} = {value}" if name else value[1:-1]


def _value(told: Any, data: bytes, at: int, covered: bytearray) -> str:
    """A value that is not zero, or an empty text."""
    size = len(data) - at if told.kind == "array" and told.length is None else ffi.sizeof(told)
    raw = data[at : at + size]
    if not any(raw):
        return ""
    if told.kind == "union":  # by its largest member, which has all
        name, member = max(told.fields, key=lambda each: ffi.sizeof(each[1].type))
        value = _value(member.type, data, at + member.offset, covered)
        return f"{{.{name} = {value}}}" if name and value else value
    if told.kind == "struct":
        return "{" + ", ".join(_fields(told, data, at, covered)) + "}"
    if told.kind == "array":
        item = ffi.sizeof(told.item)
        values = (
            (number, _value(told.item, data, at + item * number, covered))
            for number in range(size // item)
        )
        return "{" + ", ".join(f"[{number}] = {value}" for number, value in values if value) + "}"
    if told.kind == "pointer":
        raise UntoldError("an argument with a pointer in it")
    covered[at : at + size] = b"\1" * size
    return f"{int.from_bytes(raw, sys.byteorder):#x}"


def progression(data: bytes) -> tuple[int, int] | None:
    """The first of many words, and what each is more than the one before; None if it is not so."""
    if len(data) % _WORD or len(data) < _WORD * _IN_A_ROW:
        return None
    words = [
        int.from_bytes(data[at : at + _WORD], sys.byteorder) for at in range(0, len(data), _WORD)
    ]
    step = words[1] - words[0]
    steady = all(after - before == step for before, after in itertools.pairwise(words))
    return (words[0], step) if steady and step >= 0 else None


def octets(data: bytes) -> str:
    """Each byte, in rows."""
    rows = (data[at : at + 16] for at in range(0, len(data), 16))
    return "\n".join("\t" + " ".join(f"0x{octet:02x}," for octet in row) for row in rows)


def page_of(vcpu: str) -> str:
    """The variable of a vCPU's kvm_run."""
    return vcpu.replace("vcpu", "run", 1)

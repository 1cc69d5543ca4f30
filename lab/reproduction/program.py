# SPDX-License-Identifier: GPL-2.0-only
"""A sequence as one C file: `write()`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from harness.plain_text import line
from harness.sequences.operations import operations
from harness.sequences.sequence import Recorded
from lab.reproduction.arch import UntoldError, here
from lab.reproduction.assembler import CodeLine, assemble, labels
from lab.reproduction.operations import operations as told_operations
from lab.reproduction.telling import Telling

_SKELETON = Path(__file__).resolve().parent / "skeleton.c.in"
_BLOCK = re.compile(r"^//@ (\w+)(?:: (.*))?\n", re.M)
_MAIN = """\
int main(void)
{{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, too_long);
	alarm(60);
	set_up();

{sequence}

	puts("Every KVM_RUN did what it must.");
	return 0;
}}
"""


def write(recorded: Recorded, claim: str, sentence: str, source: str, kernel: str) -> str:
    """The file's text. `sentence` says what failed, `source` what holds KVM to the claim.

    Raises `UntoldError` for a sequence with a part of which no C is known,
    `UnsupportedArchitectureError`, and `AssemblerError`.
    """
    architecture = here()
    tables = architecture.interrupted(recorded)
    vcpus = architecture.vcpus(recorded.setting)
    telling = Telling(tables=tables, vcpus=vcpus)
    told = told_operations()
    for number, each in enumerate(recorded.done, start=1):
        if each.operation not in told:
            raise UntoldError(f"the operation {each.operation}")
        if not telling.possible(operations()[each.operation]):
            continue  # as when it is played again
        words = ", ".join(
            f"{name}={value}" for name, value in each.arguments.items() if name != "steps"
        )
        telling.begin(number, each.operation, words)
        told[each.operation](telling, each.arguments)
    irqchip = recorded.setting.irqchip != "none"
    code = assemble(architecture.assembly(telling.scripts, tables=tables, irqchip=irqchip))
    handlers = architecture.handlers(labels(code)) if tables else {}
    setup, blocks_of_setup = architecture.set_up(recorded.setting, handlers)
    telling.blocks |= blocks_of_setup
    main = _MAIN.format(sequence=telling.text())
    blocks = _blocks()
    base = blocks.pop("base")
    head, _, rest = base.partition("static int kvm")
    return "\n".join(
        [
            _header(claim, sentence, source, kernel),
            head.rstrip("\n"),
            "",
            architecture.constants(tables=tables),
            _guest(code),
            f"static int kvm{rest}".rstrip("\n"),
            "",
            *(f"{text}\n" for text in _needed(blocks, telling.blocks)),
            setup,
            main,
        ]
    )


def _header(claim: str, sentence: str, source: str, kernel: str) -> str:
    lines = [
        "SPDX-License-Identifier: GPL-2.0-only",
        "",
        *_wrapped(f"{claim or 'KVM'}: {source}"),
        "",
        *_wrapped(f"What failed{f', on {kernel}' if kernel else ''}: {sentence}"),
        "",
        "Build: cc -O1 -Wall -Wextra -o reproducer reproducer.c -lpthread",
        "Exit codes: 0 KVM did what it must, 1 it did not, 2 nothing can be said here.",
    ]
    return "\n".join(["/*", *(f" * {each}".rstrip() for each in lines), " */"])


def _wrapped(text: str) -> list[str]:
    """Of a file or a machine, so it cannot end the comment."""
    return textwrap.wrap(line(text).replace("*/", "* /"), 92)


def _guest(code: list[CodeLine]) -> str:
    lines = ["static const uint8_t guest[] = {"]
    for each in code:
        if each.text.startswith("."):
            continue
        octets = " ".join(f"0x{octet:02x}," for octet in each.code)
        lines.append(f"\t{octets:<60} /* {each.text} */" if each.code else f"\t/* {each.text} */")
    return "\n".join([*lines, "};", ""])


def _blocks() -> dict[str, str]:
    """The skeleton's blocks by name, in order; what each needs stands in its first line."""
    parts = _BLOCK.split(_SKELETON.read_text(encoding="ascii"))[1:]
    return {
        name: f"{needs or ''}\n{text}".lstrip("\n") if name == "base" else f"{needs or ''}\n{text}"
        for name, needs, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def _needed(blocks: Mapping[str, str], wanted: set[str]) -> list[str]:
    """The texts of these blocks and of those that they need, in the skeleton's order."""
    every, left = set[str](), [name for name in wanted if name in blocks]
    while left:
        name = left.pop()
        if name not in every:
            every.add(name)
            left += blocks[name].partition("\n")[0].split()
    return [text.partition("\n")[2].strip("\n") for name, text in blocks.items() if name in every]

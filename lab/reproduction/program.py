# SPDX-License-Identifier: GPL-2.0-only
"""A sequence as one C file: `write()`."""

from __future__ import annotations

from harness.sequences.operations import operations
from harness.sequences.sequence import Recorded
from lab.reproduction.arch import UntoldError, here
from lab.reproduction.assembler import CodeLine, assemble, labels
from lab.reproduction.operations import operations as told_operations
from lab.reproduction.skeleton import blocks, head, header, needed
from lab.reproduction.telling import Telling

_MAIN = """\
int main(void)
{{
	setvbuf(stdout, NULL, _IOLBF, 0);
	watch();
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
    telling = Telling(tables=tables, changed=sentence)
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
    return "\n".join(
        [
            header(claim, sentence, source, kernel),
            head(),
            "",
            architecture.constants(tables=tables),
            _guest(code),
            *(f"{text}\n" for text in needed(blocks("sequence"), {"base", *telling.blocks})),
            setup,
            main,
        ]
    )


def _guest(code: list[CodeLine]) -> str:
    lines = ["static const uint8_t guest[] = {"]
    for each in code:
        if each.text.startswith("."):
            continue
        octets = " ".join(f"0x{octet:02x}," for octet in each.code)
        lines.append(f"\t{octets:<60} /* {each.text} */" if each.code else f"\t/* {each.text} */")
    return "\n".join([*lines, "};", ""])

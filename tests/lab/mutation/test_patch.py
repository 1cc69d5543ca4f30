# SPDX-License-Identifier: GPL-2.0-only
"""Semantic patches on a little KVM: each way to be no mutant has its sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.mutation import patch
from lab.mutation.catalogue import Mutant
from lab.mutation.errors import MutationError, PatchError
from lab.mutation.source import Source
from tests.fakes import programs as fake_programs

pytestmark = pytest.mark.skipif(
    shutil.which("spatch") is None, reason=fake_programs.why_not("mutation")
)
MAIN = "virt/kvm/kvm_main.c"
OTHER = "arch/x86/kvm/x86.c"
C = """\
static int check(struct kvm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->run->immediate_exit))
		return -EINTR;
	return 0;
}
"""
DROP = """\
@@
expression E;
@@
- if (READ_ONCE(E)) return -EINTR;
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    for name in (MAIN, OTHER):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True)
        path.write_text(C)
    (tmp_path / "tree/virt/kvm/kvm_main.o").write_bytes(b"\x00\xff")
    return Source(
        boot="",
        release="6.1.0-test",
        name="a test",
        version="6.1",
        tree=str(tmp_path / "tree"),
        build="",
        compiler="gcc",
        label="test",
        digest="1",
    )


def mutant(folder: Path, text: str, *files: str, places: int = 1) -> Mutant:
    path = folder / "one.cocci"
    path.write_text(text)
    return Mutant(
        id="one",
        chapter="preset",
        mutant_class="byte_ignored",
        defect="",
        stands_for="",
        files=files or (MAIN,),
        tier="functional",
        patch=path,
        places=places,
    )


def test_a_patch_changes_what_it_says_and_nothing_else(tmp_path: Path, source: Source) -> None:
    made = patch.apply(mutant(tmp_path, DROP), source, tmp_path / "cache")
    assert made.places == 1
    assert set(made.files) == {MAIN}
    assert "immediate_exit" not in made.files[MAIN]
    assert "-	if (READ_ONCE(vcpu->run->immediate_exit))\n" in made.difference
    assert (tmp_path / "tree" / MAIN).read_text() == C, "the stock sources stay"
    both = patch.apply(mutant(tmp_path, DROP, MAIN, OTHER, places=2), source, tmp_path / "cache")
    assert (both.places, set(both.files)) == (2, {MAIN, OTHER})


@pytest.mark.parametrize("names", [f"arch/x86/kvm/gone.c or {MAIN}", f"{MAIN} or {OTHER}"])
def test_of_files_that_stand_for_each_other_the_first_that_is_there_is_changed(
    tmp_path: Path, source: Source, names: str
) -> None:
    made = patch.apply(mutant(tmp_path, DROP, names), source, tmp_path / "cache")
    assert set(made.files) == {MAIN}


@pytest.mark.parametrize(
    ("text", "files", "places", "words"),
    [
        ("nonsense @@\n", (), 1, "Coccinelle does not take it: .*parse error, line 1$"),
        ("@@\n@@\n- return 7;\n+ return 8;\n", (), 1, "it does not apply; virt/kvm/kvm_main.c"),
        (DROP, (MAIN, "virt/kvm/eventfd.c"), 1, "has no virt/kvm/eventfd.c"),
        (DROP, ("virt/kvm/a.c or virt/kvm/b.c",), 1, "has no virt/kvm/a.c or virt/kvm/b.c"),
        (DROP, (), 2, "it changes 1 places, and its entry says 2"),
        (DROP, (MAIN, OTHER), 1, "it changes 2 places, and its entry says 1"),
    ],
    ids=["no_patch", "no_match", "no_file", "none_of_them", "too_few", "too_many"],
)
def test_what_is_no_mutant(
    tmp_path: Path, source: Source, text: str, files: tuple[str, ...], places: int, words: str
) -> None:
    with pytest.raises(PatchError, match=rf"^one\.cocci on 6\.1\.0-test: .*{words}"):
        patch.apply(mutant(tmp_path, text, *files, places=places), source, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.json"))


@pytest.mark.parametrize(
    "text",
    [
        DROP,
        "@@\n@@\n+ mdelay(1);\n+ vcpu = NULL;\nreturn 0;\n",
        "@@\n@@\n+ if (vcpu->wants_to_run)\nreturn 0;\n",
        "@@\nexpression E;\n@@\n- if (E)\n+ if (E && vcpu->wants_to_run)\nreturn -EINTR;\n",
    ],
    ids=["drops", "adds", "wraps", "extends"],
)
def test_what_applies_twice(tmp_path: Path, source: Source, text: str) -> None:
    """To sources that have the defect: what replaces finds nothing, what adds would add again."""
    made = patch.apply(mutant(tmp_path, text), source, tmp_path / "cache")
    (tmp_path / "tree" / MAIN).write_text(made.files[MAIN])
    again = Source(**{**vars(source), "digest": "2"})
    with pytest.raises(PatchError, match=r"does not apply|has this defect already.* apply twice"):
        patch.apply(mutant(tmp_path, text), again, tmp_path / "cache")


def test_what_was_done_is_not_done_again(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = patch.apply(mutant(tmp_path, DROP), source, tmp_path / "cache")
    monkeypatch.setattr(patch, "_spatch", None)
    assert patch.apply(mutant(tmp_path, DROP), source, tmp_path / "cache") == first
    with pytest.raises(TypeError):
        patch.apply(mutant(tmp_path, DROP + "\n"), source, tmp_path / "cache")


def test_without_coccinelle(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch.caches.programs, "places", lambda: str(tmp_path))
    with pytest.raises(Exception, match=r"spatch is missing.* package coccinelle") as caught:
        patch.apply(mutant(tmp_path, DROP), source, tmp_path / "cache")
    assert not isinstance(caught.value, PatchError), "never taken for a patch that does not apply"
    assert isinstance(caught.value, MutationError) or "missing" in str(caught.value)

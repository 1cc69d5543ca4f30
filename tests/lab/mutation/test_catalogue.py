# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue of mutants: a sentence for everything that is wrong with it, and what is chosen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.mutation import catalogue
from lab.mutation.catalogue import CatalogueError, ChoiceError, Mutant, choose, read

GOOD = {
    "id": '"one"',
    "class": '"byte_ignored"',
    "defect": '"The byte is not read."',
    "stands_for": '"A lost check."',
    "files": '["virt/kvm/kvm_main.c"]',
    "claims": '["preset.repeats"]',
    "tier": '"functional"',
}


def entry(**changes: str | None) -> str:
    """An entry as TOML; None leaves a key out."""
    keys = {**GOOD, **{key.rstrip("_"): value for key, value in changes.items()}}
    lines = [f"{key} = {value}" for key, value in keys.items() if value is not None]
    return "\n".join(["[[mutant]]", *lines, ""])


SOUND = {"class_": '"sound"', "kind": '"sound"', "claims": None, "allowed_by": '"api.rst 4.4"'}


def folder(top: Path, text: str, *names: str, chapter: str = "preset") -> Path:
    """A folder of mutants with one chapter, whose patches have these names."""
    (top / chapter).mkdir(parents=True, exist_ok=True)
    (top / chapter / "catalogue.toml").write_text(text)
    for name in names:
        (top / chapter / f"{name}.cocci").write_text("@@ @@\n")
    return top


def test_a_whole_entry(tmp_path: Path) -> None:
    more = {"commit": '"2f173d268855"', "places": "3", "since": '"6.2"', "until": '"6.11"'}
    found = read(folder(tmp_path, entry(**more), "one"))["one"]
    assert found.patch == tmp_path / "preset/one.cocci"
    assert (found.chapter, found.mutant_class, found.places) == ("preset", "byte_ignored", 3)
    assert found.claims == ("preset.repeats",)
    assert [found.applies_to(v) for v in ("6.1", "6.2", "6.9", "6.11", "6.12", "7.1")] == [
        *(False, True, True, True, False, False)
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": None}, "mutant 1: has no 'id'"),
        ({"id": '"One"'}, "letters a to z"),
        ({"id": '"2"'}, "letters a to z"),
        ({"id": '"two"'}, "two.cocci is missing"),
        ({"defect": None}, "mutant 'one': has no 'defect'"),
        ({"defect": '"No full stop"'}, "'defect' must end with a full stop"),
        ({"defect": '""'}, "'defect' must be one line"),
        ({"class_": '"clever"'}, "unknown class 'clever'"),
        ({"tier": '"slow"'}, "unknown tier 'slow'"),
        ({"kind": '"odd"'}, "unknown kind 'odd'"),
        ({"colour": '"red"'}, "unknown key 'colour'"),
        ({"claims": '["preset.nothing"]'}, "unknown claim 'preset.nothing'"),
        ({"claims": '["preset.fast"]'}, "never judged"),
        ({"claims": '"preset.repeats"'}, "'claims' must be a list"),
        ({"claims": '["preset.repeats", "preset.repeats"]'}, "names something twice"),
        ({"claims": None}, "it has 'claims', or is 'equivalent'"),
        ({"equivalent": '"It is the same."'}, "it has 'claims', or is 'equivalent'"),
        ({"claims": None, "claims_held": '["absent.ignored"]'}, "only a baseline"),
        ({"class_": '"baseline"'}, "go together"),
        ({"class_": '"baseline"', "kind": '"baseline"'}, "a baseline has 'claims_held'"),
        ({"class_": '"sound"'}, "class and kind 'sound' go together"),
        (SOUND, "kind and folder 'sound' go together"),
        ({"allowed_by": '"api.rst 4.4"'}, "and nothing else, has 'allowed_by'"),
        ({"files": "[]"}, "'files' is empty"),
        ({"files": '["mm/memory.c"]'}, "is not below"),
        ({"files": '["virt/kvm/../../mm/memory.c"]'}, "is not below"),
        ({"files": '["virt/kvm/kvm_main.c or mm/memory.c"]'}, "'mm/memory.c' is not below"),
        (
            {"files": '["arch/x86/kvm/x86.c", "arch/riscv/kvm/vcpu.c"]'},
            "its files are of riscv64 and x86_64",
        ),
        ({"architectures": '["vax"]'}, "unknown architecture 'vax'; known: x86_64, arm64"),
        (
            {"files": '["arch/riscv/kvm/vcpu.c"]', "architectures": '["riscv64"]'},
            "'architectures' is for files of virt/kvm alone",
        ),
        ({"places": "0"}, "above 0"),
        ({"places": "true"}, "above 0"),
        ({"commit": '"torvalds"'}, "hex digits"),
        ({"since": '"six"'}, "version such as"),
        ({"ways": '["spinning"]'}, "only the tier 'sweep' has 'ways'"),
        ({"tier": '"sweep"'}, "go together"),
        ({"claims": '["races.every_instruction"]'}, "go together"),
        (
            {"tier": '"sweep"', "claims": '["races.every_instruction", "preset.repeats"]'},
            "the sweep judges one claim",
        ),
        (
            {
                "tier": '"sweep"',
                "claims": '["races.every_instruction"]',
                "ways": '["sideways"]',
            },
            "no way 'sideways'",
        ),
    ],
)
def test_what_is_wrong_with_an_entry(
    tmp_path: Path, changes: dict[str, str | None], words: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        read(folder(tmp_path, entry(**changes), "one"), ways=["spinning"])
    assert words in str(caught.value)
    assert "catalogue.toml" in str(caught.value)


def test_a_sound_variant_has_its_folder_and_what_allows_it(tmp_path: Path) -> None:
    found = read(folder(tmp_path, entry(**SOUND), "one", chapter="sound"))["one"]
    assert found.is_innocent
    for changes, words in (
        ({"allowed_by": None}, "a sound variant, and nothing else, has 'allowed_by'"),
        ({"claims": '["preset.repeats"]'}, "a sound variant names no claims"),
        ({"tier": '"race"'}, "of the tier 'functional'"),
        ({"class_": '"rare"', "kind": None, "claims": '["preset.repeats"]'}, "go together"),
    ):
        with pytest.raises(CatalogueError, match=re.escape(words)):
            read(folder(tmp_path, entry(**{**SOUND, **changes}), "one", chapter="sound"))


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        ("[[mutant", ["one"], "is no TOML"),
        ("[mutant]\nid = 1", ["one"], "only [[mutant]] entries"),
        ("strange = 1", ["one"], "only [[mutant]] entries"),
        (entry(), ["one", "two"], "two.cocci has no entry"),
        (entry() + entry(), ["one"], "stands twice"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, names: list[str], words: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        read(folder(tmp_path, text, *names))
    assert words in str(caught.value)


def test_what_is_wrong_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="there is no folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "preset").mkdir()
    with pytest.raises(CatalogueError, match=r"has no catalogue\.toml"):
        read(tmp_path)
    folder(tmp_path, entry(), "one")
    folder(tmp_path, entry(), "one", chapter="signals")
    with pytest.raises(CatalogueError, match=r"'one' stands in .*preset.* too"):
        read(tmp_path)
    (tmp_path / "nonsense").mkdir()
    with pytest.raises(CatalogueError, match="nonsense is no chapter's folder"):
        read(tmp_path)


def mutant(name: str, of: str, tier: str = "functional", **more: object) -> Mutant:
    return Mutant(
        id=name,
        chapter="preset",
        mutant_class=of,
        defect="",
        stands_for="",
        files=(),
        tier=tier,
        patch=Path(f"{name}.cocci"),
        **{"claims": ("preset.repeats",), **more},  # type: ignore[arg-type]
    )


def test_choice() -> None:
    known = {
        each.id: each
        for each in (
            mutant("mask_one", "mask"),
            mutant("mask_two", "mask", claims=("signals.mask_kicks",)),
            mutant("old", "baseline", claims=(), claims_held=("absent.ignored",)),
        )
    }
    assert len(choose(known)) == 3
    assert [each.id for each in choose(known, ids=["mask_*"])] == ["mask_one", "mask_two"]
    assert [each.id for each in choose(known, classes=["mask"], claims=["preset.repeats"])] == [
        "mask_one"
    ]
    assert [each.id for each in choose(known, claims=["absent.ignored"])] == ["old"]
    for words in ({"ids": ["x*"]}, {"classes": ["x"]}, {"claims": ["x"]}):
        with pytest.raises(ChoiceError):
            choose(known, **words)


def test_whose_mutant_it_is(tmp_path: Path) -> None:
    """By its files; what virt/kvm has is everybody's, unless the entry says more."""
    for name, changes, expected in (
        ("neutral", {}, ()),
        ("x86s", {"files": '["virt/kvm/kvm_main.c", "arch/x86/kvm/x86.c"]'}, ("x86_64",)),
        ("powers", {"files": '["arch/powerpc/kvm/powerpc.c"]'}, ("ppc64le",)),
        ("some", {"architectures": '["x86_64", "arm64"]'}, ("x86_64", "arm64")),
    ):
        top = folder(tmp_path / name, entry(**changes), "one")
        assert read(top)["one"].architectures == expected


def test_claims_that_an_architecture_cannot_have_are_not_foretold_there() -> None:
    both = mutant("both", "mask", claims=("preset.repeats", "completion.pio"))
    known = [
        both,
        mutant("ports", "mask", claims=("completion.pio",)),
        mutant("ours", "mask", architectures=("riscv64",)),
        mutant("same", "rare", equivalent="It is the same.", claims=()),
        mutant("tired", "sound", kind="sound", claims=()),
    ]
    found = catalogue.of_architecture(known, "riscv64")
    assert [each.id for each in found] == ["both", "ours", "same", "tired"]
    assert found[0].claims == ("preset.repeats",)
    assert [each.id for each in catalogue.of_architecture(known, "x86_64")] == [
        *("both", "ports", "same", "tired")
    ]


def test_one_of_each_class_is_the_cheapest() -> None:
    found = catalogue.one_of_each_class(
        [
            mutant("same", "rare", equivalent="It is the same.", claims=()),
            mutant("slow", "rare", tier="race"),
            mutant("quick", "rare"),
            mutant("other", "rare"),
            mutant("swept", "no_kick", tier="sweep"),
            mutant("tired", "sound", kind="sound", claims=()),
        ]
    )
    assert [each.id for each in found] == ["quick", "swept"]

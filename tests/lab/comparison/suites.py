# SPDX-License-Identifier: GPL-2.0-only
"""Small results to compare: a word a test."""

from __future__ import annotations

from collections.abc import Mapping

from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status

_WORDS = {each.value: each for each in Status}


def suite(
    claims: Mapping[str, str], name: str = "kvm_immediate_exit", kernel: str = "6.1"
) -> FoundSuite:
    """Of `{claim: "passed failed no_smm"}`: what is no status is the reason of a skip."""
    return FoundSuite(
        name,
        tuple(
            FoundClaim(
                claim,
                "",
                tuple(
                    _test(f"{claim}.t{number}", word) for number, word in enumerate(words.split())
                ),
            )
            for claim, words in claims.items()
        ),
        {"kernel": kernel, "tier": "hardware"},
    )


def _test(name: str, word: str) -> FoundTest:
    if word in _WORDS:
        return FoundTest(name, _WORDS[word], message="" if word == "passed" else f"it {word}")
    return FoundTest(name, Status.SKIPPED, word, "this host has none")

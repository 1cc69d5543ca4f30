# SPDX-License-Identifier: GPL-2.0-only
"""Kicks and races: the Python face of the engine in native/kick/.

plan          what to do: protocol, delivery, schedule, shape
slots         which processors a race may have for itself
engine        runs plans on guests
realtime      whether a kicker may have a realtime priority
summary       what came of it: counts, histograms, rounds
verdict       held, lost, late or inconclusive, and the sentence
budget        how many kicks
race          races on one guest, with their controls
race_process  a race in a process of its own
"""

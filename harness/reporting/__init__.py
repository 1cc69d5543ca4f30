# SPDX-License-Identifier: GPL-2.0-only
"""How a conformance run is chosen, recorded and told: parts of one pytest plugin.

``plugin`` is the entry; it loads the others. They act on tests under ``suites/`` only.

========== ===========================================================================
identity    the result id of a test, from its node id
selection   which claims and suites a run has, from the words on the command line
markers     the markers ``claim`` and ``arch``, checks at collection, deselection
variants    each test once, where a host cannot afford it in each mode
plan        what will run, told by the processes that collect to the one that records
environment what this host is, on every test
proof       whether it was the kernel that ended the process of a test
asserting   that assertions assert, and have words
results     one result a test, put together from pytest's reports
last_words  what the harness wrote before it ended its process
journal     results as JSON lines: writer and reader
recorder    from pytest's hooks to results and journal
output      streams that nobody may read any more
verdict     what the results say about each claim, and the text of it
========== ===========================================================================
"""

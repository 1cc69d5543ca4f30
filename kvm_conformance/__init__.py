# SPDX-License-Identifier: GPL-2.0-only
"""The one name of an installed conformance suite.

The wheel has everything that a run needs below ``kvm_conformance/tree``, laid out as in a
checkout (setup.py puts it there), so no other name can meet that of another package. In a checkout
the tree is the checkout itself.
"""

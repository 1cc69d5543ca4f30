// SPDX-License-Identifier: GPL-2.0-only
// The byte wins over a wrong argument.

@byte@
identifier member;
@@
  READ_ONCE(vcpu->run->member)

@@
identifier byte.member;
@@
  r = -EINVAL;
- if (arg)
+ if (arg && !(READ_ONCE(vcpu->run->member)))
    goto out;

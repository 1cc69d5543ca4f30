// SPDX-License-Identifier: GPL-2.0-only
// A host interrupt that takes the guest out is served, and the guest is entered without a look at signals.
@served@
@@
-		if (unlikely(kvm_vcpu_exit_request(vcpu))) {
+		local_irq_enable();
+		cpu_relax();
+		local_irq_disable();
+		if (unlikely(need_resched() || kvm_request_pending(vcpu))) {
 			exit_fastpath = EXIT_FASTPATH_EXIT_HANDLED;
 			break;
 		}

@@
identifier svm;
@@
 svm_vcpu_run(...)
 {
 <+...
 struct vcpu_svm *svm = ...;
 ...
- return svm_exit_handlers_fastpath(vcpu);
+ return svm->vmcb->control.exit_code == SVM_EXIT_INTR ? EXIT_FASTPATH_REENTER_GUEST :
+		svm_exit_handlers_fastpath(vcpu);
 ...+>
 }

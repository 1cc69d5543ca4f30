// SPDX-License-Identifier: GPL-2.0-only
// A second mapping of kvm_run is a copy of it.
@@
@@
+if (vmf->pgoff == 0 && page_count(page) > 1) {
+	vmf->page = alloc_page(GFP_KERNEL);
+	if (!vmf->page)
+		return VM_FAULT_OOM;
+	copy_page(page_address(vmf->page), vcpu->run);
+	return 0;
+}
+vmf->page = page;
 get_page(page);
-vmf->page = page;
 return 0;

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// packTree makes an archive of a tree and compresses it: gzip or zstd. The size is the archive's own.
func packTree(tree, file, compression string) (plain int64, err error) {
	packer := map[string]string{"gzip": "gzip -6", "zstd": "zstd -q -3 -T0"}[compression]
	script := fmt.Sprintf("set -o pipefail; tar -c --format=posix --numeric-owner --sort=name -C %q . | tee >(wc -c >%q.size) | %s >%q", tree, file, packer, file)
	if output, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("packing: %w: %s", err, output)
	}
	time.Sleep(100 * time.Millisecond) // wc ends by itself
	text, err := os.ReadFile(file + ".size")
	if err == nil {
		_, err = fmt.Sscan(string(text), &plain)
	}
	return plain, err
}

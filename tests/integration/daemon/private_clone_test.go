// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"clonefs/tests/gotool/harness"
)

// configFile is a configuration with lines of the section [snapshots].
func configFile(t *testing.T, lines string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clonefs.toml")
	must(t, os.WriteFile(file, []byte("[snapshots]\n"+lines+"\n"), 0o600))
	return file
}

func TestPrivateCloneViewIsWritableAndNobodyElseSees(t *testing.T) {
	d, s := start(t, "--config", configFile(t, `view = "private-clone"`))
	base := harness.Files{"a": "base a"}
	must(t, s.Layer("base", "", base))
	look, err := s.View("look", "base")
	must(t, err)
	if err := harness.SameFiles(look, base); err != nil {
		t.Error(err)
	}
	must(t, harness.Files{"a": "changed", "b": "new"}.Write(look))
	other, err := s.View("other", "base")
	must(t, err)
	if err := harness.SameFiles(other, base); err != nil {
		t.Error(err)
	}
	must(t, s.Remove("look"))
	must(t, s.Remove("other"))
	must(t, s.Remove("base"))
	d.AwaitTrees(t, nil)
}

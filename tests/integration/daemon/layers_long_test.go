// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"clonefs/tests/gotool/harness"
	"clonefs/tests/gotool/layer"
)

// A chain that is longer than any image's, of layers of which each has a file whose path is longer than the system takes.
func TestALongChainOfLayersWithLongPaths(t *testing.T) {
	harness.NeedRoot(t)
	m := startImages(t, "", "")
	deep := strings.Repeat(strings.Repeat("d", 250)+"/", 20)
	parent := ""
	for i := 0; i < 200; i++ {
		name := numbered("layer", i)
		entries := []*layer.Entry{fileOf(deep + name), fileOf(name)}
		if i > 0 {
			entries = append(entries, fileOf(deep+".wh."+parent))
		}
		_, err := m.s.Prepare(stepKey(name), parent)
		must(t, err)
		stream := (&layer.Layer{Entries: entries}).Archive(false)
		m.applied(t, ociLayer+"+gzip", layer.Packing{Kind: layer.Gzip}.Pack(stream), stream, stepKey(name))
		must(t, m.s.Commit(name, stepKey(name)))
		parent = name
	}
	awaitLayers(t, m.d, 199)
	for _, top := range []int{100, 150, 198, 199} {
		a, err := m.s.View(fmt.Sprint("view", top), numbered("layer", top))
		must(t, err)
		b, err := m.s.Prepare(fmt.Sprint("active", top), numbered("layer", top))
		must(t, err)
		diff, err := m.s.Prepare(fmt.Sprint("again", top), numbered("layer", top))
		must(t, err)
		for _, dir := range []string{a, b, diff} {
			got, err := exec.Command("sh", "-c", "cd "+dir+" && find . | wc -l && ls | wc -l && cd "+strings.Repeat("d", 250)+" && find . -type f | sed 's,.*/,,'").CombinedOutput()
			must(t, err)
			want := fmt.Sprintf("%d\n%d\n%s\n", top+23, top+2, numbered("layer", top))
			equal(t, dir, string(got), want)
		}
	}
}

package deptest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	proof    = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)\\w+)`")
)

// A threat is a row of the threat model.
type threat struct {
	what   string
	cells  int
	proofs []string // package.Test
}

// threats are the rows of the tables below "## Threat model".
func threats(doc string) []threat {
	_, model, _ := strings.Cut(doc, "\n## Threat model\n")
	model, _, _ = strings.Cut(model, "\n## ")
	var out []threat
	for line := range strings.Lines(model) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| who") || strings.HasPrefix(line, "| ---") {
			continue
		}
		th := threat{what: strings.TrimSpace(cells[min(1, len(cells)-1)]), cells: len(cells)}
		for _, m := range proof.FindAllStringSubmatch(cells[len(cells)-1], -1) {
			th.proofs = append(th.proofs, m[1]+"."+m[2])
		}
		out = append(out, th)
	}
	return out
}

// What SECURITY.md says about an attack is held by a test, which it names.
func TestEveryThreatIsHeldByATest(t *testing.T) {
	have := map[string]bool{}
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles, p.IgnoredGoFiles) {
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range testFunc.FindAllSubmatch(src, -1) {
				have[path.Base(p.ImportPath)+"."+string(m[1])] = true
			}
		}
	}
	doc := documents(t)[filepath.Join(root(t), "SECURITY.md")]
	list := threats(doc)
	if len(list) < 30 {
		t.Errorf("the threat model has only %d rows", len(list))
	}
	for _, th := range list {
		if th.cells != 4 {
			t.Errorf("%q: %d cells, want who, what, what stops it, tests", th.what, th.cells)
		}
		if len(th.proofs) == 0 {
			t.Errorf("%q: no test is named", th.what)
		}
	}
	for _, m := range proof.FindAllStringSubmatch(doc, -1) {
		if !have[m[1]+"."+m[2]] {
			t.Errorf("SECURITY.md names %s.%s, which does not exist", m[1], m[2])
		}
	}
}

func TestThreatsAreRead(t *testing.T) {
	got := threats("x\n## Threat model\n| who | what | why | test |\n| --- | --- | --- | --- |\n| a | b | c | `p.TestX`, `q.FuzzY` |\n| a | d | `p.TestZ` | none |\n\n## Next\n| a | e | c | `p.TestX` |\n")
	if len(got) != 2 || got[0].what != "b" || strings.Join(got[0].proofs, " ") != "p.TestX q.FuzzY" || got[1].what != "d" || got[1].proofs != nil || got[1].cells != 4 {
		t.Errorf("%+v", got)
	}
}

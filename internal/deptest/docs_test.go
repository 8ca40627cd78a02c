package deptest

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are the Markdown files of the repository that people write.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(name) != "THIRD-PARTY.md" { // texts of others
				docs[name] = string(b)
			}
		}
	}
	if len(docs) < 5 {
		t.Fatalf("only %d documents", len(docs))
	}
	return docs
}

// The drawing in docs/architecture.md has every folder.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	doc := documents(t)[filepath.Join(root(t), "docs", "architecture.md")]
	for _, p := range packages(t) {
		leaf := path.Base(p.ImportPath)
		named := regexp.MustCompile("`([a-z0-9/]*/)?" + regexp.QuoteMeta(leaf) + "`")
		if !named.MatchString(doc) {
			t.Errorf("docs/architecture.md does not name %s", p.ImportPath)
		}
	}
}

var (
	link       = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	makeUse    = regexp.MustCompile("(?m)(?:^    |`)make ([a-z-]+)")
	commandUse = regexp.MustCompile("(?m)(?:^    |`)(?:bin/)?busybridge ([a-z]+)")
)

// What a document tells to open or to run is there.
func TestDocumentsNameWhatExists(t *testing.T) {
	dir := root(t)
	makefile, err := os.ReadFile(filepath.Join(dir, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "cmd", "busybridge", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]bool{"completion": true, "help": true} // cobra's own
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`Use:\s+"([a-z]+)`).FindAllSubmatch(b, -1) {
			commands[string(m[1])] = true
		}
	}
	if len(commands) < 5 {
		t.Fatalf("only the commands %v", commands)
	}
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", filepath.Base(name), m[1], err)
			}
		}
		for _, m := range makeUse.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: there is no make %s", filepath.Base(name), m[1])
			}
		}
		for _, m := range commandUse.FindAllStringSubmatch(text, -1) {
			if !commands[m[1]] {
				t.Errorf("%s: there is no busybridge %s", filepath.Base(name), m[1])
			}
		}
	}
}

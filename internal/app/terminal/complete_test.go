package terminal

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/ps/interp"
)

// choose does what the editor does with a chosen item: it cuts as many characters before the cursor as the prefix has
// bytes, and inserts the item. Items that do not begin with the prefix it does not show.
func (m menu) choose(t *testing.T, i int) string {
	t.Helper()
	if !strings.HasPrefix(m.items[i].Text, m.prefix) {
		t.Fatalf("item %q is not shown: prefix %q", m.items[i].Text, m.prefix)
	}
	before := []rune(m.line[:m.cursor])
	return string(before[:len(before)-len(m.prefix)]) + m.items[i].Text + m.line[m.cursor:]
}

func proposals(start, end int, texts ...string) interp.Completion {
	c := interp.Completion{Start: start, End: end}
	for _, t := range texts {
		c.Items = append(c.Items, interp.CompletionItem{Text: t, Label: t})
	}
	return c
}

func TestMenu(t *testing.T) {
	for _, tc := range []struct {
		name string
		line string // ^ is the cursor
		c    interp.Completion
		want []string // the line before a choice, then after each
	}{
		{"shared part in its own case", "get-m^", proposals(0, 5, "Get-Mailbox", "Get-MailUser"), []string{"Get-Mail^", "Get-Mailbox", "Get-MailUser"}},
		{"only one", "x | sel^", proposals(4, 7, "Select-Object"), []string{"x | Select-Object^", "x | Select-Object"}},
		{"nothing typed", "$x.^", proposals(3, 3, "Name", "Count"), []string{"$x.^", "$x.Name", "$x.Count"}},
		{"nothing typed behind a blank", "cd ^ -x", proposals(3, 3, `C:\`, "a"), []string{"cd ^ -x", `cd C:\ -x`, "cd a -x"}},
		{"empty line", "^", proposals(0, 0, "a", "b"), []string{"^", "a", "b"}},
		{"empty part at the start of a line", "^ 5", proposals(0, 0, "a", "b"), []string{"^ 5"}},
		{"the rest of the word goes", "get-m^x 1", proposals(0, 6, "Get-Member", "Get-Module"), []string{"Get-M^ 1", "Get-Member 1", "Get-Module 1"}},
		{"a quoted one", "cd a^", proposals(3, 4, `'a b'`, "ab"), []string{`cd 'a^`, `cd 'a b'`, `cd 'ab'`}},
		{"wildcard", "*-x^", proposals(0, 3, "Get-X", "Set-X"), []string{"^", "Get-X", "Set-X"}},
		{"not ASCII", "cd Kü^", proposals(3, 6, "Küche", "kühl"), []string{"cd Kü^", "cd Küche", "cd Kühl"}},
		{"not ASCII before", "'ü'; $x.ä^", proposals(9, 11, "ära", "Ärger"), []string{"'ü'; $x.är^", "'ü'; $x.ära", "'ü'; $x.ärger"}},
		{"second line", "{\n^", proposals(2, 2, "a", "b"), []string{"{\n^", "{\na", "{\nb"}},
		{"no proposals", "abc^", interp.Completion{Start: 3, End: 3}, []string{"abc^"}},
		{"a place outside", "abc^", proposals(2, 9, "x"), []string{"abc^"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := strings.IndexByte(tc.line, '^')
			line := tc.line[:at] + tc.line[at+1:]
			m := newMenu(line, at, tc.c)
			got := []string{m.line[:m.cursor] + "^" + m.line[m.cursor:]}
			for i := range m.items {
				got = append(got, m.choose(t, i))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is proposed for whatever line, a choice replaces just the part it is for, by what was proposed, but for case
// and quotes.
func FuzzMenu(f *testing.F) {
	f.Add("get-m 1", 5, 0, 5, "Get-Mailbox", "get-MailUser")
	f.Add("cd Kü", 6, 3, 6, "Küche", "'Kü che'")
	f.Add("$x.", 3, 3, 3, "ä", "b")
	f.Add("{\n ", 3, 3, 3, "", "b")
	f.Fuzz(func(t *testing.T, line string, at, start, end int, a, b string) {
		for _, s := range []string{line, a, b} {
			if !utf8.ValidString(s) {
				t.Skip("a line editor has characters only")
			}
		}
		cut := func(i int) bool { return i < 0 || i > len(line) || i < len(line) && !utf8.RuneStart(line[i]) }
		if cut(at) || cut(start) || cut(end) {
			t.Skip("not a place between characters")
		}
		m := newMenu(line, at, proposals(start, end, a, b))
		for i, it := range m.items {
			got := m.choose(t, i)
			text, ok := strings.CutPrefix(got, line[:start])
			text, ok2 := strings.CutSuffix(text, line[end:])
			trim := func(s string) string { return strings.Trim(s, `'"`) }
			if !ok || !ok2 || !strings.EqualFold(trim(text), trim([]string{a, b}[i])) {
				t.Errorf("%q [%d,%d) at %d: item %d %q (prefix %q) gives %q", line, start, end, at, i, it.Text, m.prefix, got)
			}
		}
	})
}

func TestFit(t *testing.T) {
	for _, tc := range []struct {
		n, width, rows, kept, left int
		help                       bool
	}{
		{5, 80, 5, 5, 0, true},
		{6, 80, 5, 6, 0, false},
		{100, 80, 5, 25, 75, false}, // 5 columns of 16
		{100, 8, 5, 5, 95, false},
		{100, 0, -2, 3, 97, false},
	} {
		items := make([]interp.CompletionItem, tc.n)
		for i := range items {
			items[i] = interp.CompletionItem{Label: "Get-Thing012", Help: "help"}
		}
		kept, left := fit(items, tc.width, tc.rows)
		if len(kept) != tc.kept || left != tc.left || (kept[0].Help != "") != tc.help || items[0].Help == "" {
			t.Errorf("%d items on %d x %d: %d and %d left, help %q", tc.n, tc.width, tc.rows, len(kept), left, kept[0].Help)
		}
	}
}

func TestQuoteAlike(t *testing.T) {
	in := proposals(0, 0, "a", `"b c"`, "").Items
	var got []string
	for _, it := range quoteAlike(in) {
		got = append(got, it.Text)
	}
	if want := []string{`"a"`, `"b c"`, `""`}; !slices.Equal(want, got) || in[0].Text != "a" {
		t.Errorf("%q from %v", got, in)
	}
}

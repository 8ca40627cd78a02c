package diagnose_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/diagnose"
)

func at() time.Time { return time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC) }

// docs/diagnose.md has a section for each failure, in the order of the hops, and
// no other; its table names each hop.
func TestThePageHasEveryFailure(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "diagnose.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^### ([a-z-]+)$`).FindAllSubmatch(page, -1) {
		got = append(got, string(m[1]))
	}
	var want []string
	for _, k := range diagnose.Kinds() {
		want = append(want, string(k))
		if k.Title() == string(k) || k.Hop() < 1 {
			t.Errorf("%s has no title or no hop", k)
		}
		if !strings.Contains(string(page), k.Title()) {
			t.Errorf("the page does not say %q", k.Title())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("sections of docs/diagnose.md (-want +got):\n%s", d)
	}
	for h := diagnose.Hop(1); int(h) <= diagnose.Hops; h++ {
		if !strings.Contains(string(page), "| "+h.String()+" |") {
			t.Errorf("the table of the page lacks the hop %s", h)
		}
	}
}

func TestFailJudgesTheHopsAround(t *testing.T) {
	r := diagnose.New("alice@contoso.com", "kim@contoso.com", at())
	r.Skip(diagnose.Autodiscover)
	r.Warn(diagnose.Metadata, "old")
	r.Fail(diagnose.Failure{Kind: diagnose.PartnerDisabled})
	var got []diagnose.Verdict
	for _, s := range r.Steps {
		got = append(got, s.Verdict)
	}
	p, n := diagnose.Passed, diagnose.NotReached
	want := []diagnose.Verdict{p, p, p, diagnose.Warned, p, p, p, p, p, p, diagnose.Failed, diagnose.NotApplicable, n, n, n}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, want := r.Failure.More, "docs/diagnose.md#partner-disabled"; got != want {
		t.Errorf("More is %q, want %q", got, want)
	}
}

// What the other side says is shown as text, in one line, and a token in it not at all.
func TestWhatOthersSayIsTamed(t *testing.T) {
	r := diagnose.New("alice@contoso.com", "kim@contoso.com", at())
	r.Fact(diagnose.Challenge, "realm", "a\nb\u202e <script>alert(1)</script> eyJhbGciOiJub25lIn0.eyJhIjoxfQ.sig")
	r.Fail(diagnose.Failure{Kind: diagnose.TokenRefused, Said: "<b>no</b>\r\n eyJhbGciOiJub25lIn0.eyJhIjoxfQ."})
	var text, page, doc strings.Builder
	if err := r.Text(&text, true); err != nil {
		t.Fatal(err)
	}
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := r.JSON(&doc); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{"text": text.String(), "page": page.String(), "JSON": doc.String()} {
		for _, bad := range []string{"eyJ", "\u202e", "a\nb"} {
			if strings.Contains(s, bad) {
				t.Errorf("%s holds %q:\n%s", name, bad, s)
			}
		}
	}
	if strings.Contains(page.String(), "<script>") || strings.Contains(page.String(), "<b>") {
		t.Error("the page takes tags from others")
	}
	if !strings.Contains(text.String(), "Said:   <b>no</b> <redacted>") {
		t.Errorf("the text is\n%s", text.String())
	}
}

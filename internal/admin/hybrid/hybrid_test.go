package hybrid_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/admin/hybrid"
	"busybridge/internal/directory"
)

func TestParse(t *testing.T) {
	d, err := hybrid.Parse([]byte(hybrid.Example))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"*.contoso.com"}; !slices.Equal(d.Here.ServicePrincipalNames, want) {
		t.Errorf("service principal names %v, want %v", d.Here.ServicePrincipalNames, want)
	}
	const direct = "trust: direct\nhere:\n  domains: [contoso.com]\n  autodiscover: https://autodiscover.contoso.com/autodiscover/autodiscover.svc\n  ews: https://contoso.com/ews/exchange.asmx\n" +
		"there:\n  domains: [fabrikam.com]\n  autodiscover: https://mail.fabrikam.com/autodiscover/autodiscover.svc\n  ews: https://mail.fabrikam.com/ews/exchange.asmx\n"
	if d, err = hybrid.Parse([]byte(direct)); err != nil {
		t.Fatal(err)
	}
	// The wildcard does not cover the apex.
	if want := []string{"*.contoso.com", "contoso.com"}; !slices.Equal(d.Here.ServicePrincipalNames, want) {
		t.Errorf("service principal names %v, want %v", d.Here.ServicePrincipalNames, want)
	}
	if want := "https://mail.fabrikam.com/autodiscover/metadata/json/1"; d.There.Document != want {
		t.Errorf("document %s, want %s", d.There.Document, want)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown key", "trust: oauth", "trust: oauth\nwhat: 1", "field what not found"},
		{"an edition that does not exist", `"2014"`, `"2030"`, `edition: "2030"`},
		{"a cloud that does not exist", "21vianet", "moon", `cloud: "moon"`},
		{"plain http", "ews: https://mail", "ews: http://mail", "here.ews"},
		{"a quote in an address", "asmx\n  mailbox", "asmx?'\n  mailbox", "there.ews"},
		{"no domain", "[contoso.com]", "[]", "here.domains"},
		{"a domain that is none", "[contoso.com]", "['con toso']", "here.domains"},
		{"a level that does not exist", "old_servers: true", "level: Everything", "here.level"},
		{"a mailbox that is no address", "alice@contoso.com", "alice", "here.mailbox"},
		{"an id that is none", "trust: oauth", "application_id: x", "application_id"},
		{"direct trust in an edition", "trust: oauth", "trust: direct", "trust: direct needs neither"},
	} {
		text := strings.Replace(hybrid.Example, c.old, c.new, 1)
		if c.name == "an id that is none" {
			text = strings.Replace(text, `"2014"`, `"2025"`, 1)
		}
		if _, err := hybrid.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(hybrid.Example))
	f.Add([]byte(strings.NewReplacer("trust: oauth", "trust: direct", `edition: "2014"`, "", "cloud: 21vianet", "", "tenant: contoso.partner.onmschina.cn", "",
		"old_servers: true", "fingerprint: 1").Replace(hybrid.Example)))
	f.Add([]byte(strings.Replace(hybrid.Example, `edition: "2014"`, "edition: \"2025\"\napplication: \"it's\"", 1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := hybrid.Parse(b)
		if err != nil {
			return
		}
		// What is asked for can be planned, and every command is one line.
		for _, s := range d.Plan(&hybrid.State{HereKeys: d.Here.Fingerprint, ThereKeys: d.There.Fingerprint}).Steps {
			for _, c := range s.Commands {
				if strings.ContainsAny(c, "\r\n") {
					t.Errorf("a command of two lines: %q", c)
				}
			}
		}
	})
}

// TestPlanOfUnknownSides: nothing can be read, so everything is told.
func TestPlanOfUnknownSides(t *testing.T) {
	for edition, want := range map[string]int{hybrid.Edition2014: 7, hybrid.Edition2025: 11, hybrid.Edition2026: 13} {
		d, err := hybrid.Parse([]byte(strings.Replace(hybrid.Example, `"2014"`, `"`+edition+`"`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		p := d.Plan(&hybrid.State{})
		if len(p.Steps) != want || len(p.Foreign()) != want || len(p.Conflicts) != 0 {
			t.Errorf("%s: %d steps, %d foreign, want %d; %v", edition, len(p.Steps), len(p.Foreign()), want, p.Conflicts)
		}
		var b strings.Builder
		if _, err := p.WriteTo(&b); err != nil || !strings.Contains(b.String(), "as for a fresh one") {
			t.Errorf("%v: %s", err, b.String())
		}
	}
}

// TestConflicts: what an administrator has to decide.
func TestConflicts(t *testing.T) {
	d, err := hybrid.Parse([]byte(hybrid.Example))
	if err != nil {
		t.Fatal(err)
	}
	o := &directory.Organization{
		AuthServers:   []directory.AuthServer{{Common: directory.Common{Name: "microsoftazureacs"}, AuthMetadataURL: "https://accounts.fabrikam.com/x/metadata/json/1"}},
		AddressSpaces: []directory.AvailabilityAddressSpace{{ForestName: "contoso.partner.mail.onmschina.cn", AccessMethod: "OrgWideFB"}},
		Connectors: []directory.IntraOrganizationConnector{
			{Common: directory.Common{Name: "ExchangeHybridOnPremisesToOnline"}}, {Common: directory.Common{Name: "Other"}, TargetAddressDomains: []string{"contoso.partner.mail.onmschina.cn"}}},
	}
	p := d.Plan(&hybrid.State{Here: o})
	for i, want := range []string{"authorization server", "connectors", "address space"} {
		if len(p.Conflicts) != 3 || !strings.Contains(p.Conflicts[i], want) {
			t.Fatalf("conflicts %q, want one of each kind", p.Conflicts)
		}
	}
	if p.Done() {
		t.Error("a plan with conflicts is done")
	}
}

func TestJournalFile(t *testing.T) {
	f := hybrid.JournalFile(filepath.Join(t.TempDir(), "journal.json"))
	j, err := f.Read()
	if err != nil || len(j.Changes) != 0 || j.Pending != nil {
		t.Fatalf("no file: %+v, %v", j, err)
	}
	j.Pending = &hybrid.JournalChange{Step: "article step 6"}
	j.Pending.Kind, j.Pending.Before = "AuthServer", json.RawMessage(`{"a":"<&>"}`)
	if err := f.Write(j); err != nil {
		t.Fatal(err)
	}
	got, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	var was, is any
	if err := json.Unmarshal(j.Pending.Before, &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(got.Pending.Before, &is); err != nil || cmp.Diff(was, is) != "" || got.Pending.Step != j.Pending.Step {
		t.Errorf("read %+v, %v", got.Pending, err)
	}
	if info, err := os.Stat(string(f)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := f.Write(&hybrid.Journal{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(f)); !os.IsNotExist(err) {
		t.Errorf("an empty journal has a file: %v", err)
	}
	if err := os.WriteFile(string(f), []byte(`{"changes": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(); err == nil {
		t.Error("a broken journal is read")
	}
}

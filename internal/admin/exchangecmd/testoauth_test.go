package exchangecmd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busybridge/internal/admin"
	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/directory"
	"busybridge/internal/ps/format"
	"busybridge/internal/ps/interp"
	"busybridge/internal/spec/smtpaddr"
)

// A tester writes two lines and answers what it was told.
type tester struct {
	asked []exchangecmd.OAuthTest
	rep   exchangecmd.OAuthReport
	err   error
}

func (f *tester) TestOAuth(_ context.Context, _ admin.Actor, _ *directory.Organization, t exchangecmd.OAuthTest) (exchangecmd.OAuthReport, error) {
	for _, l := range []string{"Exchange Outbound Oauth Log:", "Information:[OAuthCredentials:Authenticate] entering"} {
		t.Log(l)
	}
	t.Log = nil
	f.asked = append(f.asked, t)
	return f.rep, f.err
}

// withTester is a shell that has Test-OAuthConnectivity, and a mailbox alice.
func withTester(t *testing.T, hosted bool) (*world, *tester) {
	t.Helper()
	w, f := newWorld(t, hosted, map[string]any{}), &tester{rep: exchangecmd.OAuthReport{Detail: "first\nsecond", Success: true}}
	if _, err := w.admin.NewMailbox(t.Context(), system, w.org, admin.MailboxParams{Name: "alice", Primary: "alice@contoso.com", Type: directory.SharedMailbox, TimeZone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.admin.NewMailUser(t.Context(), system, w.org, admin.MailUserParams{Name: "kim", Primary: "kim@contoso.com", ExternalAddress: "kim@fabrikam.com"}); err != nil {
		t.Fatal(err)
	}
	cfg := exchangecmd.Config{Admin: w.admin, Org: w.org, Hosted: hosted, Server: "dc-01.contoso.com", Now: func() time.Time { return now }, OAuth: f,
		Actor: func(context.Context) (admin.Actor, error) { return w.actor, w.gone }}
	if hosted {
		cfg.RunspaceID = "351e931b-be37-4ec6-a819-3cdf611f8ca4"
	}
	commands, err := exchangecmd.Commands(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.session, err = interp.New(interp.Config{
		Commands: commands, Now: cfg.Now, Width: 120, Formatter: &format.Formatter{Views: exchangecmd.Views()},
		Streams: interp.Streams{Error: w.note, Warning: w.note, Verbose: w.note, Information: w.note},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, f
}

const oauthTest = "Test-OAuthConnectivity -Service EWS -TargetUri https://partner.outlook.cn/ews/exchange.asmx"

// The tail of the list is the article's acceptance criterion.
func TestTestOAuthConnectivityShows(t *testing.T) {
	w, f := withTester(t, false)
	want := `VERBOSE: Exchange Outbound Oauth Log:
VERBOSE: Information:[OAuthCredentials:Authenticate] entering


Task        : Checking EWS API Call Under Oauth
Detail      : first
              second
ResultType  : Success
Identity    : Microsoft.Exchange.Security.OAuth.ValidationResultNodeId
IsValid     : True
ObjectState : New



`
	if d := cmp.Diff(want, w.run(oauthTest+" -Mailbox alice@contoso.com -Verbose | fl")); d != "" {
		t.Error(d)
	}
	if len(f.asked) != 1 || f.asked[0].Mailbox == nil || f.asked[0].Mailbox.Primary != smtpaddr.Must("alice@contoso.com") {
		t.Errorf("%+v", f.asked)
	}

	f.rep = exchangecmd.OAuthReport{Detail: "log\n\nCause: c", Cause: "c", Warnings: []string{"No enabled connector."}}
	if got := w.run(`$r = ` + oauthTest + `; $r.ResultType -eq "Error"; $r.ResultType.Value; $r.Detail.FullId.Length; $r.Detail.LocalizedString -eq $r.Detail; $r.Task`); got !=
		"WARNING: No enabled connector.\nTrue\nError\n13\nTrue\nChecking EWS API Call Under Oauth\n" {
		t.Errorf("%s", got)
	}
	w, _ = withTester(t, true)
	if got := w.run(oauthTest + " | fl | Out-String"); !strings.HasPrefix(strings.TrimSpace(got), "RunspaceId  : 351e931b-be37-4ec6-a819-3cdf611f8ca4\nTask ") {
		t.Errorf("in a remote session:\n%s", got)
	}
}

func TestTestOAuthConnectivityAsks(t *testing.T) {
	w, f := withTester(t, false)
	for text, want := range map[string]exchangecmd.OAuthTest{
		oauthTest: {Service: "EWS"},
		"Test-OAuthConnectivity -Service autod -TargetUri https://partner.outlook.cn/ews/exchange.asmx -AppOnly":  {Service: "AutoD", AppOnly: true},
		"Test-OAuthConnectivity -Service 2 -TargetUri https://partner.outlook.cn/ews/exchange.asmx -ReloadConfig": {Service: "Generic", ReloadConfig: true},
		oauthTest + " -UseCachedToken -Mailbox alice":                                                             {Service: "EWS", UseCachedToken: true},
		oauthTest + " -Mailbox kim@contoso.com":                                                                   {Service: "EWS"}, // a mail user: the article's second line names a mailbox of the other side
	} {
		f.asked = nil
		got := w.run(text)
		want.TargetURI = "https://partner.outlook.cn/ews/exchange.asmx"
		if len(f.asked) != 1 {
			t.Errorf("%s: asked %d times: %s", text, len(f.asked), got)
			continue
		}
		if d := cmp.Diff(want, f.asked[0], cmpopts.IgnoreFields(exchangecmd.OAuthTest{}, "Log", "Mailbox")); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	for _, tt := range []struct{ as, text, want string }{
		{"admin", oauthTest + " -Mailbox nobody@contoso.com", "The operation couldn't be performed because object 'nobody@contoso.com' couldn't be found on 'dc-01.contoso.com'."},
		{"admin", "Test-OAuthConnectivity -Service SMTP -TargetUri https://partner.outlook.cn", `"EWS,AutoD,Generic"`},
		{"admin", oauthTest + " -WhatIf", `What if: Testing OAuth connectivity of the service EWS at "https://partner.outlook.cn/ews/exchange.asmx".`},
		{"viewer", oauthTest, "CmdletAccessDeniedException"},
		{"nobody", oauthTest + " -WhatIf", "CmdletAccessDeniedException"},
	} {
		w.become(tt.as)
		f.asked = nil
		if got := w.run(tt.text); !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(tt.want), " ")) || len(f.asked) != 0 {
			t.Errorf("%s: %s: asked %d times, shows\n%s", tt.as, tt.text, len(f.asked), got)
		}
	}
	w.become("admin")
	f.err = errors.New("the test could not be made")
	if got := w.run(oauthTest); !strings.Contains(got, "he test could not be made") || strings.Contains(got, "Task") {
		t.Errorf("%s", got)
	}
	f.err = nil
	// A preference may end the command at the first line of its log.
	if got := w.run(fmt.Sprintf("$VerbosePreference = 'Stop'; %s", oauthTest)); strings.Contains(got, "ObjectState") {
		t.Errorf("%s", got)
	}
}

// Who makes a shell without a tester has no such cmdlet.
func TestWithoutTester(t *testing.T) {
	w := newWorld(t, false, map[string]any{})
	if got := w.run(oauthTest); !strings.Contains(got, "is not recognized") {
		t.Errorf("%s", got)
	}
}

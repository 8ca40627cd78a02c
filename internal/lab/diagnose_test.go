package lab_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"busybridge/internal/app"
	"busybridge/internal/app/shell"
	"busybridge/internal/diagnose"
	"busybridge/internal/freebusy"
	"busybridge/internal/lab"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// A diagnosed is what a fault has to be called, and a part of the remedy.
type diagnosed struct {
	kind   diagnose.Kind
	hop    diagnose.Hop
	remedy string
	// outside is what it is called by who cannot look into the other side; "": kind.
	outside diagnose.Kind
}

var diagnoses = map[string]diagnosed{
	"missing-auth-server":          {diagnose.NoCommonIssuer, diagnose.Challenge, "New-AuthServer -Name 'MicrosoftAzureACS' -AuthMetadataUrl 'https://accounts.accesscontrol.chinacloudapi.cn/contoso.com/metadata/json/1'", ""},
	"disabled-partner-application": {diagnose.PartnerDisabled, diagnose.Acceptance, "| Set-PartnerApplication -Enabled $true", ""},
	"expired-certificate":          {diagnose.CertificateExpired, diagnose.Certificate, "Set-AuthConfig -CertificateThumbprint", ""},
	"wrong-key-credential":         {diagnose.OldUploaded, diagnose.Registration, "New-MsolServicePrincipalCredential -AppPrincipalId '00000002-", diagnose.NotUploaded},
	"missing-app-role":             {diagnose.RoleMissing, diagnose.Acceptance, "-Id dc890d15-9560-4a4c-9b7f-a736ec74ec40", ""},
	"missing-application":          {diagnose.SharedPrincipal, diagnose.Registration, "Set-AuthServer 'EvoSTS' -ApplicationIdentifier '", ""},
	"wrong-application":            {diagnose.ApplicationUnknown, diagnose.Token, "Set-AuthServer 'EvoSTS' -ApplicationIdentifier '", ""},
	"uncovered-domain":             {diagnose.SharedPrincipal, diagnose.Registration, "Set-AuthServer 'EvoSTS' -DomainName 'contoso.", ""},
	"missing-spn":                  {diagnose.SPNMissing, diagnose.Token, "ServicePrincipalNames.Add('00000002-0000-0ff1-ce00-000000000000/autodiscover.contoso.com')", ""},
	"missing-connector":            {diagnose.NoRoute, diagnose.Route, "-DiscoveryEndpoint 'https://partner.outlook.cn/autodiscover/autodiscover.svc' -TargetAddressDomains 'contoso.partner.mail.onmschina.cn'", ""},
	"stale-keys":                   {diagnose.KeysStale, diagnose.Acceptance, "-AuthMetadataUrl 'https://accounts.accesscontrol.chinacloudapi.cn/", ""},
	"disabled-entra":               {diagnose.IssuerUnknown, diagnose.Acceptance, "| Set-AuthServer -Enabled $true", ""},
	"not-in-allow-list":            {diagnose.EWSBlocked, diagnose.Permission, "Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs @{Add='", ""},
	"ews-disabled":                 {diagnose.EWSBlocked, diagnose.Permission, "Set-OrganizationConfig -EwsEnabled $true", ""},
	"missing-graph-role":           {diagnose.GraphRoleMissing, diagnose.Permission, "-Id 8ba4a692-bc31-4128-9094-475872af8a53", ""},
	"shared-principal-blocked":     {diagnose.EWSBlockedShared, diagnose.Permission, "New-MsolServicePrincipal -DisplayName 'ExchangeServerApp-Contoso'", ""},
	"ews-blocked":                  {diagnose.EWSBlocked, diagnose.Permission, "Set-AuthServer 'EvoSTS' -GraphBaseUrl 'https://microsoftgraph.chinacloudapi.cn'", ""},
	"missing-certificate":          {diagnose.CertificateMissing, diagnose.Certificate, "New-ExchangeCertificate", ""},
	"certificate-not-uploaded":     {diagnose.NotUploaded, diagnose.Registration, "-Type Asymmetric -Usage Verify -Value 'MII", ""},
	"ambiguous-user":               {diagnose.UserAmbiguous, diagnose.Acceptance, "Set-Mailbox 'alice@contoso.com' -UserPrincipalName 'alice@contoso.com'", ""},
	"unknown-user":                 {diagnose.UserUnknown, diagnose.Acceptance, "New-MailUser -Name 'Bob'", ""},
	"spn-apex":                     {diagnose.SPNApex, diagnose.Token, "ServicePrincipalNames.Add('00000002-0000-0ff1-ce00-000000000000/contoso.com')", ""},
	"pre-authentication":           {diagnose.PreAuthentication, diagnose.Challenge, "without pre-authentication", ""},
	"autodiscover-redirects":       {diagnose.PreAuthentication, diagnose.Challenge, "without pre-authentication", ""},
	"endpoint-unreachable":         {diagnose.Unreachable, diagnose.Connection, "-DiscoveryEndpoint 'https://autodiscover.contoso.com/autodiscover/autodiscover.svc'", ""},
	"tls-name":                     {diagnose.TLSName, diagnose.Connection, "-DiscoveryEndpoint 'https://autodiscover.contoso.com/autodiscover/autodiscover.svc'", ""},
	"tls-version":                  {diagnose.TLSVersion, diagnose.Connection, "-DiscoveryEndpoint 'https://autodiscover.contoso.com/autodiscover/autodiscover.svc'", ""},
	"clock-off":                    {diagnose.ClockOff, diagnose.Token, "set the wrong clock", ""},
	"autodiscover-elsewhere":       {diagnose.DiscoveryElsewhere, diagnose.Autodiscover, "-DiscoveryEndpoint 'https://partner.outlook.cn/autodiscover/autodiscover.svc'", ""},
	"ews-url-elsewhere":            {diagnose.Unreachable, diagnose.Endpoint, "Set-WebServicesVirtualDirectory -ExternalUrl", ""},
	"mailbox-unknown":              {diagnose.MailboxUnknown, diagnose.Permission, "Set-MailUser 'kim@contoso.com' -ExternalEmailAddress 'kim@contoso.partner.mail.onmschina.cn'", diagnose.NoAccess},
	"calendar-permission-none":     {diagnose.CalendarNone, diagnose.Permission, "-User Default -AccessRights AvailabilityOnly", diagnose.NoAccess},
	"relationship-level-none":      {diagnose.RelationshipNone, diagnose.Permission, "Set-OrganizationRelationship 'On premises' -FreeBusyAccessEnabled $true -FreeBusyAccessLevel LimitedDetails", diagnose.NoAccess},
	"late-answer":                  {diagnose.TooLate, diagnose.Answer, "client_request_id", ""},
	"too-many-entries":             {diagnose.TooMany, diagnose.Answer, "ask for fewer days at once", ""},
	"proxy-loop":                   {diagnose.ProxyLoop, diagnose.Autodiscover, "Set-MailUser 'kim@contoso.com' -ExternalEmailAddress 'kim@contoso.partner.mail.onmschina.cn'", ""},
}

// TestEveryFaultIsDiagnosedAndHealed breaks a world in every way, one after the
// other, asks, does what the diagnosis says in the shells that it names, and asks
// again until the question is answered.
func TestEveryFaultIsDiagnosedAndHealed(t *testing.T) {
	if testing.Short() {
		t.Skip("three worlds")
	}
	seen := map[string]bool{}
	for _, edition := range lab.Editions() {
		var w *patient
		for _, f := range lab.Faults() {
			if seen[f.Name] || !slices.Contains(f.Editions, edition) {
				continue
			}
			seen[f.Name] = true
			if w == nil {
				w = newPatient(t, edition)
			}
			if !t.Run(edition+"/"+f.Name, func(t *testing.T) { w.heals(t, f, diagnoses[f.Name]) }) {
				w.close(t) // what comes next gets a sound world
				w = nil
			}
		}
		if w != nil {
			w.close(t)
		}
	}
}

// A patient is a world that is broken and healed.
type patient struct {
	*lab.Lab
	shells map[string]*lab.Shell
	failed []string // what the shells complained of
}

func newPatient(t *testing.T, edition string) *patient {
	t.Helper()
	return startPatient(t, lab.Options{Edition: edition, Now: time.Now, Log: slog.New(slog.DiscardHandler), Out: io.Discard})
}

func startPatient(t *testing.T, o lab.Options) *patient {
	t.Helper()
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w := &patient{Lab: l, shells: map[string]*lab.Shell{}}
	if err := l.Join(t.Context()); err != nil {
		w.close(t)
		t.Fatal(err)
	}
	return w
}

func (w *patient) close(t *testing.T) {
	t.Helper()
	for _, s := range w.shells {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// heals breaks the world by a fault, and follows what the diagnosis says.
func (w *patient) heals(t *testing.T, f lab.Fault, want diagnosed) {
	if err := w.Break(t.Context(), f.Name); err != nil {
		t.Fatal(err)
	}
	defer w.Heal()
	q := app.Diagnosis{From: f.From, To: f.To}
	if f.Name == "late-answer" {
		q.Timeout = 500 * time.Millisecond
	}
	for n := range 4 {
		r, err := w.Diagnose(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.Text(&b, false); err != nil {
			t.Fatal(err)
		}
		w.keepsSecrets(t, r, b.String())
		if n == 0 {
			checkDiagnosis(t, r, want)
			w.fromOutside(t, q, want)
		}
		if t.Failed() {
			t.Log(b.String())
		}
		if r.Healthy {
			if n == 0 {
				t.Error("the fault breaks nothing")
			}
			return
		}
		switch {
		case f.Name == "too-many-entries": // the remedy is another question
			q.Window = freebusy.Window{Start: r.Start, End: r.Start.Add(r.End.Sub(r.Start) / 2)}
		case f.Outside:
			w.Heal()
			q.Timeout = 0
		default:
			w.apply(t, f.From, r.Failure.Remedies)
		}
	}
	t.Error("the remedies do not heal it")
}

// fromOutside asks again as who cannot look into the other side.
func (w *patient) fromOutside(t *testing.T, q app.Diagnosis, want diagnosed) {
	t.Helper()
	q.Others = []*app.Deployment{}
	r, err := w.Diagnose(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	kind := want.kind
	if want.outside != "" {
		kind = want.outside
	}
	if r.Failure == nil || r.Failure.Kind != kind || r.Failure.Hop != want.hop {
		t.Errorf("from outside it is %+v, want hop %d, %s", r.Failure, want.hop, kind)
	}
}

// keepsSecrets checks that no form of a report holds a token or a password.
func (w *patient) keepsSecrets(t *testing.T, r *diagnose.Report, text string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(text)
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"eyJ", "PRIVATE KEY"}
	for _, m := range w.File().Mailboxes {
		secrets = append(secrets, m.Password)
	}
	for _, a := range w.File().Administrators {
		secrets = append(secrets, a.Password)
	}
	for _, s := range secrets {
		if strings.Contains(b.String(), s) {
			t.Errorf("the report holds the secret %.5s…", s)
		}
	}
}

func checkDiagnosis(t *testing.T, r *diagnose.Report, want diagnosed) {
	t.Helper()
	switch f := r.Failure; {
	case f == nil:
		t.Errorf("no failure is named, want %s", want.kind)
	case f.Kind != want.kind || f.Hop != want.hop:
		t.Errorf("hop %d, %s; want hop %d, %s", f.Hop, f.Kind, want.hop, want.kind)
	default:
		for _, m := range f.Remedies {
			if strings.Contains(m.Text, want.remedy) || strings.Contains(strings.Join(m.Commands, "\n"), want.remedy) {
				return
			}
		}
		t.Errorf("no remedy says %q: %+v", want.remedy, f.Remedies)
	}
}

// apply types the commands of remedies into the shells of their places.
func (w *patient) apply(t *testing.T, from string, remedies []diagnose.Remedy) {
	t.Helper()
	here, there := "onprem", "cloud"
	if m, ok := w.File().Mailbox(from); ok && m.Org == "cloud" {
		here, there = there, here
	}
	place := map[string]string{diagnose.Here: here, diagnose.There: there, diagnose.Tenant: "directory"}
	for _, m := range remedies {
		for _, line := range m.Commands {
			w.run(t, place[m.Where], line)
		}
	}
}

func (w *patient) run(t *testing.T, org, line string) {
	t.Helper()
	s := w.shells[org]
	if s == nil {
		o := lab.ShellOptions{Org: org, User: lab.Operator, Screen: shell.Screen{
			Streams: interp.Streams{Error: func(v any) error { w.failed = append(w.failed, object.String(v)); return nil }},
			Credentials: func(context.Context, string, string) (*object.Credential, error) {
				a, ok := w.File().Administrator("cloud")
				if !ok {
					return nil, errors.New("the lab has no administrator of the cloud")
				}
				return &object.Credential{UserName: a.User, Password: object.NewSecureString(a.Password)}, nil
			},
		}}
		var err error
		if s, err = w.Shell(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		w.shells[org] = s
		if org == "directory" {
			w.run(t, org, "Connect-MsolService")
		}
	}
	w.failed = nil
	err := s.Session.Run(t.Context(), "", line, func(any) error { return nil })
	if err != nil || len(w.failed) > 0 {
		t.Errorf("%s: %s: %v %v", org, line, err, w.failed)
	}
}

// TestAHealthyPairIsDiagnosed asks both ways, from the old server, and at home: each
// hop holds, in less than two seconds, under one id in the logs of both sides and of
// the authorization server. The cmdlet says the same.
func TestAHealthyPairIsDiagnosed(t *testing.T) {
	var log syncBuffer
	w := startPatient(t, lab.Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)), Out: io.Discard})
	defer w.close(t)
	const limit = 2 * time.Second
	for _, tt := range []struct {
		from, to string
		applies  int // hops that are not skipped
	}{
		{"alice@contoso.com", "kim@contoso.com", 15},
		{"kim@contoso.com", "alice@contoso.com", 15},
		{"judy@contoso.com", "kim@contoso.com", 7},
		{"alice@contoso.com", "bob@contoso.com", 5},
	} {
		r, err := w.Diagnose(t.Context(), app.Diagnosis{From: tt.from, To: tt.to})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range r.Steps {
			switch s := &r.Steps[i]; s.Verdict {
			case diagnose.Passed:
				n++
			case diagnose.NotApplicable:
			default:
				t.Errorf("%s to %s: hop %d is %s", tt.from, tt.to, s.Hop, s.Verdict)
			}
		}
		if !r.Healthy || n != tt.applies || len(r.Warnings) > 0 {
			t.Errorf("%s to %s: %d hops hold, want %d; %v %+v", tt.from, tt.to, n, tt.applies, r.Warnings, r.Failure)
		}
		if time.Duration(r.Took) > limit && !raced {
			t.Errorf("%s to %s took %s", tt.from, tt.to, r.Took)
		}
		if tt.applies != 15 {
			continue
		}
		for _, deployment := range []string{"onprem", "cloud", "directory"} {
			if !slices.ContainsFunc(strings.Split(log.String(), "\n"), func(l string) bool {
				return strings.Contains(l, "deployment="+deployment) && strings.Contains(l, "request_id="+r.CorrelationID)
			}) {
				t.Errorf("%s to %s: the log of %s has no line with %s", tt.from, tt.to, deployment, r.CorrelationID)
			}
		}
	}
	var got []string
	w.run(t, "onprem", "$null = 1")
	if err := w.shells["onprem"].Session.Run(t.Context(), "", `$r = Test-FreeBusyConnectivity alice@contoso.com kim@contoso.com; $r.ResultType; $r.Steps.Count; $r.Steps[2].Name`, func(v any) error {
		got = append(got, object.String(v))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, " ") != "Success 15 route" {
		t.Errorf("the cmdlet says %q", got)
	}
}

// A syncBuffer is a log that several write to.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

package lab

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"busybridge/internal/app/shell"
	"busybridge/internal/app/terminal"
	"busybridge/internal/directory"
	"busybridge/internal/ps/object"
)

// The article's own lines, one file for each step, with its placeholders.
//
//go:embed steps
var stepFiles embed.FS

// placeholders are what an administrator of this world writes in their place.
var placeholders = strings.NewReplacer(
	"<your verified-domain>", domain,
	"<your tenant initial domain>", initial,
	"<your service target address>", coexistence,
	"<your Office 365 service target address>", coexistence,
	"<your on-premises-Autodiscover endpoint>", "https://"+discoverHost+"/autodiscover/autodiscover.svc",
	"<your on-premises target address>", domain,
	"<your on-premises External Web Services URL>", "https://"+mailHost+"/ews/exchange.asmx",
	"<organization id>", "contoso",
	"<your Microsoft Graph endpoint>", "https://"+directory.Clouds[cloudName].GraphHost,
	"<On-Premises Mailbox>", "alice@"+domain,
	"<external hostname authority of your Exchange On-Premises deployment>", "https://"+mailHost,
)

// The article's scripts that a fault may spoil, and the folder that is C:.
const (
	exportScript = "ExportAuthCert.ps1"
	uploadScript = "UploadAuthCert.ps1"
	appScript    = "edition2025-app.ps1"
	serverScript = "edition2025-authserver.ps1"
	driveName    = "drive"
)

// A step is what is typed into one shell.
type step struct {
	name   string
	in     deploymentName // whose shell; the directory's is a plain Windows PowerShell
	faults []string       // left out with one of these
	files  []string       // typed line by line
	// script is put onto C: and started, as the article does with longer ones.
	script string
}

// stepsOf are the steps that join the world of an edition. From 2025 on the
// certificate is a credential of an application of the organization's own in the
// tenant, never of the principal that all share (oauth-s2s reference 8.2).
func stepsOf(edition string) []step {
	switch edition {
	case Edition2014:
		return steps2014
	case Edition2025:
		return steps2025
	}
	return steps2026
}

// joining are the steps that every edition has.
var joining = []step{
	{name: "step 5: *." + domain + " is a service principal name", in: authorize, faults: []string{faultSPN}, script: "RegisterEndpoints.ps1"},
	{name: "step 6: connector from on premises to the cloud", in: onprem, faults: []string{faultConnector}, files: []string{"step6.ps1"}},
	{name: "step 7: connector from the cloud to on premises", in: authorize, files: []string{"step7.ps1"}},
	{name: "step 8: address space for the old server", in: onprem, files: []string{"step8-list.ps1", "step8.ps1"}},
}

var steps2014 = append([]step{
	{name: "step 1: authorization server object on premises", in: onprem, faults: []string{faultIssuer}, files: []string{"step1.ps1"}},
	{name: "step 2: partner application of the cloud is enabled", in: onprem, faults: []string{faultPartner}, files: []string{"step2.ps1"}},
	{name: "step 3: authorization certificate is exported", in: onprem, script: exportScript},
	{name: "step 4: it is a key credential of the Exchange service principal", in: authorize, script: uploadScript},
}, joining...)

var steps2025 = append([]step{
	{name: "step 1: authorization server objects on premises, of ACS and of Entra", in: onprem, faults: []string{faultIssuer}, files: []string{"edition2-step1.ps1"}},
	{name: "step 2: partner application of the cloud is enabled", in: onprem, faults: []string{faultPartner}, files: []string{"edition2-step2.ps1"}},
	{name: "step 3: authorization certificate is exported", in: onprem, script: exportScript},
	{name: "step 4: it is a key credential of an application of its own, which has the role full_access_as_app", in: authorize, script: appScript},
	{name: "step 4a: on premises asks the cloud as that application", in: onprem, faults: []string{faultIssuer, faultApplication}, script: serverScript},
}, joining...)

// steps2026: the application asks Graph, by a role of its own.
var steps2026 = append(slices.Clone(steps2025),
	step{name: "step 9: the application has the role Calendars.ReadBasic.All of Graph", in: authorize, faults: []string{faultGraphRole}, script: "edition2026-role.ps1"},
	step{name: "step 10: on premises asks the cloud's Graph", in: onprem, faults: []string{faultIssuer}, files: []string{"edition2026-graph.ps1"}},
)

func stepText(file string) (string, error) {
	b, err := stepFiles.ReadFile(path.Join("steps", file))
	return placeholders.Replace(string(b)), err
}

// A transcript runs lines in the world's shells and shows them as on a screen.
type transcript struct {
	lab    *Lab
	out    io.Writer
	shells map[deploymentName]*Shell
}

func (l *Lab) transcript(out io.Writer) *transcript {
	return &transcript{lab: l, out: out, shells: map[deploymentName]*Shell{}}
}

func (t *transcript) close() (err error) {
	for _, s := range t.shells {
		err = errors.Join(err, s.Close())
	}
	return err
}

// shell is the shell of a deployment, opened when it is first needed.
func (t *transcript) shell(ctx context.Context, name deploymentName) (*Shell, error) {
	if s := t.shells[name]; s != nil {
		return s, nil
	}
	s, err := t.lab.Shell(ctx, ShellOptions{Org: string(name), Screen: shell.Screen{
		Streams: terminal.Streams(t.out, t.out, false), Zone: time.UTC,
		Credentials: func(context.Context, string, string) (*object.Credential, error) {
			a, ok := t.lab.file.Administrator(string(cloud))
			if !ok {
				return nil, errors.New("the lab has no administrator of the cloud")
			}
			return &object.Credential{UserName: a.User, Password: object.NewSecureString(a.Password)}, nil
		},
	}})
	if err == nil {
		t.shells[name] = s
	}
	return s, err
}

// run types lines into a shell and shows what it answers. The first error that
// a command reports is returned.
func (t *transcript) run(ctx context.Context, in deploymentName, lines string) error {
	s, err := t.shell(ctx, in)
	if err != nil {
		return err
	}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		fmt.Fprintf(t.out, "%s%s\n", s.Prompt(), line)
		before := len(s.Session.Errors())
		if _, err := terminal.RunText(ctx, t.config(s), "", line); err != nil {
			return err
		}
		if failed := s.Session.Errors(); len(failed) > before {
			return failed[len(failed)-before-1]
		}
	}
	return nil
}

func (t *transcript) config(s *Shell) terminal.Config {
	return terminal.Config{Session: s.Session, Out: t.out, Err: t.out, Width: 120, Prompt: s.Prompt}
}

// step runs one step of the article; edit changes its script, unless it is nil.
func (t *transcript) step(ctx context.Context, st step, edit *strings.Replacer) error {
	if st.script != "" {
		if _, err := t.shell(ctx, st.in); err != nil { // makes the folder, too
			return err
		}
		text, err := stepText(st.script)
		if err != nil {
			return err
		}
		if edit != nil {
			text = edit.Replace(text)
		}
		if err := os.WriteFile(filepath.Join(t.lab.o.Dir, driveName, st.script), []byte(text), 0o600); err != nil {
			return err
		}
		return t.run(ctx, st.in, `cd C:\`+"\n"+`.\`+st.script)
	}
	for _, f := range st.files {
		text, err := stepText(f)
		if err != nil {
			return err
		}
		if err := t.run(ctx, st.in, text); err != nil {
			return err
		}
	}
	return nil
}

// verify runs Test-OAuthConnectivity of the article and returns its ResultType;
// the error names what is missing.
func (t *transcript) verify(ctx context.Context, in deploymentName, file string) (string, error) {
	text, err := stepText(file)
	if err != nil {
		return "", err
	}
	s, err := t.shell(ctx, in)
	if err != nil {
		return "", err
	}
	var result, detail string
	line, _, _ := strings.Cut(strings.TrimSpace(text), " -Verbose")
	if err := s.Session.Run(ctx, "", line, func(v any) error {
		r, _ := object.Get(v, "ResultType")
		d, _ := object.Get(v, "Detail")
		result, detail = object.String(r), object.String(d)
		return nil
	}); err != nil {
		return "", err
	}
	if result != "Success" {
		_, said, _ := strings.Cut(detail, "Exchange Response Details:")
		said, cause, _ := strings.Cut(said, "Cause: ")
		return "", &verifyError{fmt.Sprintf("ResultType %s: %s", result, strings.TrimSpace(said)), strings.TrimSpace(cause)}
	}
	return line + ": " + result, nil
}

// A verifyError is a verification that failed, with the cause that it names.
type verifyError struct{ text, cause string }

func (e *verifyError) Error() string { return e.text }

// indent shows what is written to it a little to the right, below a check.
type indent struct {
	to   io.Writer
	open bool // within a line
}

func (w *indent) Write(p []byte) (int, error) {
	var b bytes.Buffer
	for _, c := range p {
		if !w.open && c != '\n' {
			b.WriteString("      ")
		}
		w.open = c != '\n'
		b.WriteByte(c)
	}
	if _, err := w.to.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

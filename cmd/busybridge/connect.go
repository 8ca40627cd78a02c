package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"busybridge/internal/app/client"
)

// passwordVariable names the variable that a password is taken from, so that
// it stands in no command line.
const passwordVariable = "BUSYBRIDGE_PASSWORD"

// A target says which server a command speaks to, and as whom.
type target struct {
	lab, server, user, passwordFile, caFile string
	connectTo                               map[string]string
}

func (t *target) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.lab, "lab", "", "directory of a running lab")
	f.StringVar(&t.server, "server", "", "https URL of a server")
	f.StringVar(&t.user, "user", "", "sign in as this user (with --lab: a mailbox of the lab)")
	f.StringVar(&t.passwordFile, "password-file", "", "read the password from the first line of this file; else "+passwordVariable+", else it is asked for")
	f.StringVar(&t.caFile, "ca-file", "", "PEM file of the certificate authority to trust instead of the system's")
	f.StringToStringVar(&t.connectTo, "connect-to", nil, "connect to another address for host:port, e.g. mail.contoso.com:443=192.0.2.10:443")
	cmd.MarkFlagsMutuallyExclusive("lab", "server")
}

// connect returns the client, and the lab when one was named. In a lab, the
// user defaults to fallback.
func (t *target) connect(e *env, fallback string) (*client.Client, *client.LabFile, error) {
	switch {
	case t.lab != "":
		l, err := client.ReadLabFile(t.lab)
		if err != nil {
			return nil, nil, err
		}
		user := t.user
		if user == "" {
			user = fallback
		}
		m, ok := l.Mailbox(user)
		if !ok && user == "" && len(l.Mailboxes) > 0 {
			m, ok = l.Mailboxes[0], true
		}
		if !ok {
			return nil, nil, usageError{fmt.Errorf("the lab has no mailbox %q; see its %s", user, client.LabFileName)}
		}
		c, err := client.New(l.ForLab(m))
		return c, l, err
	case t.server != "":
		if t.user == "" {
			return nil, nil, usageError{errors.New("--server needs --user")}
		}
		password, err := t.password(e)
		if err != nil {
			return nil, nil, err
		}
		c, err := client.New(client.Options{
			Server: t.server, User: t.user, Password: password,
			CAFile: t.caFile, ConnectTo: t.connectTo, AllowPrivate: true,
		})
		return c, nil, err
	}
	return nil, nil, usageError{errors.New("say which server: --lab DIR, or --server URL --user USER")}
}

func (t *target) password(e *env) (string, error) {
	if t.passwordFile != "" {
		return firstLine(t.passwordFile)
	}
	if p := os.Getenv(passwordVariable); p != "" {
		return p, nil
	}
	return e.askPassword("Password of " + t.user + ": ")
}

// askPassword reads a line from the terminal without echo.
func (e *env) askPassword(prompt string) (string, error) {
	f, ok := e.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usageError{fmt.Errorf("no password: set %s or give --password-file", passwordVariable)}
	}
	fmt.Fprint(e.stderr, prompt)
	p, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(e.stderr)
	return string(p), err
}

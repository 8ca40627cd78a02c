package shell

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"busybridge/internal/admin/hostcmd"
	"busybridge/internal/dial/remoteclient"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/ps/psrp"
	"busybridge/internal/ps/wsman"
)

// A Connector opens sessions of remote PowerShell for New-PSSession. A name and a
// password go by HTTP Basic, over verified TLS only. Close it.
type Connector struct {
	HTTP   *http.Client // required; see app.Deployment.Client
	Prompt interp.Prompt

	mu   sync.Mutex // guards open
	open []*remote
}

// Close ends the sessions that are open.
func (c *Connector) Close() error {
	c.mu.Lock()
	open := c.open
	c.open = nil
	c.mu.Unlock()
	var err error
	for _, r := range open {
		err = errors.Join(err, r.session.Close())
	}
	return err
}

// Connect implements hostcmd.Connector.
func (c *Connector) Connect(ctx context.Context, t hostcmd.Target) (hostcmd.Remote, error) {
	u := t.URI
	if u == nil {
		u = &url.URL{Scheme: "https", Host: t.ComputerName, Path: "/wsman"}
	}
	switch {
	case t.Authentication != "Default" && t.Authentication != "Basic":
		return nil, fmt.Errorf("signing in by %s is not possible here: use -Authentication Basic", t.Authentication)
	case t.Credential == nil || t.Credential.Password == nil:
		return nil, errors.New("a user name and a password are needed: use -Credential")
	}
	r := &remote{connector: c, info: hostcmd.RemoteInfo{ComputerName: u.Hostname(), Configuration: t.Configuration}}
	var err error
	r.session, err = remoteclient.Open(ctx, remoteclient.Config{
		HTTP: c.HTTP, URL: u, User: t.Credential.UserName, Password: t.Credential.Password.Reveal(), Configuration: t.Configuration, Prompt: c.Prompt, Show: r.show,
	})
	if err != nil {
		return nil, connectError(ctx, err)
	}
	r.info.RunspaceID = r.session.ID()
	c.mu.Lock()
	c.open = append(c.open, r)
	c.mu.Unlock()
	return r, nil
}

// connectError tells an error as New-PSSession knows it.
func connectError(ctx context.Context, err error) error {
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	dns, unknown := errors.AsType[*net.DNSError](err)
	elsewhere, redirected := errors.AsType[*remoteclient.RedirectError](err)
	fault, refused := errors.AsType[*wsman.Fault](err)
	_, dial := errors.AsType[*net.OpError](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, remoteclient.ErrAccessDenied):
		return hostcmd.ErrAccessDenied
	case redirected:
		return &hostcmd.RedirectError{URI: elsewhere.URL}
	case refused:
		return errors.New(fault.Text)
	case cert || name:
		return fmt.Errorf("the server's certificate cannot be trusted: %w", err)
	case unknown && dns.IsNotFound:
		return hostcmd.ErrUnknownHost
	case dial:
		return hostcmd.ErrCannotConnect
	}
	return err
}

// remote is a session over the wire. It implements hostcmd.Remote.
type remote struct {
	connector *Connector
	session   *remoteclient.Session
	info      hostcmd.RemoteInfo

	mu     sync.Mutex // guards screen
	screen interp.Stream
}

// Info implements hostcmd.Remote.
func (r *remote) Info() hostcmd.RemoteInfo { return r.info }

// Close implements hostcmd.Remote.
func (r *remote) Close() error {
	r.connector.mu.Lock()
	r.connector.open = slices.DeleteFunc(r.connector.open, func(o *remote) bool { return o == r })
	r.connector.mu.Unlock()
	return r.session.Close()
}

// show shows text of the server's, with what runs there now.
func (r *remote) show(text string, newline bool) error {
	r.mu.Lock()
	to := r.screen
	r.mu.Unlock()
	if to == nil {
		return nil
	}
	return to(&interp.Message{Kind: "Information", Text: text, Tags: []string{"PSHOST"}, NoNewline: !newline})
}

// notImported are the commands that stay with the session unless they are asked
// for by name, and common the parameters that every command has here anyway.
var (
	notImported = []string{"Clear-Host", "Exit-PSSession", "Get-Command", "Get-FormatData", "Get-Help", "Measure-Object", "Out-Default", "Select-Object"}
	common      = []string{"Verbose", "Debug", "ErrorAction", "WarningAction", "InformationAction", "ProgressAction", "ErrorVariable", "WarningVariable", "InformationVariable", "OutVariable", "OutBuffer", "PipelineVariable"}
)

// Commands implements hostcmd.Remote. Which parameters are mandatory, where they
// stand and what they take from the pipeline does not cross.
func (r *remote) Commands(ctx context.Context, names []string) ([]hostcmd.CommandInfo, error) {
	list, err := r.session.Commands(ctx, psrp.Query{Names: names})
	if err != nil {
		return nil, r.fail(err)
	}
	has := func(l []string, s string) bool {
		return slices.ContainsFunc(l, func(x string) bool { return strings.EqualFold(x, s) })
	}
	var out []hostcmd.CommandInfo
	for _, c := range list {
		if has(notImported, c.Name) && !has(names, c.Name) || c.Type&(psrp.CmdletCommand|psrp.FunctionCommand) == 0 {
			continue
		}
		i := hostcmd.CommandInfo{Name: c.Name, Module: c.Module, Bare: true}
		for _, p := range c.Parameters {
			switch {
			case has(common, p.Name):
			case p.Name == "WhatIf" || p.Name == "Confirm":
				i.ShouldProcess = true
			default:
				i.Parameters = append(i.Parameters, interp.Param{Name: p.Name, Aliases: p.Aliases, Switch: p.Switch, Type: object.TObject, Position: -1, AllowNull: true, AllowEmpty: true})
			}
		}
		out = append(out, i)
	}
	return out, nil
}

// Run implements hostcmd.Remote.
func (r *remote) Run(ctx context.Context, p hostcmd.Pipeline, out func(any) error, s interp.Streams) error {
	pl := &psrp.Pipeline{NoInput: p.Input == nil, Host: psrp.Host{OfPool: true}, Statements: [][]psrp.Command{{}}}
	for _, c := range p.Commands {
		cmd := psrp.Command{Name: c.Text, Script: c.Script}
		for _, a := range c.Arguments {
			cmd.Arguments = append(cmd.Arguments, psrp.Argument{Name: a.Name, Value: a.Value})
		}
		pl.Statements[0] = append(pl.Statements[0], cmd)
	}
	if len(p.Commands) == 1 && p.Commands[0].Script {
		if statements, ok := plain(p.Commands[0].Text, p.Commands[0].Arguments); ok {
			pl.Statements = statements
		}
	}
	r.mu.Lock()
	before := r.screen
	r.screen = s.Information
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.screen = before
		r.mu.Unlock()
	}()
	send := func(to interp.Stream, v any) error {
		if to == nil {
			return nil
		}
		return to(v)
	}
	err := r.session.Run(ctx, pl, p.Input, func(e psrp.Event) error {
		switch e := e.(type) {
		case psrp.Output:
			return out(e.Value)
		case psrp.Failure:
			return send(s.Error, e.Record)
		case psrp.Note:
			switch e.Kind {
			case psrp.WarningMessage:
				return send(s.Warning, &interp.Message{Kind: "Warning", Text: e.Text})
			case psrp.VerboseMessage:
				return send(s.Verbose, &interp.Message{Kind: "Verbose", Text: e.Text})
			}
			return send(s.Debug, &interp.Message{Kind: "Debug", Text: e.Text})
		case psrp.Information:
			if slices.Contains(e.Tags, "PSHOST") && r.connector.Prompt != nil {
				return nil // the host here was called for it
			}
			return send(s.Information, &interp.Message{Kind: "Information", Text: object.String(e.Data), Tags: e.Tags})
		case psrp.Progress:
			return send(s.Progress, &interp.Message{Kind: "Progress", Activity: e.Activity, Text: e.Status, Percent: int(e.Percent)})
		}
		return nil
	})
	return r.fail(err)
}

// fail says where an error of the transport comes from.
func (r *remote) fail(err error) error {
	_, ok := errors.AsType[*object.ErrorRecord](err)
	fault, refused := errors.AsType[*wsman.Fault](err)
	switch {
	case err == nil || ok:
		return err
	case refused || errors.Is(err, remoteclient.ErrAccessDenied):
		text := "Access is denied."
		if refused {
			text = fault.Text
		}
		return object.NewError("PSSessionStateBroken", object.OpenError, object.TRemotingTransport, "Processing data from remote server %s failed with the following error message: %s", r.info.ComputerName, text)
	}
	return err
}

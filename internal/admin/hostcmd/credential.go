package hostcmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// AskCredential gives the credential of user, "" for any: from Config.Credentials,
// else from the person at the terminal.
func (cfg Config) AskCredential(ctx context.Context, c *interp.Call, user, message string) (*object.Credential, error) {
	if cfg.Credentials != nil {
		cred, err := cfg.Credentials(ctx, user, message)
		switch {
		case err == nil && cred != nil:
			return cred, nil
		case err != nil && !errors.Is(err, ErrNoCredential):
			return nil, err
		}
	}
	prompt := c.Prompt()
	if prompt == nil {
		who := "for anyone"
		if user != "" {
			who = "for " + user
		}
		return nil, object.NewError("InvalidOperation,"+class(c), object.InvalidOperation, object.TPSInvalidOperation,
			"Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available, and this shell was not given a credential %s.", who)
	}
	if message == "" {
		message = "Enter your credentials."
	}
	head := fmt.Sprintf("\nWindows PowerShell credential request\n%s\n", message)
	var err error
	if user == "" {
		if user, err = prompt.Line(ctx, head+"User: "); err != nil {
			return nil, err
		}
		if user = strings.TrimSpace(user); user == "" {
			return nil, object.NewError("InvalidOperation,"+class(c), object.InvalidArgument, object.TPSArgument, "A credential needs a user name.")
		}
		head = ""
	}
	password, err := prompt.Secret(ctx, fmt.Sprintf("%sPassword for user %s: ", head, user))
	if err != nil {
		return nil, err
	}
	return &object.Credential{UserName: user, Password: object.NewSecureString(password)}, nil
}

type getCredential struct {
	h          *host
	Credential any    `ps:"Credential,position=0,set=CredentialSet,allownull" help:"A user name, whose password is asked for, or a credential, which is given back."`
	Message    string `ps:"Message,set=MessageSet" help:"What the person reads."`
	UserName   string `ps:"UserName,position=0,set=MessageSet" help:"The user name."`
}

// Run asks for a user name and a password (Get-Credential).
func (p *getCredential) Run(ctx context.Context, c *interp.Call) error {
	if cred, ok := object.Base(p.Credential).(*object.Credential); ok {
		return c.Emit(cred)
	}
	user := p.UserName
	if p.Credential != nil {
		user = object.String(p.Credential)
	}
	cred, err := p.h.AskCredential(ctx, c, user, p.Message)
	if err != nil {
		return err
	}
	return c.Emit(cred)
}

type readHost struct {
	Prompt         []any         `ps:"Prompt,position=0,rest,allownull" help:"What stands before the input."`
	AsSecureString object.Switch `ps:"AsSecureString" help:"The input is not shown, and gives a secure string."`
}

// Run reads a line from the person at the terminal (Read-Host).
func (p *readHost) Run(ctx context.Context, c *interp.Call) error {
	if c.Prompt() == nil {
		return object.NewError("InvalidOperation,"+class(c), object.InvalidOperation, object.TPSInvalidOperation,
			"Windows PowerShell is in NonInteractive mode. Read and Prompt functionality is not available.")
	}
	text := object.String(object.NewArray(p.Prompt...))
	if text != "" {
		text += ": "
	}
	if p.AsSecureString {
		s, err := c.Prompt().Secret(ctx, text)
		if err != nil {
			return err
		}
		return c.Emit(object.NewSecureString(s))
	}
	s, err := c.Prompt().Line(ctx, text)
	if err != nil {
		return err
	}
	return c.Emit(s)
}

type convertFromSecureString struct {
	SecureString *object.SecureString `ps:"SecureString,mandatory,position=0,pipeline=value" help:"The secure string."`
	Key          []byte               `ps:"Key,set=Open" help:"Not possible here."`
	SecureKey    *object.SecureString `ps:"SecureKey,position=1,set=Secure" help:"Not possible here."`
}

// Run refuses (ConvertFrom-SecureString).
func (p *convertFromSecureString) Run(_ context.Context, c *interp.Call) error {
	return refuse(c, "Windows encrypts such text with a key of the user's account, which there is none of here, so the text would be the password itself. Keep the credential in a variable, or let Get-Credential ask for it again.")
}

func (h *host) credentials() []interp.Command {
	return []interp.Command{
		{Name: "Get-Credential", Module: moduleSecurity, New: func() interp.Cmdlet { return &getCredential{h: h} }, DefaultSet: "CredentialSet",
			Synopsis: "Asks for a user name and a password.", Examples: []string{`$cred = Get-Credential admin@contoso.com`}, Links: []string{"New-PSSession", "Connect-MsolService"}},
		{Name: "Read-Host", Module: moduleUtility, New: func() interp.Cmdlet { return &readHost{} },
			Synopsis: "Asks for a line of text.", Examples: []string{`$domain = Read-Host "Domain"`}, Links: []string{"Get-Credential"}},
		{Name: "ConvertFrom-SecureString", Module: moduleSecurity, New: func() interp.Cmdlet { return &convertFromSecureString{} }, DefaultSet: "Secure",
			Synopsis: "Refused: a secret does not become text here.", Examples: []string{`$cred = Get-Credential`}, Links: []string{"ConvertTo-SecureString", "Get-Credential"}},
	}
}

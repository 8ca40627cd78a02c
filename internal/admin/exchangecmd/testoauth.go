package exchangecmd

import (
	"context"
	"net/url"

	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// oauthTest is the test of the way to another organization (10.1).
func (x *exchange) oauthTest() []entry {
	if x.OAuth == nil {
		return nil
	}
	return []entry{{in: everywhere, tasks: "Monitoring", Command: interp.Command{
		Name: "Test-OAuthConnectivity", New: func() interp.Cmdlet { return &testOAuth{x: x} }, ShouldProcess: true,
		Synopsis: "Tests whether another organization accepts the OAuth tokens of this one.",
		Description: "Sends one request to TargetUri, as free/busy questions go: it asks for the challenge, chooses an authorization server that both sides trust, " +
			"gets a token from it with this organization's certificate, and presents the token. Detail is the log of all steps, without signatures. " +
			"ResultType is Success when the other side accepted the token. An error of its service in Detail, such as \"The SMTP address has no mailbox associated with it.\", " +
			"can then be ignored. Otherwise the last line of Detail names the cause, and what to run where. It says nothing of the other direction: run it there, too.",
		Examples: []string{
			`Test-OAuthConnectivity -Service EWS -TargetUri https://partner.outlook.cn/ews/exchange.asmx -Mailbox user1@contoso.com -Verbose | Format-List`,
			`Test-OAuthConnectivity -Service AutoD -TargetUri https://autodiscover.contoso.com/autodiscover/autodiscover.svc -AppOnly`,
		},
		Links: []string{"New-AuthServer", "Set-PartnerApplication", "Get-AuthConfig", "New-IntraOrganizationConnector"},
	}}}
}

var tModService = enumeration("Microsoft.Exchange.Monitoring.ModServiceType", false, "EWS", "AutoD", "Generic")

// modService is which service is called.
type modService string

// PSType is the enumeration of its names.
func (modService) PSType() *object.Type { return tModService }

type testOAuth struct {
	x              *exchange
	Service        modService    `ps:"Service,mandatory" help:"What is called: EWS (Exchange Web Services), AutoD (Autodiscover), or Generic (a GET of TargetUri itself)."`
	TargetURI      *url.URL      `ps:"TargetUri,mandatory" help:"The https address that is called. Of an address that names a host only, or ends in /metadata/json/1, the usual path of EWS or AutoD is called."`
	Mailbox        identity      `ps:"Mailbox" help:"Whom the token speaks for: a mailbox or a mail user of this organization that the other side knows. Without it the token speaks for no user."`
	AppOnly        object.Switch `ps:"AppOnly" help:"A token that speaks for no user, although Mailbox is given."`
	ReloadConfig   object.Switch `ps:"ReloadConfig" help:"Reads the metadata of all authorization servers again before."`
	UseCachedToken object.Switch `ps:"UseCachedToken" help:"Uses a token that is kept. Without it a new one is asked for."`
}

// Run makes the test.
func (p *testOAuth) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	t := OAuthTest{
		Service: string(p.Service), TargetURI: address(p.TargetURI), AppOnly: bool(p.AppOnly),
		ReloadConfig: bool(p.ReloadConfig), UseCachedToken: bool(p.UseCachedToken),
	}
	if p.Mailbox.given() {
		t.Mailbox, err = k.Admin.FindRecipient(ctx, k.actor, k.Name(), k.Org, p.Mailbox.text,
			directory.UserMailbox, directory.RoomMailbox, directory.EquipmentMailbox, directory.SharedMailbox, directory.MailUser)
		if err != nil {
			return k.WriteError(k.fail(err))
		}
	}
	if ok, err := k.should("Testing OAuth connectivity of the service %s at %q.", t.Service, t.TargetURI); !ok {
		return err
	}
	var stopped error // the caller's preferences may end the command with a line
	t.Log = func(line string) {
		if stopped == nil {
			stopped = k.WriteVerbose(line)
		}
	}
	rep, err := k.OAuth.TestOAuth(ctx, k.actor, o, t)
	switch {
	case stopped != nil:
		return stopped
	case err != nil:
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(rep.Warnings); err != nil {
		return err
	}
	return k.Emit(k.validation(t.Service, rep))
}

const validationType = "Microsoft.Exchange.Security.OAuth.ValidationResultNode"

// validation is the result. Scripts read its two texts by members, too (oauth-s2s reference 7.2).
func (k *call) validation(service string, rep OAuthReport) any {
	result := "Error"
	if rep.Success {
		result = "Success"
	}
	return k.bag(validationType).
		add("Task", "Checking "+service+" API Call Under Oauth").
		add("Detail", object.Wrap(rep.Detail).Add("FullId", rep.Detail).Add("LocalizedString", rep.Detail)).
		add("ResultType", object.Wrap(result).Add("Value", result)).
		add("Identity", "Microsoft.Exchange.Security.OAuth.ValidationResultNodeId").
		add("IsValid", true).add("ObjectState", fresh).Object
}

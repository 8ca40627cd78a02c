package exchangecmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// calendarSources are the cmdlets of calendars that mailboxes have elsewhere. They
// are ours.
func (x *exchange) calendarSources() []entry {
	const copied = "The source is copied on schedule, and questions are answered from the copy. A source that fails leaves its copy as it is: Condition says why it fails, Age how old the copy is. "
	return []entry{
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "New-MailboxCalendarSource", New: func() interp.Cmdlet { return &newCalendarSource{x: x} }, ShouldProcess: true,
			Synopsis:    "Adds a calendar that the owner of a mailbox keeps elsewhere.",
			Description: copied + "The path of the address may be a secret: it is kept encrypted, as the password is, and never shown.",
			Examples: []string{
				`New-MailboxCalendarSource -Mailbox kim@contoso.com -Name Team -Url https://calendar.fabrikam.com/private-4f2a/basic.ics`,
				`New-MailboxCalendarSource -Mailbox kim@contoso.com -Name Nextcloud -Kind CalDAV -Url https://cloud.contoso.com -Credential (Get-Credential)`,
				`Get-Mailbox | ForEach-Object { New-MailboxCalendarSource -Mailbox $_.Identity -Name Calendar -Kind CalDAV -Url 'https://calendar.contoso.com/dav/{localpart}/' -Credential $reader }`,
				`New-MailboxCalendarSource -Mailbox kim@contoso.com -Name Shifts -Url https://rota.contoso.com/kim.ics -Credential (Get-Credential) -RefreshInterval 00:15:00`,
				`New-MailboxCalendarSource -Mailbox kim@contoso.com -Name There -Kind Exchange -Url https://mail.fabrikam.com/EWS/Exchange.asmx -Address kim@fabrikam.com -Credential (Get-Credential)`,
				`New-MailboxCalendarSource -Mailbox kim@contoso.com -Name Cloud -Kind Graph -Cloud Worldwide -Tenant fabrikam.com -ApplicationId 11111111-0000-4000-8000-000000000001 -Address kim@fabrikam.com`,
			},
			Links: []string{"Get-MailboxCalendarSource", "Test-MailboxCalendarSource"},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Get-MailboxCalendarSource", New: func() interp.Cmdlet { return &getCalendarSource{x: x} },
			Synopsis:    "Shows the calendars that mailboxes have elsewhere, and how they are.",
			Description: copied + "Stale is true when the copy is older than two refresh intervals.",
			Examples:    []string{`Get-MailboxCalendarSource -Mailbox kim@contoso.com`, `Get-MailboxCalendarSource | Where-Object Stale | Format-List`},
			Links:       []string{"New-MailboxCalendarSource", "Update-MailboxCalendarSource"},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Set-MailboxCalendarSource", New: func() interp.Cmdlet { return &setCalendarSource{x: x} }, ShouldProcess: true,
			Synopsis:    "Changes a calendar source, or what it is asked with.",
			Description: "A new address or password takes the place of the old one; the copy stays until the source was read again. The copy of a source that is disabled is deleted.",
			Examples:    []string{`Set-MailboxCalendarSource kim@contoso.com\Team -Credential (Get-Credential)`, `Set-MailboxCalendarSource kim@contoso.com\Team -Transparent $true`},
			Links:       []string{"Get-MailboxCalendarSource"},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Remove-MailboxCalendarSource", New: func() interp.Cmdlet { return &removeCalendarSource{x: x} }, ShouldProcess: true, Impact: "High",
			Synopsis:    "Removes a calendar source, and its copy.",
			Description: "Its events do not count any more. Nothing changes where the calendar is kept.",
			Examples:    []string{`Remove-MailboxCalendarSource kim@contoso.com\Team -Confirm:$false`},
			Links:       []string{"Get-MailboxCalendarSource"},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Update-MailboxCalendarSource", New: func() interp.Cmdlet { return &updateCalendarSource{x: x} }, ShouldProcess: true,
			Synopsis:    "Asks a calendar source now, and brings its copy up to date.",
			Description: "It does not wait for the plan, nor for the end of a pause after failures.",
			Examples:    []string{`Get-MailboxCalendarSource -Mailbox kim@contoso.com | Update-MailboxCalendarSource`},
			Links:       []string{"Get-MailboxCalendarSource", "Test-MailboxCalendarSource"},
		}},
		{in: everywhere, tasks: storeTasks, Command: interp.Command{
			Name: "Test-MailboxCalendarSource", New: func() interp.Cmdlet { return &testCalendarSource{x: x} },
			Synopsis:    "Asks a calendar source, and says what it answers.",
			Description: "Nothing is kept of it.",
			Examples:    []string{`Test-MailboxCalendarSource kim@contoso.com\Team | Format-List`},
			Links:       []string{"Update-MailboxCalendarSource"},
		}},
	}
}

const (
	calendarSourceType     = "Microsoft.Exchange.Management.StoreTasks.MailboxCalendarSource"
	calendarSourceTestType = "Microsoft.Exchange.Management.StoreTasks.MailboxCalendarSourceTest"
)

// tSourceKind is the type of -Kind.
var tSourceKind = enumeration("Microsoft.Exchange.Management.StoreTasks.CalendarSourceKind", false, directory.SourceICalendar, directory.SourceCalDAV, directory.SourceExchange, directory.SourceGraph)

type sourceKind string

// PSType is the enumeration.
func (sourceKind) PSType() *object.Type { return tSourceKind }

// methodAutomatic is how people call the method that serves best.
const methodAutomatic = "Automatic"

// tSourceMethod is the type of -Method.
var tSourceMethod = enumeration("Microsoft.Exchange.Management.StoreTasks.CalendarSourceMethod", false,
	append(append([]string{methodAutomatic}, directory.SourceMethods()...), directory.MethodFindItem, directory.MethodGetUserAvailability, directory.MethodGetSchedule)...)

type sourceMethod string

// PSType is the enumeration.
func (sourceMethod) PSType() *object.Type { return tSourceMethod }

// name is the method as it is kept.
func (m sourceMethod) name() string {
	if m == methodAutomatic {
		return ""
	}
	return string(m)
}

// sources are those that id names in the mailbox ("": any): by GUID, name, or
// mailbox\name; all where id is empty. The second result are the names of mailboxes
// by id.
func (k *call) sources(mailbox recipientID, id identity) ([]*directory.CalendarSource, map[string]string, error) {
	within, name := mailbox.key(), id.text
	if m, n, ok := strings.Cut(id.text, `\`); ok && within == "" {
		within, name = m, n
	}
	list, err := k.Admin.CalendarSources(k.ctx, k.actor, k.Name(), k.Org, within)
	if err != nil {
		if _, missing := errors.AsType[*admin.NotFoundError](err); missing {
			return nil, nil, k.record("ManagementObjectNotFoundException", "The specified mailbox Identity: '%s' does not exist.", within)
		}
		return nil, nil, k.fail(err)
	}
	owners := map[string]string{}
	var out []*directory.CalendarSource
	for _, v := range list {
		if name != "" && !(identity{name}).matches(&directory.Common{Name: v.Name, GUID: v.ID}, "") {
			continue
		}
		if _, known := owners[v.Mailbox]; !known {
			r, err := k.Admin.FindRecipient(k.ctx, k.actor, k.Name(), k.Org, v.Mailbox)
			if err != nil {
				return nil, nil, k.fail(err)
			}
			owners[v.Mailbox] = r.Primary.String()
		}
		out = append(out, v)
	}
	slices.SortStableFunc(out, func(a, b *directory.CalendarSource) int { return cmp.Compare(owners[a.Mailbox], owners[b.Mailbox]) })
	if len(out) == 0 && name != "" && !id.pattern() {
		return nil, nil, k.notFound(id.text)
	}
	return out, owners, nil
}

// source is the one that id names.
func (k *call) source(id identity) (*directory.CalendarSource, string, error) {
	list, owners, err := k.sources(recipientID{}, id)
	switch {
	case err != nil:
		return nil, "", err
	case id.pattern() || len(list) == 0:
		return nil, "", k.notFound(id.text)
	case len(list) > 1:
		return nil, "", k.fail(&admin.AmbiguousError{Noun: "CalendarSource", Identity: id.text})
	}
	return list[0], sourceName(list[0], owners[list[0].Mailbox]), nil
}

func sourceName(v *directory.CalendarSource, owner string) string { return owner + `\` + v.Name }

func (k *call) calendarSource(v *directory.CalendarSource, owner string) any {
	now := k.Now()
	b := k.bag(calendarSourceType).add("Mailbox", owner).add("Name", v.Name).add("Kind", v.Kind).add("Url", v.URL.String()).
		add("UserName", v.UserName).add("HasPassword", len(v.Password) > 0).add("Enabled", v.Enabled).add("Transparent", v.Transparent).
		add("RefreshInterval", v.Refresh).add("MaxBytes", v.MaxBytes).add("MaxEvents", v.MaxEvents).add("Condition", v.Condition())
	st := &v.State
	var text, age any
	if st.Failure != "" {
		text = st.Text
	}
	if d, ok := v.Age(now); ok {
		age = d.Truncate(time.Second)
	}
	b.add("Method", cmp.Or(v.Method, methodAutomatic)).add("MethodsInUse", listOrNull(st.Methods())).add("FindByAddress", v.FindByAddress).add("Calendars", len(st.Calendars))
	k.addServer(b, v)
	return b.add("Stale", v.Stale(now)).add("Age", age).add("Events", st.Events).add("Unreadable", st.Unreadable).add("Bytes", st.Bytes).
		add("LastSuccess", k.local(st.LastSuccess)).add("LastAttempt", k.local(st.LastAttempt)).add("NextAttempt", k.local(st.NextAttempt)).
		add("FailuresInARow", st.Failures).add("FailureText", text).add("Calendar", v.Folder()).
		add("WhenCreated", k.local(v.WhenCreated)).add("WhenChanged", k.local(v.WhenChanged)).
		add("Guid", guid(v.ID)).add("Identity", sourceName(v, owner)).add("IsValid", true).add("ObjectState", unchanged).Object
}

// credential puts a user name and a password into v; null takes them away.
func (k *call) sourceCredential(v *directory.CalendarSource, c *object.Credential) {
	if !k.Bound("Credential") {
		return
	}
	v.UserName, v.Password = "", nil
	if c != nil {
		v.UserName = c.UserName
		if c.Password != nil {
			v.Password = directory.Secret(c.Password.Reveal())
		}
	}
}

type newCalendarSource struct {
	x               *exchange
	Mailbox         recipientID        `ps:"Mailbox,mandatory" help:"Whose: name, alias, address, user principal name, GUID or distinguished name."`
	Name            string             `ps:"Name,mandatory,position=0,notempty" help:"A name that no other source of the mailbox has."`
	URL             string             `ps:"Url,notempty" help:"The address, https or webcal. Its path may be a secret link. Not needed with Cloud."`
	Kind            sourceKind         `ps:"Kind,default=ICalendar" help:"How it is asked: ICalendar is a file that is fetched, CalDAV a server with calendars of the owner, Exchange and Graph are servers with the mailbox of the owner."`
	Method          sourceMethod       `ps:"Method,default=Automatic" help:"By which questions: Automatic takes the best that the server answers."`
	FindByAddress   bool               `ps:"FindByAddress" help:"CalDAV: the user name is that of a reader of other people's calendars, and the server is asked whose the address of the mailbox is."`
	Credential      *object.Credential `ps:"Credential,allownull" help:"User name and password. The password is kept encrypted and never shown."`
	RefreshInterval time.Duration      `ps:"RefreshInterval,notempty" help:"How often it is asked, as 00:05:00: one minute to seven days."`
	Transparent     bool               `ps:"Transparent" help:"Its events do not count for free/busy."`
	MaxBytes        int64              `ps:"MaxBytes" help:"How big a file may be, unpacked. The default is 10 MB, the limit 64 MB."`
	MaxEvents       int32              `ps:"MaxEvents" help:"How many events a file may have. The default is 50000."`
	Enabled         bool               `ps:"Enabled,default=True" help:"Whether it is asked."`
	sourceServer
	controller
}

// Run adds the source.
func (p *newCalendarSource) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	r, err := k.storeMailbox(p.Mailbox)
	if r == nil {
		return err
	}
	owner := r.Primary.String()
	if ok, err := k.should(`Creating calendar source "%s" of mailbox "%s".`, p.Name, owner); !ok {
		return err
	}
	v := directory.CalendarSource{
		Name: p.Name, Kind: string(p.Kind), URL: directory.SecretURL(p.URL), Enabled: p.Enabled, Transparent: p.Transparent,
		Refresh: p.RefreshInterval, MaxBytes: p.MaxBytes, MaxEvents: int(p.MaxEvents),
	}
	v.Method, v.FindByAddress = p.Method.name(), p.FindByAddress
	k.sourceCredential(&v, p.Credential)
	p.sourceServer.assign(k, &v)
	res, err := k.Admin.NewCalendarSource(k.ctx, k.actor, k.Org, r.ID, v)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(res.Warnings); err != nil {
		return err
	}
	return k.Emit(k.calendarSource(res.Object, owner))
}

type getCalendarSource struct {
	x        *exchange
	Identity identity    `ps:"Identity,position=0,pipeline=value|name,allownull,allowempty,wildcard" help:"Name, mailbox\\name or GUID; all when it is left out."`
	Mailbox  recipientID `ps:"Mailbox,allownull" help:"Only those of this mailbox."`
	controller
}

// Run shows sources.
func (p *getCalendarSource) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	list, owners, err := k.sources(p.Mailbox, p.Identity)
	if err != nil {
		return k.WriteError(err)
	}
	for _, v := range list {
		if err := k.Emit(k.calendarSource(v, owners[v.Mailbox])); err != nil {
			return err
		}
	}
	return nil
}

type setCalendarSource struct {
	x               *exchange
	Identity        identity           `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which source: name, mailbox\\name or GUID."`
	Name            string             `ps:"Name,notempty" help:"A new name."`
	URL             string             `ps:"Url,notempty" help:"A new address."`
	Method          sourceMethod       `ps:"Method" help:"By which questions: Automatic takes the best that the server answers."`
	FindByAddress   bool               `ps:"FindByAddress" help:"CalDAV: the server is asked whose the address of the mailbox is."`
	Credential      *object.Credential `ps:"Credential,allownull" help:"A new user name and password; $null: nobody signs in."`
	RefreshInterval time.Duration      `ps:"RefreshInterval,notempty" help:"How often it is asked, as 00:05:00: one minute to seven days."`
	Transparent     bool               `ps:"Transparent" help:"Its events do not count for free/busy."`
	MaxBytes        int64              `ps:"MaxBytes" help:"How big a file may be, unpacked."`
	MaxEvents       int32              `ps:"MaxEvents" help:"How many events a file may have."`
	Enabled         bool               `ps:"Enabled" help:"Whether it is asked. One that is not has no copy."`
	sourceServer
	controller
}

// Run changes the source.
func (p *setCalendarSource) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	v, name, err := k.source(p.Identity)
	if err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Setting calendar source "%s".`, name); !ok {
		return err
	}
	res, err := k.Admin.SetCalendarSource(k.ctx, k.actor, k.Org, v.ID, func(v *directory.CalendarSource) error {
		assign(k, "Name", &v.Name, p.Name)
		assign(k, "Url", &v.URL, directory.SecretURL(p.URL))
		assign(k, "RefreshInterval", &v.Refresh, p.RefreshInterval)
		assign(k, "Transparent", &v.Transparent, p.Transparent)
		assign(k, "MaxBytes", &v.MaxBytes, p.MaxBytes)
		assign(k, "MaxEvents", &v.MaxEvents, int(p.MaxEvents))
		assign(k, "Enabled", &v.Enabled, p.Enabled)
		assign(k, "Method", &v.Method, p.Method.name())
		assign(k, "FindByAddress", &v.FindByAddress, p.FindByAddress)
		k.sourceCredential(v, p.Credential)
		p.sourceServer.assign(k, v)
		return nil
	})
	return changed(k, name, res, err)
}

type removeCalendarSource struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which source: name, mailbox\\name or GUID."`
	controller
}

// Run removes the source.
func (p *removeCalendarSource) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	v, name, err := k.source(p.Identity)
	if err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Removing calendar source "%s".`, name); !ok {
		return err
	}
	res, err := k.Admin.RemoveCalendarSource(k.ctx, k.actor, k.Org, v.ID)
	return removed(k, res, err)
}

type updateCalendarSource struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which source: name, mailbox\\name or GUID."`
	controller
}

// Run asks the source, and shows how it is.
func (p *updateCalendarSource) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	v, name, err := k.source(p.Identity)
	if err != nil {
		return k.WriteError(err)
	}
	if ok, err := k.should(`Updating calendar source "%s".`, name); !ok {
		return err
	}
	v, err = k.Admin.UpdateCalendarSource(k.ctx, k.actor, k.Org, v.ID)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	return k.Emit(k.calendarSource(v, strings.TrimSuffix(name, `\`+v.Name)))
}

type testCalendarSource struct {
	x        *exchange
	Identity identity `ps:"Identity,mandatory,position=0,pipeline=value|name" help:"Which source: name, mailbox\\name or GUID."`
	controller
}

// Run asks the source.
func (p *testCalendarSource) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	v, name, err := k.source(p.Identity)
	if err != nil {
		return k.WriteError(err)
	}
	t, err := k.Admin.TestCalendarSource(k.ctx, k.actor, k.Org, v.ID)
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	result, text := "Success", any(nil)
	if t.Failure != "" {
		result, text = t.Failure, t.Text
	}
	return k.Emit(k.bag(calendarSourceTestType).add("Source", name).add("Result", result).add("FailureText", text).
		add("Events", t.Events).add("Unreadable", t.Unreadable).add("Bytes", t.Bytes).add("Calendars", t.Calendars).add("Methods", listOrNull(t.Methods)).add("Identity", name).add("IsValid", t.Failure == "").add("ObjectState", fresh).Object)
}

package exchangecmd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/directory"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
	"busybridge/internal/spec/smtpaddr"
)

// The name spaces of the classes of recipient cmdlets.
const (
	recipientTasks = "RecipientTasks"
	storeTasks     = "StoreTasks"
)

// recipientTypes is the name space of what is shown of recipients and servers.
const recipientTypes = "Microsoft.Exchange.Data.Directory.Management."

// recipients are the cmdlets of recipients (12) and of what their accounts may do.
func (x *exchange) recipients() []entry {
	return slices.Concat([]entry{{in: everywhere, tasks: recipientTasks, Command: interp.Command{
		Name: "Get-Recipient", New: func() interp.Cmdlet { return &getRecipient{x: x} }, DefaultSet: "Identity",
		Synopsis:    "Shows mailboxes, mail users and groups.",
		Description: "Objects are written as they are read, by display name.",
		Examples:    []string{`Get-Recipient -RecipientTypeDetails MailUser -ResultSize Unlimited`, `Get-Recipient -Filter "EmailAddresses -like '*@contoso.com'"`},
		Links:       []string{"Get-Mailbox", "Get-MailUser"},
	}}}, x.mailboxes(), x.mailUsers(), x.users(), x.linkedUserCommands(), x.roleAssignments())
}

// A recipientID names a recipient: an identity, and for an object from the
// pipeline its GUID, which names one without doubt.
type recipientID struct {
	identity
	guid string
}

// BindPS implements interp.Binder.
func (i *recipientID) BindPS(v any) error {
	i.guid = ""
	if o, ok := object.Base(v).(*object.Object); ok {
		if g, ok := o.Get("Guid"); ok && g != nil {
			i.guid = object.String(g)
		}
	}
	return i.identity.BindPS(v)
}

// key is what operations look the recipient up by.
func (i recipientID) key() string {
	if i.guid != "" {
		return i.guid
	}
	return i.text
}

// defaultResults is how many objects the Get- cmdlets of recipients return when nobody says.
const defaultResults = 1000

// A resultSize is a parameter of type Unlimited: a number of objects; 0 is all.
type resultSize struct{ limit int }

// ParameterType is what help calls the type.
func (resultSize) ParameterType() string { return "Unlimited" }

// BindPS implements interp.Binder.
func (s *resultSize) BindPS(v any) error {
	text := strings.TrimSpace(object.String(v))
	if strings.EqualFold(text, "Unlimited") {
		s.limit = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return fmt.Errorf("Cannot convert value \"%s\" to type \"Microsoft.Exchange.Data.Unlimited`1[System.UInt32]\". It takes a number from 1, or Unlimited.", text)
	}
	s.limit = n
	return nil
}

// The warnings that more would have been there (12.1).
const (
	moreThanDefault = "By default, only the first 1000 items are returned. Use the ResultSize parameter to specify the number of items returned. " +
		"To return all items, specify \"-ResultSize Unlimited\". Be aware that, depending on the actual number of items, returning all items can take a long time " +
		"and consume a large amount of memory. Also, we don't recommend storing the results in a variable. Instead, pipe the results to another task or script to perform batch changes."
	moreThanAsked = "There are more results available than are currently displayed. To view them, increase the value for the ResultSize parameter."
)

// An ignored parameter is a setting that nothing here depends on. The command says so when it is given.
type ignored struct{}

// BindPS implements interp.Binder.
func (*ignored) BindPS(any) error { return nil }

// An absent parameter asks for what is not done here: only null and empty values are possible.
type absent struct{}

// A refused parameter is one that False and None are possible for, too.
type refused struct{}

var errRefused = errors.New("What this parameter asks for isn't done here: its help says why. Leave it out, or give it the value that means no.")

// BindPS implements interp.Binder.
func (*absent) BindPS(v any) error {
	b := object.Base(v)
	items, list := object.Items(b)
	if b == nil || list && len(items) == 0 || !list && object.String(b) == "" {
		return nil
	}
	return errRefused
}

// BindPS implements interp.Binder.
func (*refused) BindPS(v any) error {
	switch b := object.Base(v).(type) {
	case bool, object.Switch, string:
		if text := object.String(b); strings.EqualFold(text, "False") || strings.EqualFold(text, "None") {
			return nil
		}
	}
	return (*absent).BindPS(nil, v)
}

// ignoring warns of parameters that were given and have no effect.
func (k *call) ignoring(parameters ...string) error {
	for _, p := range parameters {
		if !k.Bound(p) {
			continue
		}
		if err := k.WriteWarning(fmt.Sprintf("The parameter %s has no effect: there is no such setting here, and free/busy doesn't depend on it.", p)); err != nil {
			return err
		}
	}
	return nil
}

// A recipientLook is what the properties of an organization's recipients are made of.
type recipientLook struct {
	k                           *call
	o                           *directory.Organization
	server, canonical, dn       string // of the newest server; container, with "/" and as a distinguished name
	legacy, tenantDN, orgDomain string
}

func (k *call) look(o *directory.Organization) *recipientLook {
	l := &recipientLook{k: k, o: o, orgDomain: o.DefaultDomain(), tenantDN: k.organizationID(o)}
	var newest directory.Version
	for i := range o.Servers {
		if s := &o.Servers[i]; l.server == "" || newest.Less(s.AdminDisplayVersion) {
			l.server, newest = s.Name, s.AdminDisplayVersion
		}
	}
	l.canonical, l.dn = l.orgDomain+"/Users", "CN=Users,"+dcs(o)
	l.legacy = "/o=" + strings.ReplaceAll(o.Name, "/", "-") + "/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn="
	return l
}

// A recipientView is a recipient on its way to be shown.
type recipientView struct {
	*recipientLook
	*directory.Recipient
}

// canonicalName is Identity on premises.
func (v recipientView) canonicalName() string {
	return v.canonical + "/" + strings.ReplaceAll(v.CommonName(), "/", `\/`)
}

// serverName is empty for people whose mailbox is elsewhere.
func (v recipientView) serverName() string {
	if !v.IsMailbox() {
		return ""
	}
	return v.server
}

// identityText is what the property Identity shows.
func (v recipientView) identityText() string {
	if v.k.Hosted {
		return v.CommonName()
	}
	return v.canonicalName()
}

// A recipientProperty is one property of recipients. Those with a sample can be
// filtered and sorted by; it is a value of their type.
type recipientProperty struct {
	sample any
	value  func(v recipientView) any
}

func constant(value any) recipientProperty {
	return recipientProperty{value: func(recipientView) any { return value }}
}

func text(value func(v recipientView) string) recipientProperty {
	return recipientProperty{"", func(v recipientView) any { return value(v) }}
}

// recipientProperties is every property that a recipient shows, by name.
var recipientProperties = map[string]recipientProperty{
	"Alias":                      text(func(v recipientView) string { return v.Alias }),
	"Database":                   constant(nil),
	"DeliverToMailboxAndForward": constant(false),
	"DisplayName":                text(func(v recipientView) string { return v.DisplayName }),
	"DistinguishedName": text(func(v recipientView) string {
		return "CN=" + strings.ReplaceAll(v.CommonName(), ",", `\,`) + "," + v.dn
	}),
	"EmailAddresses":                {"", func(v recipientView) any { return proxies(v.Recipient) }},
	"EmailAddressPolicyEnabled":     {false, func(recipientView) any { return false }},
	"ExchangeGuid":                  {"", func(v recipientView) any { return guid(v.ID) }},
	"ExchangeVersion":               text(func(recipientView) string { return version2013 }),
	"ExternalEmailAddress":          {"", func(v recipientView) any { return target(v.Recipient) }},
	"FirstName":                     text(func(v recipientView) string { return v.FirstName }),
	"ForwardingAddress":             constant(nil),
	"ForwardingSmtpAddress":         constant(nil),
	"GrantSendOnBehalfTo":           constant(&object.Array{}),
	"Guid":                          {"", func(v recipientView) any { return guid(v.ID) }},
	"HiddenFromAddressListsEnabled": {false, func(v recipientView) any { return v.HiddenFromAddressLists }},
	"Id":                            text(recipientView.identityText),
	"Identity":                      text(recipientView.identityText),
	"IsLinked":                      constant(false),
	"IsMailboxEnabled":              {false, func(v recipientView) any { return v.IsMailbox() }},
	"IsResource":                    {false, func(v recipientView) any { return resourceType(v.Type) != "" }},
	"IsShared":                      {false, func(v recipientView) any { return v.Type == directory.SharedMailbox }},
	"IsValid":                       constant(true),
	"IssueWarningQuota":             constant("Unlimited"),
	"Languages":                     constant(&object.Array{}),
	"LastName":                      text(func(v recipientView) string { return v.LastName }),
	"LegacyExchangeDN":              text(func(v recipientView) string { return v.legacy + strings.ReplaceAll(v.ID, "-", "") }),
	"LinkedMasterAccount":           constant(nil),
	"Name":                          text(func(v recipientView) string { return v.CommonName() }),
	"ObjectCategory":                text(func(v recipientView) string { return v.orgDomain + "/Configuration/Schema/Person" }),
	"ObjectClass":                   {"", func(v recipientView) any { return objectClass(v.Type) }},
	"ObjectState":                   constant(unchanged),
	"OrganizationId":                text(func(v recipientView) string { return v.tenantDN }),
	"OrganizationalUnit":            text(func(v recipientView) string { return v.canonical }),
	"OriginatingServer":             text(func(v recipientView) string { return v.k.Server }),
	"PrimarySmtpAddress":            {"", func(v recipientView) any { return smtpAddress(v.Primary) }},
	"ProhibitSendQuota":             constant("Unlimited"),
	"ProhibitSendReceiveQuota":      constant("Unlimited"),
	"RecipientType":                 text(func(v recipientView) string { return recipientType(v.Type) }),
	"RecipientTypeDetails":          text(func(v recipientView) string { return v.Type }),
	"ResourceCapacity":              {int32(0), func(v recipientView) any { return capacity(v.Recipient) }},
	"ResourceCustom":                constant(&object.Array{}),
	"ResourceType":                  {"", func(v recipientView) any { return orNull(resourceType(v.Type)) }},
	"SamAccountName":                text(func(v recipientView) string { return samAccountName(v.Recipient) }),
	"ServerName":                    text(recipientView.serverName),
	"SharingPolicy":                 constant(nil),
	"UserPrincipalName":             text(func(v recipientView) string { return v.UPN }),
	"WhenChanged":                   {time.Time{}, func(v recipientView) any { return v.k.local(v.WhenChanged) }},
	"WhenChangedUTC":                {time.Time{}, func(v recipientView) any { return utc(v.WhenChanged) }},
	"WhenCreated":                   {time.Time{}, func(v recipientView) any { return v.k.local(v.WhenCreated) }},
	"WhenCreatedUTC":                {time.Time{}, func(v recipientView) any { return utc(v.WhenCreated) }},
	"WindowsEmailAddress":           {"", func(v recipientView) any { return smtpAddress(v.Primary) }},
}

// proxies is EmailAddresses: the primary address is written with SMTP in capitals.
func proxies(r *directory.Recipient) any {
	list := make([]string, 0, 1+len(r.Proxies))
	list = append(list, "SMTP:"+r.Primary.String())
	for _, p := range r.Proxies {
		list = append(list, "smtp:"+p.String())
	}
	return object.Strings(list...)
}

// smtpAddress is an address with the members of its class: it is a string otherwise.
func smtpAddress(a smtpaddr.Address) any {
	if a.IsZero() {
		return nil
	}
	o := object.Wrap(a.String())
	for _, p := range []object.Property{{Name: "Length", Value: int32(len(a.String()))}, {Name: "Local", Value: a.Local()}, {Name: "Domain", Value: a.Domain()}, {Name: "Address", Value: a.String()}} {
		p.Hidden = true
		o.AddProperty(&p)
	}
	return o
}

func target(r *directory.Recipient) any {
	if r.ExternalAddress.IsZero() {
		return nil
	}
	return "SMTP:" + r.ExternalAddress.String()
}

// orNull is s, or null when it is empty.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func resourceType(recipientType string) string {
	switch recipientType {
	case directory.RoomMailbox:
		return "Room"
	case directory.EquipmentMailbox:
		return "Equipment"
	}
	return ""
}

// recipientType is RecipientType: all kinds of mailbox are UserMailbox.
func recipientType(details string) string {
	if slices.Contains(directory.MailboxTypes(), details) {
		return directory.UserMailbox
	}
	return details
}

func objectClass(details string) any {
	if details == directory.MailGroup {
		return object.Strings("top", "group")
	}
	return object.Strings("top", "person", "organizationalPerson", "user")
}

func capacity(r *directory.Recipient) any {
	if r.ResourceCapacity == 0 {
		return nil
	}
	return int32(r.ResourceCapacity)
}

// samAccountName is the name of old times: the one given, else the local part of the user principal name.
func samAccountName(r *directory.Recipient) string {
	if r.SamAccountName != "" {
		return r.SamAccountName
	}
	local, _, _ := strings.Cut(r.UPN, "@")
	return local
}

// A recipientNoun is a class of recipients: which ones, and what they show in order.
type recipientNoun struct {
	class      string
	types      []string
	properties []string
}

// recipientTail is the end of every recipient's properties.
var recipientTail = []string{
	"Identity", "IsValid", "ExchangeVersion", "Name", "DistinguishedName", "Guid", "ObjectCategory", "ObjectClass", "WhenChanged", "WhenCreated",
	"WhenChangedUTC", "WhenCreatedUTC", "OrganizationId", "Id", "OriginatingServer", "ObjectState",
}

var anyRecipient = recipientNoun{
	class: recipientTypes + "ReducedRecipient",
	types: append(directory.MailboxTypes(), directory.MailUser, directory.MailGroup),
	properties: append([]string{
		"Identity", "Alias", "Database", "DisplayName", "EmailAddresses", "ExternalEmailAddress", "FirstName", "HiddenFromAddressListsEnabled", "LastName",
		"ResourceType", "Name", "OrganizationalUnit", "PrimarySmtpAddress", "RecipientType", "RecipientTypeDetails", "SamAccountName", "ServerName", "UserPrincipalName",
	}, recipientTail[1:]...),
}

// show makes the object of one recipient.
func (n *recipientNoun) show(l *recipientLook, r *directory.Recipient) any {
	b, v := l.k.bag(n.class), recipientView{l, r}
	for _, name := range n.properties {
		b.Add(name, recipientProperties[name].value(v))
	}
	return b.Object
}

// A recipientQuery is the parameters that the Get- cmdlets of recipients share.
type recipientQuery struct {
	Identity           recipientID `ps:"Identity,position=0,pipeline=value|name,set=Identity,allownull,allowempty" help:"Name, alias, address, user principal name, GUID or distinguished name; a * at its beginning or end stands for anything. All when it is left out."`
	Anr                string      `ps:"Anr,set=AnrSet,notempty" help:"The beginning of a name, of a word in the display name, of an alias or of an address."`
	Filter             string      `ps:"Filter,notempty" help:"An OPATH filter, as \"Alias -like 'k*' -and HiddenFromAddressListsEnabled -eq $false\". -and and -or together take parentheses."`
	OrganizationalUnit string      `ps:"OrganizationalUnit,notempty" help:"A container. There is one: Users."`
	ResultSize         resultSize  `ps:"ResultSize,notempty" help:"How many objects at most, or Unlimited. The default is 1000."`
	SortBy             string      `ps:"SortBy,notempty" help:"The property to sort by, rising. Without it objects come by display name, as they are read."`
	controller
}

// run writes the recipients of the noun that the query asks for, and that also holds for.
func (q *recipientQuery) run(k *call, n *recipientNoun, types []recipientDetails, also func(*directory.Recipient) bool) error {
	o, err := k.view()
	if err != nil {
		return err
	}
	look := k.look(o)
	wanted := n.types
	if len(types) > 0 {
		wanted = slices.DeleteFunc(slices.Clone(n.types), func(t string) bool { return !slices.Contains(types, recipientDetails(t)) })
	}
	match, err := q.match(look, also)
	if err != nil {
		return k.WriteError(err)
	}
	if q.Identity.given() && !q.Identity.pattern() {
		r, err := k.Admin.FindRecipient(k.ctx, k.actor, k.Name(), k.Org, q.Identity.key(), n.types...)
		if err != nil {
			return k.WriteError(k.fail(err))
		}
		if !slices.Contains(wanted, r.Type) || !match(r) {
			return nil
		}
		return k.Emit(n.show(look, r))
	}
	if len(wanted) == 0 {
		return nil
	}
	if q.SortBy != "" {
		return q.sorted(k, n, look, wanted, match)
	}
	return q.write(k, n, look, k.Admin.Recipients(k.ctx, k.actor, k.Name(), k.Org, admin.RecipientFilter{Types: wanted, Match: match}))
}

// write shows recipients as they come, and warns when there are more than may be shown.
func (q *recipientQuery) write(k *call, n *recipientNoun, look *recipientLook, recipients iter.Seq2[*directory.Recipient, error]) error {
	limit, warning := q.ResultSize.limit, moreThanAsked
	if !k.Bound("ResultSize") {
		limit, warning = defaultResults, moreThanDefault
	}
	count := 0
	for r, err := range recipients {
		if err != nil {
			return k.WriteError(k.fail(err))
		}
		if limit > 0 && count == limit {
			return k.WriteWarning(warning)
		}
		count++
		if err := k.Emit(n.show(look, r)); err != nil {
			return err
		}
	}
	return nil
}

// sorted is write in the order of a property: all recipients are read first.
func (q *recipientQuery) sorted(k *call, n *recipientNoun, look *recipientLook, types []string, match func(*directory.Recipient) bool) error {
	p, ok := filterable(q.SortBy)
	if !ok {
		return k.WriteError(k.invalid("SortBy", "\"%s\" is not a property that recipients can be sorted by.", q.SortBy))
	}
	type keyed struct {
		r   *directory.Recipient
		key any
	}
	var all []keyed
	for r, err := range k.Admin.Recipients(k.ctx, k.actor, k.Name(), k.Org, admin.RecipientFilter{Types: types, Match: match}) {
		if err != nil {
			return k.WriteError(k.fail(err))
		}
		all = append(all, keyed{r, p.value(recipientView{look, r})})
	}
	var failed error
	slices.SortStableFunc(all, func(a, b keyed) int {
		n, err := object.Compare(a.key, b.key, false)
		failed = errors.Join(failed, err)
		return n
	})
	if failed != nil {
		return k.WriteError(k.invalid("SortBy", "%s: %s", q.SortBy, failed))
	}
	return q.write(k, n, look, func(yield func(*directory.Recipient, error) bool) {
		for _, v := range all {
			if !yield(v.r, nil) {
				return
			}
		}
	})
}

// filterable is the property of that name, without regard to case, when recipients can be filtered by it.
func filterable(name string) (recipientProperty, bool) {
	p, ok := recipientProperties[name]
	if !ok {
		for n, other := range recipientProperties {
			if strings.EqualFold(n, name) {
				p = other
			}
		}
	}
	return p, p.sample != nil
}

// match is every condition of the query in one.
func (q *recipientQuery) match(look *recipientLook, also func(*directory.Recipient) bool) (func(*directory.Recipient) bool, error) {
	conditions := []func(*directory.Recipient) bool{also}
	k := look.k
	if u := q.OrganizationalUnit; u != "" && !slices.ContainsFunc([]string{"Users", look.canonical, look.dn}, func(s string) bool { return strings.EqualFold(s, u) }) {
		return nil, k.record("ManagementObjectNotFoundException", "The organizational unit \"%s\" could not be found. Please make sure you have typed it correctly.", u)
	}
	if q.Identity.pattern() {
		conditions = append(conditions, func(r *directory.Recipient) bool {
			v := recipientView{look, r}
			return q.Identity.matches(&directory.Common{Name: r.CommonName(), GUID: r.ID}, "", r.Alias, r.DisplayName, r.Primary.String(), r.UPN, v.canonicalName())
		})
	}
	if q.Anr != "" {
		key := directory.FoldKey(q.Anr)
		conditions = append(conditions, func(r *directory.Recipient) bool { return resembles(r, key) })
	}
	if q.Filter != "" {
		f, err := parseFilter(q.Filter, filterScope{
			sample:   func(name string) (any, bool) { p, ok := filterable(name); return p.sample, ok },
			variable: k.Variable,
		})
		if err != nil {
			return nil, k.record("ParameterBindingException", "Cannot bind parameter 'Filter' to the target. Exception setting \"Filter\": \"%s\"", err)
		}
		named := map[string]recipientProperty{}
		conditions = append(conditions, func(r *directory.Recipient) bool {
			return f.holds(func(name string) any {
				p, ok := named[name]
				if !ok {
					p, _ = filterable(name)
					named[name] = p
				}
				return p.value(recipientView{look, r})
			})
		})
	}
	return func(r *directory.Recipient) bool {
		for _, c := range conditions {
			if c != nil && !c(r) {
				return false
			}
		}
		return true
	}, nil
}

// resembles reports whether a name of the recipient begins with key, as -Anr asks.
func resembles(r *directory.Recipient, key string) bool {
	names := append(r.Names(), directory.FoldKey(r.FirstName), directory.FoldKey(r.LastName), r.Primary.String())
	names = append(names, strings.Fields(directory.FoldKey(r.DisplayName))...)
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, key) })
}

// recipientDetails is the type of -RecipientTypeDetails.
type recipientDetails string

var tRecipientDetails = enumeration("Microsoft.Exchange.Data.Directory.Recipient.RecipientTypeDetails", true, "None", "UserMailbox", "LinkedMailbox", "SharedMailbox",
	"LegacyMailbox", "RoomMailbox", "EquipmentMailbox", "MailContact", "MailUser", "MailUniversalDistributionGroup", "MailNonUniversalGroup", "MailUniversalSecurityGroup",
	"DynamicDistributionGroup", "PublicFolder", "SystemAttendantMailbox", "SystemMailbox", "MailForestContact", "User", "Contact", "UniversalDistributionGroup",
	"UniversalSecurityGroup", "NonUniversalGroup", "DisabledUser", "MicrosoftExchange", "ArbitrationMailbox", "MailboxPlan", "LinkedUser", "RoomList", "DiscoveryMailbox",
	"RoleGroup", "RemoteUserMailbox", "Computer", "RemoteRoomMailbox", "RemoteEquipmentMailbox", "RemoteSharedMailbox")

// PSType is the enumeration.
func (recipientDetails) PSType() *object.Type { return tRecipientDetails }

type getRecipient struct {
	x *exchange
	recipientQuery
	RecipientType        []recipientDetails `ps:"RecipientType" help:"Only these types: UserMailbox (every kind of mailbox), MailUser, MailUniversalDistributionGroup."`
	RecipientTypeDetails []recipientDetails `ps:"RecipientTypeDetails" help:"Only these kinds, as RoomMailbox."`
}

// Run shows recipients.
func (p *getRecipient) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	return p.run(k, &anyRecipient, p.RecipientTypeDetails, func(r *directory.Recipient) bool {
		return len(p.RecipientType) == 0 || slices.Contains(p.RecipientType, recipientDetails(recipientType(r.Type)))
	})
}

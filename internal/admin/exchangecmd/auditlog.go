package exchangecmd

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/audit"
	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// audit is the cmdlet of the trail of what administrators did.
func (x *exchange) audit() []entry {
	return []entry{{in: everywhere, Command: interp.Command{
		Name: "Search-AdminAuditLog", New: func() interp.Cmdlet { return &searchAuditLog{x: x} },
		Synopsis: "Shows who changed what, and when, and what was refused.",
		Description: "Every change is kept together with its audit event, or neither is. Commands that only read leave a trace when they are refused. " +
			"Events are written as they are read, the newest first; ModifiedProperties has each value before and after.",
		Examples: []string{
			`Search-AdminAuditLog -Cmdlets Set-Mailbox,Remove-Mailbox -StartDate 5/1/2014 -EndDate 6/1/2014`,
			`(Search-AdminAuditLog -ObjectIds ToCloud)[0].ModifiedProperties | Format-Table Name,OldValue,NewValue`,
		},
		Links: []string{"Get-ManagementRoleAssignment"},
	}}}
}

type searchAuditLog struct {
	x              *exchange
	Cmdlets        []string   `ps:"Cmdlets" help:"Only these cmdlets."`
	Parameters     []string   `ps:"Parameters" help:"Only events that changed one of these properties. It goes with Cmdlets. What was given to the cmdlet is not kept, only what it changed."`
	StartDate      *time.Time `ps:"StartDate" help:"Only events from then on. A date without a time is its midnight."`
	EndDate        *time.Time `ps:"EndDate" help:"Only events before then."`
	ObjectIds      []string   `ps:"ObjectIds" help:"Only events about these objects: a name, or kind and name as ObjectModified shows them."`
	UserIds        []string   `ps:"UserIds" help:"Only what these accounts did."`
	IsSuccess      *bool      `ps:"IsSuccess" help:"True: only what was done. False: only what failed or was refused."`
	ExternalAccess *bool      `ps:"ExternalAccess" help:"True finds nothing: people of other organizations can't run cmdlets here."`
	ResultSize     resultSize `ps:"ResultSize,notempty" help:"How many events at most, or Unlimited. The default is 1000."`
	StartIndex     int        `ps:"StartIndex" help:"How many events to pass over."`
	controller
}

// Run shows events.
func (p *searchAuditLog) Run(ctx context.Context, c *interp.Call) error {
	k, err := p.x.begin(ctx, c)
	if err != nil {
		return err
	}
	q := admin.AuditQuery{Operations: p.Cmdlets, Objects: p.ObjectIds, Actors: p.UserIds}
	switch {
	case len(p.Parameters) > 0 && len(p.Cmdlets) == 0:
		return k.WriteError(k.invalid("Parameters", "It goes with the parameter Cmdlets."))
	case p.StartIndex < 0:
		return k.WriteError(k.invalid("StartIndex", "%d is less than 0.", p.StartIndex))
	case p.ExternalAccess != nil && *p.ExternalAccess:
		return nil
	}
	for _, d := range []struct {
		given *time.Time
		to    *time.Time
	}{{p.StartDate, &q.From}, {p.EndDate, &q.Until}} {
		if d.given == nil {
			continue
		}
		if *d.to, err = k.instant(*d.given); err != nil {
			return k.WriteError(err)
		}
	}
	if !q.From.IsZero() && !q.Until.IsZero() && !q.From.Before(q.Until) {
		return k.WriteError(k.invalid("EndDate", "It must be after StartDate."))
	}
	limit, warning := p.ResultSize.limit, moreThanAsked
	if !k.Bound("ResultSize") {
		limit, warning = defaultResults, moreThanDefault
	}
	skip, count := p.StartIndex, 0
	for e, err := range k.Admin.SearchAdminAuditLog(ctx, k.actor, k.Org, q) {
		if err != nil {
			return k.WriteError(k.fail(err))
		}
		modified := modifications(e.Before, e.After)
		switch done := e.Outcome == "done"; {
		case p.IsSuccess != nil && *p.IsSuccess != done, len(p.Parameters) > 0 && !slices.ContainsFunc(modified, p.named):
			continue
		case skip > 0:
			skip--
			continue
		case limit > 0 && count == limit:
			return k.WriteWarning(warning)
		}
		count++
		if err := k.Emit(k.auditEvent(e, modified)); err != nil {
			return err
		}
	}
	return nil
}

func (p *searchAuditLog) named(m modification) bool {
	return slices.ContainsFunc(p.Parameters, func(name string) bool { return strings.EqualFold(name, m.name) })
}

func (k *call) auditEvent(e audit.Event, modified []modification) any {
	list := make([]any, len(modified))
	for i, m := range modified {
		o := object.New("Microsoft.Exchange.Management.SystemConfigurationTasks.AdminAuditLogModifiedProperty", "System.Object").
			Add("Name", m.name).Add("OldValue", m.before).Add("NewValue", m.after)
		o.Text = func() string { return m.name }
		list[i] = o
	}
	b := k.bag("Microsoft.Exchange.Management.SystemConfigurationTasks.AdminAuditLogEvent")
	b.add("ObjectModified", e.Object).add("CmdletName", e.Operation).add("CmdletParameters", []string{}).add("ModifiedProperties", list).
		add("Caller", e.Actor).add("ExternalAccess", false).add("Succeeded", e.Outcome == "done")
	if e.Outcome == "done" {
		b.add("Error", nil)
	} else {
		b.add("Error", e.Outcome)
	}
	return b.add("RunDate", k.local(e.At)).add("OriginatingServer", k.Server).add("RequestId", e.RequestID).
		add("Identity", e.RequestID).add("IsValid", true).add("ObjectState", fresh).Object
}

// A modification is one property that an event changed; an absent value is empty.
type modification struct{ name, before, after string }

// modifications compares the properties of an object before and after, by name.
// Values that are objects themselves are compared property by property, one level deep.
func modifications(before, after string) []modification {
	old, now := flatten(before), flatten(after)
	for name := range old {
		if _, ok := now[name]; !ok {
			now[name] = ""
		}
	}
	var list []modification
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if old[name] != now[name] {
			list = append(list, modification{name, old[name], now[name]})
		}
	}
	return list
}

// flatten is the properties of a JSON object as texts. A text that is no object
// is one property named Value.
func flatten(text string) map[string]string {
	out := map[string]string{}
	if text == "" {
		return out
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil {
		out["Value"] = text
		return out
	}
	for name, raw := range fields {
		var inner map[string]json.RawMessage
		if json.Unmarshal(raw, &inner) == nil && inner != nil {
			for sub, raw := range inner {
				out[title(name)+"."+title(sub)] = plain(raw)
			}
			continue
		}
		out[title(name)] = plain(raw)
	}
	return out
}

func title(name string) string {
	return strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
}

// plain is a JSON value as a person writes it.
func plain(raw json.RawMessage) string {
	var s string
	var list []string
	switch {
	case string(raw) == "null":
		return ""
	case json.Unmarshal(raw, &s) == nil:
		return s
	case string(raw) == "true":
		return "True"
	case string(raw) == "false":
		return "False"
	case json.Unmarshal(raw, &list) == nil:
		return strings.Join(list, ", ")
	}
	return string(raw)
}

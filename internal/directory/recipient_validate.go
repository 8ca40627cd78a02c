package directory

import (
	"fmt"
	"strings"

	"busybridge/internal/freebusy"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

// Limits of one recipient.
const (
	MaxProxies     = 400
	MaxMembers     = 5000
	MaxPermissions = 1000
)

// Validate checks the rules of one recipient. The error joins a *FieldError for
// each problem. That addresses are unique is the store's to say.
func (r *Recipient) Validate() error {
	c := &checker{}
	c.of("recipient", r.Primary.String())
	if r.Primary.IsZero() {
		c.of("recipient", r.DisplayName).bad("Primary", "", "is empty")
	}
	c.guid("Org", string(r.Org))
	c.guid("ID", r.ID)
	c.oneOf("Type", r.Type, UserMailbox, RoomMailbox, EquipmentMailbox, SharedMailbox, MailUser, MailGroup)
	c.text("DisplayName", r.DisplayName, 256)
	c.text("Alias", r.Alias, maxName)
	if strings.ContainsAny(r.Alias, " @()<>[]:;,\\\"") {
		c.bad("Alias", r.Alias, "holds characters that an alias cannot have")
	}
	r.checkAddresses(c)
	r.checkPermissions(c)
	for _, f := range []struct{ field, value string }{
		{"Name", r.Name}, {"FirstName", r.FirstName}, {"LastName", r.LastName}, {"SamAccountName", r.SamAccountName},
	} {
		if f.value != "" {
			c.text(f.field, f.value, maxName)
		}
	}
	if strings.ContainsAny(r.SamAccountName, `"/\[]:;|=,+*?<>@`) {
		c.bad("SamAccountName", r.SamAccountName, "holds characters that a logon name cannot have")
	}
	if r.ResourceCapacity < 0 {
		c.bad("ResourceCapacity", fmt.Sprint(r.ResourceCapacity), "want 0 or more")
	}
	if r.IsMailbox() {
		r.Calendar.check(c)
	} else if r.Calendar != (CalendarConfiguration{}) {
		c.bad("Calendar", r.Type, "only a mailbox has a calendar here")
	}
	return c.err()
}

func (r *Recipient) checkAddresses(c *checker) {
	seen := once{r.Primary.String(): "the primary address"}
	if len(r.Proxies) > MaxProxies {
		c.bad("Proxies", fmt.Sprint(len(r.Proxies)), "want at most %d", MaxProxies)
	}
	for _, p := range r.Proxies {
		if p.IsZero() {
			c.bad("Proxies", "", "is empty")
			continue
		}
		seen.add(c, "Proxies", p.String(), p.String(), "another address of the recipient")
	}
	group := r.Type == MailGroup
	switch u, err := smtpaddr.Parse(r.UPN); {
	case r.UPN == "" && !group:
		c.bad("UPN", "", "is empty")
	case r.UPN != "" && group:
		c.bad("UPN", r.UPN, "a group cannot sign in")
	case r.UPN != "" && (err != nil || u.String() != r.UPN):
		c.bad("UPN", r.UPN, "is not of the form user@domain in lower case")
	}
	switch external := r.ExternalAddress; {
	case r.Type == MailUser && external.IsZero():
		c.bad("ExternalAddress", "", "a mail user needs a target address")
	case r.Type != MailUser && !external.IsZero():
		c.bad("ExternalAddress", external.String(), "only a mail user has a target address")
	}
	if len(r.Members) > 0 && !group {
		c.bad("Members", fmt.Sprint(len(r.Members)), "only a group has members")
	}
	if len(r.Members) > MaxMembers {
		c.bad("Members", fmt.Sprint(len(r.Members)), "want at most %d", MaxMembers)
	}
	members := once{}
	for _, m := range r.Members {
		if m.IsZero() {
			c.bad("Members", "", "is empty")
			continue
		}
		members.add(c, "Members", m.String(), m.String(), "another member")
	}
}

func (r *Recipient) checkPermissions(c *checker) {
	if len(r.Permissions) > 0 && !r.IsMailbox() {
		c.bad("Permissions", fmt.Sprint(len(r.Permissions)), "only a mailbox has a calendar folder here")
	}
	if len(r.Permissions) > MaxPermissions {
		c.bad("Permissions", fmt.Sprint(len(r.Permissions)), "want at most %d", MaxPermissions)
	}
	users := once{}
	for _, p := range r.Permissions {
		if p.User != "Default" && p.User != "Anonymous" {
			if a, err := smtpaddr.Parse(p.User); err != nil || a.String() != p.User {
				c.bad("Permissions", p.User, "the user is neither Default, Anonymous nor an address in canonical form")
			}
		}
		if p.Level > freebusy.LevelOwner {
			c.bad("Permissions", p.Level.String(), "is no detail level")
		}
		users.add(c, "Permissions", p.User, p.User, "another permission")
	}
}

// Validate checks zone, days and hours.
func (k CalendarConfiguration) Validate() error {
	c := &checker{}
	k.check(c.of("calendar configuration", k.TimeZone))
	return c.err()
}

func (k CalendarConfiguration) check(c *checker) {
	if _, ok := wintz.Location(k.TimeZone); !ok {
		c.bad("Calendar.TimeZone", k.TimeZone, "is no known time zone")
	}
	if k.WorkDays > 0b1111111 {
		c.bad("Calendar.WorkDays", fmt.Sprintf("%08b", k.WorkDays), "has more than seven days")
	}
	if k.WorkStart < 0 || k.WorkEnd > 24*60 || k.WorkStart >= k.WorkEnd {
		c.bad("Calendar.WorkStart", fmt.Sprintf("%d to %d", k.WorkStart, k.WorkEnd), "want minutes of a day, the start before the end")
	}
}

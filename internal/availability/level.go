package availability

import (
	"net/url"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/trust"
)

// A Viewer is who looks at the calendars of an organization. What it sees is
// decided here, for every protocol: of a calendar by Level, of its entries by
// freebusy.Cut, and of what is withheld by Refusal.
type Viewer struct {
	as    *directory.Recipient // as the directory knows it; nil: as nobody in particular
	limit freebusy.Level       // whatever a calendar grants
	blind bool                 // it does not learn which mailboxes exist
	anon  bool                 // what Anonymous is granted counts
}

// NewViewer finds out who the caller of org is. What a partner sees is capped by
// the organization relationship with it (EWS reference 2.4), and never includes
// private items. Its user counts as itself only where it is a mail user here; for
// any other, and for one that a partner names but whose mailbox is here, Default
// counts. The same holds for a forest that asks by an account, without the cap: the
// account was given to it. Somebody anonymous sees what Anonymous is granted and never learns which
// mailboxes exist.
func NewViewer(org *directory.Organization, c Caller) Viewer {
	if c.Anonymous {
		return Viewer{limit: freebusy.LevelFull, blind: true, anon: true}
	}
	p := c.Partner
	if c.Forest {
		v := Viewer{limit: freebusy.LevelFull, blind: !org.AvailabilityConfig.RevealUnknownRecipients}
		if u := c.Recipient; u != nil && u.Type == directory.MailUser {
			v.as = u
		}
		return v
	}
	if p == nil {
		return Viewer{as: c.Recipient, limit: freebusy.LevelOwner}
	}
	v := Viewer{limit: min(relation(org, p), freebusy.LevelFull), blind: !org.AvailabilityConfig.RevealUnknownRecipients}
	if u := p.User; u != nil && u.Org == org.ID && u.Type == directory.MailUser {
		v.as = u
	}
	return v
}

// Level is what the viewer may see of r's calendar: what the folder grants, and
// no more than its relation.
func (v Viewer) Level(r *directory.Recipient) freebusy.Level {
	if v.anon {
		return min(anonymousLevel(r), v.limit)
	}
	return min(folderLevel(r, v.as), v.limit)
}

// Refusal is the error for an address whose calendar the viewer may not see. To
// a partner one that exists and one that does not are the same, unless the
// organization wants otherwise (AvailabilityConfig.RevealUnknownRecipients).
func (v Viewer) Refusal(a smtpaddr.Address, exists bool) *routing.MailboxError {
	if !exists && !v.blind {
		return routing.NotFound(a)
	}
	return &routing.MailboxError{Reason: routing.NoAccess, Text: "The caller does not have access to free/busy data."}
}

// folderLevel is Recipient.LevelFor for a requester with several addresses;
// nil is one that is not known here.
func folderLevel(r, requester *directory.Recipient) freebusy.Level {
	if requester != nil {
		if requester.ID == r.ID || r.HasAddress(requester.Primary) {
			return freebusy.LevelOwner
		}
		for i := range r.Permissions {
			p := &r.Permissions[i]
			if strings.IndexByte(p.User, '@') < 0 {
				continue // Default, Anonymous
			}
			if addr, err := smtpaddr.Parse(p.User); err == nil && requester.HasAddress(addr) {
				return p.Level
			}
		}
	}
	return r.LevelFor(smtpaddr.Address{})
}

// anonymousLevel is what r's folder grants to everybody.
func anonymousLevel(r *directory.Recipient) freebusy.Level {
	for i := range r.Permissions {
		if r.Permissions[i].User == "Anonymous" {
			return r.Permissions[i].Level
		}
	}
	return freebusy.LevelNone
}

// relation is the most that a partner may see by organization relationships.
//
// Which relationship is the partner's is decided by what was proved: its realm,
// and for one that is trusted directly the host that its pinned keys come from.
// The domain of the user it names is only its word: that can lower the level,
// but not choose a better relationship than the proved one. Where nothing proved
// names a relationship:
//
//   - an application that an authorization server vouches for is the other half
//     of this organization, since the realm is ours: its word counts, and when it
//     names nobody that a relationship covers, the lowest of those with our own
//     domains;
//   - one that is trusted directly is held to the lowest relationship that may be
//     its, and without any to time and status.
func relation(org *directory.Organization, p *trust.Caller) freebusy.Level {
	limit, proved := lowest(org, provedDomains(p))
	claimed, named := lowest(org, []string{domainOf(p.SMTP), domainOf(p.UPN)})
	direct := p.Application != nil && !p.Application.UseAuthServer
	switch {
	case proved:
	case direct:
		limit = freebusy.LevelTime
		if directory.IsGUID(p.Realm) { // which may be any of them
			limit = min(limit, lowestOf(org, func(*directory.OrganizationRelationship) bool { return true }))
		}
	case !named:
		limit = lowestOf(org, func(r *directory.OrganizationRelationship) bool {
			for _, d := range r.DomainNames {
				if org.Accepts(strings.TrimPrefix(d, "*.")) {
					return true
				}
			}
			return false
		})
	default:
		limit = freebusy.LevelOwner
	}
	if named {
		limit = min(limit, claimed)
	}
	return limit
}

// provedDomains are the domains that a partner's token proves: the realm, where
// it is a domain, and those above the host of the pinned metadata.
func provedDomains(p *trust.Caller) []string {
	out := []string{domainOf(p.Realm)}
	if p.Application == nil || p.Application.UseAuthServer {
		return out
	}
	u, err := url.Parse(p.Application.AuthMetadataURL)
	if err != nil {
		return out
	}
	for d := domainOf(u.Hostname()); strings.Contains(d, "."); _, d, _ = strings.Cut(d, ".") {
		out = append(out, d)
	}
	return out
}

// domainOf is the domain of an address, or the domain itself; "": neither.
func domainOf(name string) string {
	d, err := smtpaddr.ParseDomain(name[strings.LastIndexByte(name, '@')+1:])
	if err != nil {
		return ""
	}
	return d
}

// lowest is the lowest level of the relationships that name one of the domains.
func lowest(org *directory.Organization, domains []string) (level freebusy.Level, ok bool) {
	level = freebusy.LevelOwner
	for _, d := range domains {
		if l, found := org.MaxLevel(d); d != "" && found {
			level, ok = min(level, l), true
		}
	}
	return level, ok
}

// lowestOf is the lowest level of the enabled relationships that match.
func lowestOf(org *directory.Organization, match func(*directory.OrganizationRelationship) bool) freebusy.Level {
	level := freebusy.LevelOwner
	for i := range org.Relationships {
		if r := &org.Relationships[i]; r.Enabled && match(r) {
			level = min(level, r.Level())
		}
	}
	return level
}

package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// ErrChoose is wrapped when a question does not say which organization it is about.
var ErrChoose = errors.New("say which organization")

// Organization finds an organization by name, id or one of its domains; "" is
// the only one.
func (d *Deployment) Organization(ctx context.Context, name string) (*directory.Organization, error) {
	orgs, err := d.Store.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	if name == "" && len(orgs) == 1 {
		return orgs[0], nil
	}
	var names []string
	for _, o := range orgs {
		if name != "" && (strings.EqualFold(o.Name, name) || strings.EqualFold(string(o.ID), name) || o.Accepts(strings.ToLower(name))) {
			return o, nil
		}
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: the store has none; make one with: busybridge setup", ErrChoose)
	}
	return nil, fmt.Errorf("%w: %q is none of: %s", ErrChoose, name, strings.Join(names, ", "))
}

// A TokenQuestion asks what an organization makes of a token.
type TokenQuestion struct {
	Token string
	Org   *directory.Organization // required
	// Host is the one that the request was addressed to; "": the host that the
	// token names if it is the organization's, else the organization's first.
	Host string
	At   time.Time // zero: now; of a user's token it is always now
}

// ExplainToken does what a server of the organization would do with the token,
// by the same checks, without a trace in audit or metrics.
func (d *Deployment) ExplainToken(ctx context.Context, q TokenQuestion) (*trust.Explanation, error) {
	now := d.set.Now
	if !q.At.IsZero() {
		now = func() time.Time { return q.At }
	}
	v, err := trust.NewValidator(trust.ValidatorConfig{Organizations: d.sites, Recipients: d.Store, Now: now})
	if err != nil {
		return nil, err
	}
	host := strings.ToLower(q.Host)
	if host == "" {
		if host, err = addressed(q.Org, q.Token); err != nil {
			return nil, err
		}
	}
	if d.users != nil {
		orgs, err := d.sites.OrganizationsAt(ctx, host)
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return nil, err
		}
		if x, err := d.users.Explain(ctx, q.Token, host, orgs); !errors.Is(err, trust.ErrNotUserToken) {
			return x, err
		}
	}
	return v.Explain(ctx, q.Token, host)
}

// addressed guesses the host that a token was sent to.
func addressed(org *directory.Organization, token string) (string, error) {
	var hosts []string
	for i := range org.Servers {
		hosts = append(hosts, org.Servers[i].HostNames...)
	}
	if named := strings.ToLower(trust.AudienceHost(token)); slices.Contains(hosts, named) {
		return named, nil
	}
	if len(hosts) == 0 {
		return "", fmt.Errorf("organization %s has no server; name the host that the token was sent to", org.Name)
	}
	return hosts[0], nil
}

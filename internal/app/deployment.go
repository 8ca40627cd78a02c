// Package app turns a configuration into a running system. It is the only
// package that sees all the others.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"busybridge/internal/admin"
	"busybridge/internal/audit"
	"busybridge/internal/availability"
	"busybridge/internal/dial/authorityclient"
	"busybridge/internal/dial/safehttp"
	"busybridge/internal/directory"
	"busybridge/internal/routing"
	"busybridge/internal/serve/apiserver"
	"busybridge/internal/serve/authorityserver"
	"busybridge/internal/serve/autodiscoverserver"
	"busybridge/internal/serve/caldavserver"
	"busybridge/internal/serve/callers"
	"busybridge/internal/serve/ewsserver"
	"busybridge/internal/serve/freebusyserver"
	"busybridge/internal/serve/graphserver"
	"busybridge/internal/serve/mount"
	"busybridge/internal/serve/remoteserver"
	"busybridge/internal/source/calstore"
	"busybridge/internal/source/peersource"
	"busybridge/internal/source/syncsource"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/store/sqlstore"
	"busybridge/internal/trust"
)

// Roles of a deployment.
const (
	RoleOrganization = "organization"
	RoleAuthority    = "authority"
)

// Settings are what Open needs. They come from a configuration file or from a lab.
type Settings struct {
	StorePath string          // required: a file, or the URL of a PostgreSQL database
	SealKey   []byte          // required; 32 bytes
	Roles     []string        // required: RoleOrganization, RoleAuthority
	Dial      safehttp.Config // for connections to other servers
	// StorePassword is for a URL without one; Citus distributes a new database.
	StorePassword string
	Citus         bool
	Now           func() time.Time // required
	Log           *slog.Logger     // required
	// Ticks wake the tasks that look after keys; nil: trust.MachineTicks.
	Ticks trust.Ticks
	// Registerer takes the metrics; nil: none are kept.
	Registerer prometheus.Registerer

	Timeout, PeerTimeout time.Duration // of a question; 0: the engine's defaults
	PeerBody             int64         // bytes of another server's answer; 0: the client's default
	Body                 int64         // bytes of a request; 0: the servers' defaults
	Mailboxes            int           // of one question; 0: 100
	InFlight             int           // requests at once; 0: mount's default
	CacheBytes           int           // of calendars (two thirds) and the directory in memory; 0: the stores' defaults
	MetadataRefresh      time.Duration // of each AuthServer; 0: 8 hours
	TokenReuse           time.Duration // by the authority; 0: 5 minutes, negative: never
	TrustedProxies       []netip.Prefix
	// Turns say who may have how much; Now and Metrics are set here.
	Turns mount.TurnsConfig
	// Runspaces says what sessions of remote PowerShell run in; nil: none are offered.
	Runspaces          func(*Deployment) remoteserver.Runspaces
	Remote             remoteserver.Limits // of these sessions; zero fields: the server's defaults
	UserIssuers        []trust.UserIssuer  // whose tokens users may sign in with
	ClientCertificates bool                // or with certificates that their accounts name
}

// A Deployment is one or more organizations, or an authorization server, with
// one store.
type Deployment struct {
	Store *sqlstore.Store
	Admin *admin.Service

	set       Settings
	calendars *calstore.Calendars
	safe      *http.Transport
	tokens    *trust.Tokens
	users     *trust.UserTokens // nil without Settings.UserIssuers
	refresh   *trust.Refresher
	follow    *trust.Follower
	keys      *keyKeeper
	sources   *syncsource.Syncer
	sites     *sites
	damper    *audit.Damper
	refusals  *refusals
	service   *serviceAccounts
	engine    *availability.Engine // nil without RoleOrganization
	authority *trust.Authority     // nil without RoleAuthority
	handler   http.Handler
	turns     *mount.Turns
	remote    *remoteserver.Server // nil without Settings.Runspaces
}

// Open opens the store, migrating it when needed, and puts everything together.
func Open(ctx context.Context, set Settings) (_ *Deployment, err error) {
	if set.Ticks == nil {
		set.Ticks = trust.MachineTicks
	}
	store, err := openStore(ctx, &set)
	if err != nil {
		return nil, err
	}
	d := &Deployment{Store: store, set: set, sites: newSites(store), service: newServiceAccounts(store, set.SealKey)}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	if d.safe, err = safehttp.Transport(set.Dial); err != nil {
		return nil, err
	}
	authority, err := authorityclient.New(authorityclient.Config{HTTP: safehttp.Client(d.safe, set.Dial)})
	if err != nil {
		return nil, err
	}
	if d.damper, err = audit.NewDamper(audit.DamperConfig{To: store, Now: set.Now}); err != nil {
		return nil, err
	}
	d.refusals = newRefusals(d.damper, set.Log, set.Registerer)
	if d.calendars, err = calstore.New(calstore.Config{Store: store, Now: set.Now, Log: set.Log, CacheBytes: set.CacheBytes * 2 / 3}); err != nil {
		return nil, err
	}
	if d.tokens, err = trust.NewTokens(trust.TokensConfig{Endpoint: authority, Now: set.Now, Log: set.Log}); err != nil {
		return nil, err
	}
	if d.sources, err = newSources(d); err != nil {
		return nil, err
	}
	if d.Admin, err = admin.New(admin.Config{
		Store: admin.Over(store), Calendars: d.calendars, Sources: d.sources, Metadata: authority, Published: d.tokens.Published, Now: set.Now, Log: set.Log,
	}); err != nil {
		return nil, err
	}
	if d.keys, err = newKeyKeeper(d); err != nil {
		return nil, err
	}
	if d.refresh, err = trust.NewRefresher(trust.RefresherConfig{
		Metadata: authority, Servers: store, Now: set.Now, Log: set.Log, Every: set.MetadataRefresh, Ticks: set.Ticks,
	}); err != nil {
		return nil, err
	}
	if d.follow, err = trust.NewFollower(trust.FollowerConfig{
		Organizations: store.Organizations, Follow: d.followPartner, Now: set.Now, Log: set.Log, Every: set.MetadataRefresh, Ticks: set.Ticks,
	}); err != nil {
		return nil, err
	}
	if len(set.UserIssuers) > 0 {
		if d.users, err = trust.NewUserTokens(trust.UserTokensConfig{Issuers: set.UserIssuers, Documents: authority, Now: set.Now, Log: set.Log, Ticks: set.Ticks}); err != nil {
			return nil, err
		}
	}
	var routes []mount.Route
	var auth *callers.Authenticator
	if len(set.Roles) > 0 {
		if auth, err = d.authenticator(); err != nil {
			return nil, err
		}
	}
	if set.Runspaces != nil && auth != nil {
		rc := remoteserver.Config{Auth: remoteCallers{d, auth}, Runspaces: set.Runspaces(d), Audit: d.damper, Now: set.Now, Log: set.Log, Limits: set.Remote}
		if set.Registerer != nil {
			rc.Metrics = remoteserver.NewMetrics(set.Registerer)
		}
		if d.remote, err = remoteserver.New(rc); err != nil {
			return nil, err
		}
		routes = d.remote.Routes()
	}
	if d.has(RoleOrganization) {
		r, err := d.organizationRoutes(auth)
		if err != nil {
			return nil, err
		}
		routes = append(routes, r...)
	}
	if d.has(RoleAuthority) {
		r, err := d.authorityRoutes()
		if err != nil {
			return nil, err
		}
		routes = append(routes, r...)
	}
	mc := mount.Config{Routes: routes, Log: set.Log, Now: set.Now, MaxInFlight: set.InFlight, TrustedProxies: set.TrustedProxies}
	if set.Registerer != nil {
		mc.Metrics = mount.NewMetrics(set.Registerer)
	}
	set.Turns.Now, set.Turns.Metrics = set.Now, mc.Metrics
	d.turns = mount.NewTurns(set.Turns)
	mc.Turns = d.turns
	d.handler = mount.New(mc)
	return d, nil
}

func (d *Deployment) has(role string) bool { return slices.Contains(d.set.Roles, role) }

// Now is the deployment's clock.
func (d *Deployment) Now() time.Time { return d.set.Now() }

// Handler answers the requests of clients and of other organizations.
func (d *Deployment) Handler() http.Handler { return d.handler }

// Close waits for questions that go on and closes the store. Call it when
// nothing is served any more.
func (d *Deployment) Close() error {
	if d.remote != nil {
		d.remote.Close()
	}
	if d.engine != nil {
		d.engine.Wait()
	}
	d.tokens.Wait()
	d.safe.CloseIdleConnections()
	var err error
	if d.authority != nil {
		err = d.authority.Flush(context.Background())
	}
	return errors.Join(err, d.damper.Flush(context.Background()), d.Store.Close())
}

// RunAll runs the tasks of the deployments and serve until ctx ends or one of them fails.
func RunAll(ctx context.Context, deployments []*Deployment, serve func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range deployments {
		g.Go(func() error {
			if err := d.refresh.Run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("metadata refresh: %w", err)
			}
			return nil
		})
		g.Go(func() error {
			d.damper.Run(ctx, func(err error) { d.set.Log.ErrorContext(ctx, "refusals are not recorded", "err", err) })
			return nil
		})
		g.Go(func() error { return d.keys.run(ctx) })
		if d.users != nil {
			g.Go(func() error { return d.users.Run(ctx) })
		}
		g.Go(func() error { return d.follow.Run(ctx) })
		if d.has(RoleOrganization) {
			g.Go(func() error { return d.sources.Run(ctx) })
		}
		if d.remote != nil {
			g.Go(func() error {
				d.remote.Run(ctx)
				return nil
			})
		}
	}
	g.Go(func() error { return serve(ctx) })
	return g.Wait()
}

// A remoteCallers finds out who wants a session: an account of an organization,
// or where the host serves none, of a realm.
type remoteCallers struct {
	d    *Deployment
	auth *callers.Authenticator
}

// Authenticate implements remoteserver.Authenticator.
func (c remoteCallers) Authenticate(r *http.Request) (*callers.Caller, error) {
	caller, err := c.auth.Authenticate(r)
	if !c.d.has(RoleAuthority) || !errors.Is(err, directory.ErrNotFound) {
		return caller, err
	}
	account, err := c.auth.RealmAccount(r)
	if err != nil {
		return nil, err
	}
	return &callers.Caller{Account: account}, nil
}

// Challenge implements remoteserver.Authenticator.
func (c remoteCallers) Challenge(w http.ResponseWriter, r *http.Request, err error) {
	if _, none := c.auth.Site(r); c.d.has(RoleAuthority) && errors.Is(none, directory.ErrNotFound) {
		c.auth.ChallengeRealm(w, r, err)
		return
	}
	c.auth.Challenge(w, r, err)
}

// Client is a client for other servers, within the fence of the deployment's settings.
func (d *Deployment) Client() *http.Client { return safehttp.Client(d.safe, d.set.Dial) }

// organizationRoutes builds what serves organizations.
func (d *Deployment) organizationRoutes(auth *callers.Authenticator) ([]mount.Route, error) {
	peers, err := peersource.New(peersource.Config{Client: d.peerClient, Service: d.serviceClientOver(d.safe), Now: d.set.Now, Log: d.set.Log, MaxBody: d.set.PeerBody})
	if err != nil {
		return nil, err
	}
	if d.engine, err = availability.New(availability.Config{
		Recipients: d.Store, Calendars: d.calendars, Peers: peers, Log: d.set.Log, Timeout: d.set.Timeout, PeerTimeout: d.set.PeerTimeout,
	}); err != nil {
		return nil, err
	}
	vc := d.validation()
	vc.Service = trust.Graph
	ofGraph, err := trust.NewValidator(vc)
	if err != nil {
		return nil, err
	}
	exchange, err := ewsserver.New(ewsserver.Config{
		Engine: d.engine, Auth: auth, Recipients: d.Store, Now: d.set.Now, Log: d.set.Log, MaxBody: d.set.Body, MaxMailboxes: d.set.Mailboxes,
	})
	if err != nil {
		return nil, err
	}
	auto, err := autodiscoverserver.New(autodiscoverserver.Config{
		Sites: d.sites, Auth: auth, Directory: d.Store, Now: d.set.Now, Log: d.set.Log,
		Metadata: d.metadata, V2Redirect: autodiscoverserver.ConnectorHost,
	})
	if err != nil {
		return nil, err
	}
	api, err := apiserver.New(apiserver.Config{Auth: auth, Calendars: mailboxes{d}})
	if err != nil {
		return nil, err
	}
	schedules, err := graphserver.New(graphserver.Config{Engine: d.engine, Auth: auth.With(ofGraph), Recipients: d.Store, Now: d.set.Now, Log: d.set.Log, MaxBody: d.set.Body})
	if err != nil {
		return nil, err
	}
	dav, err := caldavserver.New(caldavserver.Config{
		Engine: d.engine, Auth: auth, Recipients: d.Store, Calendars: davCalendars{d}, Now: d.set.Now, Log: d.set.Log, MaxBody: d.set.Body,
	})
	if err != nil {
		return nil, err
	}
	published, err := freebusyserver.New(freebusyserver.Config{Engine: d.engine, Auth: auth, Now: d.set.Now, Log: d.set.Log})
	if err != nil {
		return nil, err
	}
	return slices.Concat(exchange.Routes(), auto.Routes(), api.Routes(), schedules.Routes(), published.Routes(), dav.Routes()), nil
}

// validation is how tokens of partners are checked.
func (d *Deployment) validation() trust.ValidatorConfig {
	return trust.ValidatorConfig{
		Organizations: d.sites, Recipients: d.Store, Now: d.set.Now, UnknownKey: d.refresh.UnknownKey, UnknownPartnerKey: d.follow.UnknownKey, Refused: d.refusals.token,
	}
}

// authenticator finds out who sends requests.
func (d *Deployment) authenticator() (*callers.Authenticator, error) {
	validator, err := trust.NewValidator(d.validation())
	if err != nil {
		return nil, err
	}
	cc := callers.Config{
		Sites: d.sites, Accounts: d.Store, Recipients: d.Store, Tokens: validator, ClientCertificates: d.set.ClientCertificates,
		Verify: trust.VerifyPassword, DummyHash: trust.NoPassword(), Rehash: d.Admin.Rehash, AppPasswordUsed: d.Admin.AppPasswordUsed,
		TokenRefused: d.refusals.token, Now: d.set.Now, Log: d.set.Log,
	}
	if d.users != nil {
		cc.UserTokens = d.users
	}
	if d.set.Registerer != nil {
		cc.Metrics = callers.NewMetrics(d.set.Registerer)
	}
	return callers.New(cc)
}

func (d *Deployment) authorityRoutes() (_ []mount.Route, err error) {
	d.authority, err = trust.NewAuthority(trust.AuthorityConfig{
		Realms: d.Store, Authority: d.Store.AuthorityConfig, ReuseFor: d.set.TokenReuse, Audit: d.damper, Now: d.set.Now, Log: d.set.Log,
	})
	if err != nil {
		return nil, err
	}
	s, err := authorityserver.New(authorityserver.Config{Authority: d.authority})
	if err != nil {
		return nil, err
	}
	return s.Routes(), nil
}

// peerClient is the client that a question to another organization goes out by.
func (d *Deployment) peerClient(org *directory.Organization, by routing.Requester, application *directory.AuthServer) *http.Client {
	return safehttp.Client(&trust.Transport{Base: d.safe, Tokens: d.tokens, Org: org, As: userOf(by), Application: application}, d.set.Dial)
}

// followPartner reads the document of a directly trusted partner again.
func (d *Deployment) followPartner(ctx context.Context, org directory.OrgID, partner string) error {
	res, err := d.Admin.SetPartnerApplication(ctx, admin.Actor{Name: "system", System: true}, org, partner, true, nil)
	for _, w := range res.Warnings {
		d.set.Log.WarnContext(ctx, "keys of a partner wait for approval", "org", org, "partner", partner, "warning", w)
	}
	return err
}

// userOf is the user part of a token: what the other side can find the requester
// by (oauth-s2s reference 4.3). nil: nobody in particular asks.
func userOf(by routing.Requester) *trust.User {
	if by.Address.IsZero() {
		return nil
	}
	u := &trust.User{UPN: by.UPN, SMTP: by.Address.String(), SIP: by.Address.String()}
	if u.UPN == "" {
		u.UPN = u.SMTP
	}
	return u
}

// serviceClientOver is the client by which address spaces are asked, over a transport.
func (d *Deployment) serviceClientOver(base http.RoundTripper) func(*directory.Organization, *directory.AvailabilityAddressSpace, routing.Requester) (*http.Client, error) {
	return func(org *directory.Organization, space *directory.AvailabilityAddressSpace, _ routing.Requester) (*http.Client, error) {
		return d.spaceClient(base, org, space)
	}
}

// metadata is the document that an organization publishes (oauth-s2s reference 1.2).
func (d *Deployment) metadata(ctx context.Context, host string) ([]byte, error) {
	set, err := d.sites.Site(ctx, host)
	if err != nil {
		return nil, err
	}
	site, ok := set.Only()
	if !ok {
		return nil, fmt.Errorf("host %s serves %d organizations, which sign with certificates of their own: %w", host, len(set.All()), directory.ErrNotFound)
	}
	doc, err := trust.OrganizationDocument(site.Org, host, d.set.Now())
	if err != nil {
		return nil, err
	}
	if doc.Delegates, err = d.tokens.Delegates(site.Org); err != nil {
		return nil, err
	}
	return doc.MarshalOrganization()
}

// mailboxes are the calendars of mailboxes, for the HTTP interface.
type mailboxes struct{ d *Deployment }

// Import implements apiserver.Calendars.
func (m mailboxes) Import(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, calendar, name string, r io.Reader, progress func(done, total int)) (sum directory.ImportSummary, err error) {
	err = m.with(ctx, caller, "Import-Calendar", mailbox, calendar, func(to *directory.Recipient) (any, error) {
		sum, err = m.d.calendars.ImportInto(ctx, to, calendar, name, r, progress)
		return sum, err
	})
	return sum, err
}

// Folders implements apiserver.Calendars.
func (m mailboxes) Folders(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address) (list []directory.CalendarFolder, err error) {
	err = m.with(ctx, caller, "Get-CalendarFolder", mailbox, "", func(of *directory.Recipient) (any, error) {
		list, err = m.d.calendars.Folders(ctx, of)
		return nil, err
	})
	return list, err
}

// SetFolder implements apiserver.Calendars.
func (m mailboxes) SetFolder(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, calendar string, transparent bool) (created bool, err error) {
	err = m.with(ctx, caller, "Set-CalendarFolder", mailbox, calendar, func(of *directory.Recipient) (any, error) {
		created, err = m.d.calendars.SetFolder(ctx, of, calendar, transparent)
		return directory.CalendarFolder{Name: calendar, Transparent: transparent}, err
	})
	return created, err
}

// DeleteFolder implements apiserver.Calendars.
func (m mailboxes) DeleteFolder(ctx context.Context, caller *callers.Caller, mailbox smtpaddr.Address, calendar string) error {
	return m.with(ctx, caller, "Remove-CalendarFolder", mailbox, calendar, func(of *directory.Recipient) (any, error) {
		return directory.CalendarFolder{Name: calendar}, m.d.calendars.DeleteFolder(ctx, of, calendar)
	})
}

// with runs an operation, and tells its errors as apiserver knows them.
func (m mailboxes) with(ctx context.Context, caller *callers.Caller, op string, mailbox smtpaddr.Address, calendar string, do func(*directory.Recipient) (any, error)) error {
	if directory.IsSourceFolder(calendar) {
		return fmt.Errorf("%w: %s is the copy of a calendar source, and changes with it", apiserver.ErrCalendar, calendar)
	}
	err := m.d.Admin.WithCalendar(ctx, actorOf(ctx, caller), op, caller.Org.ID, mailbox.String(), do)
	is := func(errs ...error) bool {
		return slices.ContainsFunc(errs, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case is(admin.ErrForbidden):
		return fmt.Errorf("%w: %s may not change the calendars of %s", apiserver.ErrForbidden, caller.Account.UserName, mailbox)
	case is(calstore.ErrNotCalendar, calstore.ErrTooLarge):
		return fmt.Errorf("%w: %w", apiserver.ErrUnusable, err)
	case is(calstore.ErrFolderName, calstore.ErrMainFolder, calstore.ErrFolders):
		return fmt.Errorf("%w: %w", apiserver.ErrCalendar, err)
	}
	return err
}

// actorOf is who an account is to the operations.
func actorOf(ctx context.Context, c *callers.Caller) admin.Actor {
	return admin.Actor{Name: c.Account.UserName, Org: c.Org.ID, Roles: c.Account.Roles, RequestID: mount.RequestID(ctx)}
}

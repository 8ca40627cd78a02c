package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
)

func (e *env) setupCommand() *cobra.Command {
	var (
		file string
		p    app.SetupParams
	)
	cmd := &cobra.Command{
		Use:   "setup --config FILE --organization NAME --domain DOMAIN --administrator USER",
		Short: "Make the first organization, or the first realm, of a store",
		Long: `Makes what a fresh store lacks, so that a node can serve: an organization with
its accepted domain, its signing certificate, a server object for this node and
an administrator; on a node with the role authority, a realm and its
administrator. What is there already stays as it is. The server may run meanwhile.

Passwords are taken from ` + passwordVariable + `, or asked for.`,
		Example: `  busybridge setup --config busybridge.yaml --organization Contoso --domain contoso.com --administrator admin@contoso.com
  busybridge setup --config authority.yaml --realm contoso.partner.onmschina.cn --verified-domain contoso.com --realm-administrator admin@contoso.partner.onmschina.cn`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, os.Environ())
			if err != nil {
				return err
			}
			if p.Organization == "" && p.Realm == "" {
				return usageError{errors.New("say what to make: --organization NAME --domain DOMAIN --administrator USER, or --realm DOMAIN")}
			}
			if p.Organization != "" {
				if p.Domain == "" || p.Administrator == "" {
					return usageError{errors.New("--organization needs --domain and --administrator")}
				}
				if p.Password, err = (&target{user: p.Administrator}).password(e); err != nil {
					return err
				}
			}
			if p.RealmAdministrator != "" {
				if p.Realm == "" {
					return usageError{errors.New("--realm-administrator needs --realm")}
				}
				if p.RealmPassword, err = (&target{user: p.RealmAdministrator}).password(e); err != nil {
					return err
				}
			}
			done, err := app.Setup(cmd.Context(), cfg, e.logger(slog.LevelWarn, false), p)
			for _, line := range done {
				if _, err := fmt.Fprintln(e.stdout, line); err != nil {
					return err
				}
			}
			if err == nil && len(done) == 0 {
				_, err = fmt.Fprintln(e.stdout, "everything was there already")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", defaultConfig, "configuration file")
	f.StringVar(&p.Organization, "organization", "", "name of the organization")
	f.StringVar(&p.Domain, "domain", "", "its default accepted domain")
	f.StringVar(&p.Administrator, "administrator", "", "user name of its administrator, e.g. admin@contoso.com")
	f.StringVar(&p.Realm, "realm", "", "initial domain of a realm (role authority)")
	f.StringVar(&p.RealmAdministrator, "realm-administrator", "", "user name of the realm's administrator, who signs in with Connect-MsolService")
	f.StringArrayVar(&p.VerifiedDomains, "verified-domain", nil, "further domain of the realm; may be given more than once")
	return cmd
}

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/directory"
	"busybridge/internal/trust"
)

// operator is who runs a command with the store and its key at hand.
var operator = admin.Actor{Name: "operator", System: true}

func (e *env) trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Trust another organization directly, without an authorization server",
		Long: `Two organizations trust each other when each has pinned the metadata document of
the other: its address, its name and its keys. Then each signs its tokens itself.

On both sides:

  1. busybridge trust show                 says the fingerprint of one's own keys
  2. tell it to the other side by telephone, not by mail
  3. busybridge trust add NAME URL --fingerprint "what they told"

Later keys are followed as long as the document at that address still holds a key
that was pinned. Otherwise they wait, trust show says so, and
trust approve pins them with the fingerprint that the other side tells.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("say what to do: trust show, trust add, trust approve")}
		},
	}
	cmd.AddCommand(e.trustShowCommand(), e.trustAddCommand(), e.trustApproveCommand())
	return cmd
}

// with opens the store and runs do; what it changes is in the audit trail.
func (f *storeFlags) with(cmd *cobra.Command, e *env, do func(*app.Deployment, *directory.Organization) error) (err error) {
	d, org, err := f.open(cmd.Context(), e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return do(d, org)
}

// A trustView is what trust show prints.
type trustView struct {
	Organization string        `json:"organization"`
	Realm        string        `json:"realm"`
	Documents    []string      `json:"documents"` // addresses that the other side may pin
	Fingerprint  string        `json:"fingerprint"`
	Partners     []partnerView `json:"partners"`
}

type partnerView struct {
	Name        string `json:"name"`
	Realm       string `json:"realm"`
	Document    string `json:"document"`
	Enabled     bool   `json:"enabled"`
	Fingerprint string `json:"fingerprint"`
	Pending     string `json:"pending,omitempty"`
}

func (e *env) trustShowCommand() *cobra.Command {
	var (
		f      storeFlags
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show the fingerprint of one's own keys, and the partners that are trusted directly",
		Example: "  busybridge trust show --config busybridge.yaml\n  busybridge trust show --lab lab --org onprem --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd, e, func(d *app.Deployment, org *directory.Organization) error {
				own, err := d.Admin.OwnFingerprint(cmd.Context(), operator, org.ID)
				if err != nil {
					return err
				}
				v := trustView{Organization: org.Name, Realm: org.Realm(), Fingerprint: own, Partners: []partnerView{}}
				for i := range org.Servers {
					if s := &org.Servers[i]; s.OAuthAuthentication && len(s.HostNames) > 0 {
						v.Documents = append(v.Documents, "https://"+s.HostNames[0]+trust.DocumentPath)
					}
				}
				for i := range org.PartnerApplications {
					if p := &org.PartnerApplications[i]; !p.UseAuthServer {
						v.Partners = append(v.Partners, partnerView{p.Name, p.Realm, p.AuthMetadataURL, p.Enabled,
							directory.Fingerprint(p.CertificateStrings), directory.Fingerprint(p.PendingCertificateStrings)})
					}
				}
				if asJSON {
					return e.printJSON(v)
				}
				return v.write(e.stdout)
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (v *trustView) write(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "organization\t%s\n", v.Organization)
	fmt.Fprintf(t, "realm\t%s\n", v.Realm)
	for _, d := range v.Documents {
		fmt.Fprintf(t, "document\t%s\n", d)
	}
	fmt.Fprintf(t, "fingerprint\t%s\n", v.Fingerprint)
	for _, p := range v.Partners {
		state := ""
		if !p.Enabled {
			state = " (disabled)"
		}
		fmt.Fprintf(t, "\npartner\t%s%s\nrealm\t%s\ndocument\t%s\nfingerprint\t%s\n", p.Name, state, p.Realm, p.Document, p.Fingerprint)
		if p.Pending != "" {
			fmt.Fprintf(t, "waiting\t%s, for: busybridge trust approve\n", p.Pending)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (e *env) trustAddCommand() *cobra.Command {
	var (
		f           storeFlags
		fingerprint string
	)
	cmd := &cobra.Command{
		Use:   "add NAME URL --fingerprint DIGITS",
		Short: "Trust the organization whose metadata document is at URL",
		Long: `Reads the document at URL, and pins its address, its name and its keys when they
have the fingerprint that the other side has told (its trust show). Its servers
may then ask for free/busy, within what organization relationships and calendars
let it see. To ask there in turn, make a connector: New-IntraOrganizationConnector.`,
		Example: `  busybridge trust add Fabrikam https://mail.fabrikam.com/autodiscover/metadata/json/1 --config busybridge.yaml --fingerprint "12345 67890 12345 67890 12345 67890"`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fingerprint == "" {
				return usageError{errors.New("--fingerprint is needed: ask the other side for that of its trust show, by telephone")}
			}
			return f.with(cmd, e, func(d *app.Deployment, org *directory.Organization) error {
				res, err := d.Admin.PinPartnerApplication(cmd.Context(), operator, org.ID, directory.PartnerApplication{
					Common: directory.Common{Name: args[0]}, Enabled: true, AuthMetadataURL: args[1],
					ActAsPermissions: []string{trust.FreeBusyPermission}, AppOnlyPermissions: []string{trust.FreeBusyPermission},
				}, fingerprint)
				if err != nil {
					return fingerprintUsage(err)
				}
				_, err = fmt.Fprintf(e.stdout, "%s (realm %s) is trusted. Let it pin this organization, too: busybridge trust show\n", res.Object.Name, res.Object.Realm)
				return err
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "what the other side has told: six groups of five digits")
	return cmd
}

func (e *env) trustApproveCommand() *cobra.Command {
	var (
		f           storeFlags
		fingerprint string
	)
	cmd := &cobra.Command{
		Use:     "approve NAME --fingerprint DIGITS",
		Short:   "Pin the keys of a partner that wait for approval",
		Example: `  busybridge trust approve Fabrikam --config busybridge.yaml --fingerprint "12345 67890 12345 67890 12345 67890"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fingerprint == "" {
				return usageError{errors.New("--fingerprint is needed: ask the other side for that of its trust show, by telephone")}
			}
			return f.with(cmd, e, func(d *app.Deployment, org *directory.Organization) error {
				res, err := d.Admin.ApprovePartnerKeys(cmd.Context(), operator, org.ID, args[0], fingerprint)
				if err != nil {
					return fingerprintUsage(err)
				}
				_, err = fmt.Fprintf(e.stdout, "The keys of %s are pinned: %s\n", res.Object.Name, directory.Fingerprint(res.Object.CertificateStrings))
				return err
			})
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "what the other side has told: six groups of five digits")
	return cmd
}

// fingerprintUsage says what to do about keys that are not those that were told.
func fingerprintUsage(err error) error {
	if errors.Is(err, admin.ErrFingerprint) {
		return fmt.Errorf("%w. Nothing was changed: either a digit was misheard, or what answers there is not the partner", err)
	}
	return err
}

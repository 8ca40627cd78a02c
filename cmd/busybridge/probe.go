package main

import (
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/app/client"
	"busybridge/internal/app/probe"
	"busybridge/internal/dial/safehttp"
)

func (e *env) probeCommand() *cobra.Command {
	var (
		lab, caFile string
		connectTo   map[string]string
		asJSON      bool
	)
	cmd := &cobra.Command{
		Use:   "probe HOST",
		Short: "See what a host that looks like Exchange offers, without credentials",
		Long: `Asks HOST as another organization's server begins: at Exchange Web Services, at
Autodiscover in its three forms, and for metadata documents. Prints what it sees:
TLS and certificate, versions from headers, which tokens it takes and which other
ways to sign in, which issuers it trusts, and whether something before it
pre-authenticates. It needs no configuration and no credentials.

The exit status is 1 when nobody could ask there with a token.`,
		Example: "  busybridge probe mail.contoso.com\n  busybridge probe partner.outlook.cn --json\n  busybridge probe autodiscover.contoso.com --lab lab",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := probe.Host(args[0])
			if err != nil {
				return usageError{err}
			}
			// It is the user who named the host.
			dial := safehttp.Config{ConnectTo: connectTo, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
			if lab != "" {
				l, err := client.ReadLabFile(lab)
				if err != nil {
					return err
				}
				dial.ConnectTo, caFile = l.ConnectTo(), l.CAFile
			}
			if caFile != "" {
				if dial.Roots, err = client.ReadRoots(caFile); err != nil {
					return err
				}
			}
			hc, err := safehttp.New(dial)
			if err != nil {
				return usageError{err}
			}
			defer hc.CloseIdleConnections()
			r, err := probe.Run(cmd.Context(), probe.Config{HTTP: hc, Now: time.Now}, host)
			if err != nil {
				return err
			}
			if asJSON {
				err = e.printJSON(r)
			} else {
				err = r.Text(e.stdout)
			}
			if err == nil && !r.Usable {
				err = errReported
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&lab, "lab", "", "directory of a running lab, whose hosts are meant")
	f.StringVar(&caFile, "ca-file", "", "PEM file of the certificate authority to trust instead of the system's")
	f.StringToStringVar(&connectTo, "connect-to", nil, "connect to another address for host:port, e.g. mail.contoso.com:443=192.0.2.10:443")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

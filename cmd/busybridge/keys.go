package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
)

// earliestKey is how long those who read the metadata of an authorization server
// may take to read it again, and a little more.
const earliestKey = 12 * time.Hour

func (e *env) keysCommand() *cobra.Command {
	var (
		file           string
		stage, publish bool
		in             time.Duration
		asJSON         bool
	)
	cmd := &cobra.Command{
		Use:   "keys --config FILE",
		Short: "Show which keys end when, and roll over those of an authorization server",
		Long: `Lists the keys that a node needs beyond today, those that end first at the head:
the certificates of its organizations, the last keys of those they trust, and on a
node with the role authority its signing certificates and the key credentials of
its realms. The server may run meanwhile, and rolls over by itself at the dates.

The signing certificate of an authorization server is replaced without a gap in
two steps: --stage makes the next one, which is in the metadata documents from
then on; it signs when --in has passed, or at once with --publish. The former one
stays in the documents until the tokens that it signed have expired. Those of an
organization are replaced with Set-AuthConfig in: busybridge shell`,
		Example: `  busybridge keys --config busybridge.yaml
  busybridge keys --config authority.yaml --stage --in 72h
  busybridge keys --config authority.yaml --publish`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stage && publish {
				return usageError{errors.New("--stage and --publish are two steps: wait between them until everybody has read the new key")}
			}
			if stage && in < earliestKey {
				return usageError{fmt.Errorf("--in %v is too soon: who reads the metadata every eight hours would meet an unknown key; want %v or more", in, earliestKey)}
			}
			cfg, err := config.Load(file, os.Environ())
			if err != nil {
				return err
			}
			change := app.KeyChange{Publish: publish}
			if stage {
				change.StageIn = &in
			}
			uses, now, err := app.Keys(cmd.Context(), cfg, e.logger(slog.LevelWarn, false), change)
			if err != nil {
				return err
			}
			type line struct {
				Owner    string    `json:"owner"`
				Use      string    `json:"use"`
				Holder   string    `json:"holder,omitempty"`
				Key      string    `json:"key"`
				Ends     time.Time `json:"ends"`
				DaysLeft int       `json:"daysLeft"`
				Warning  string    `json:"warning,omitempty"`
			}
			lines := make([]line, len(uses))
			for i, u := range uses {
				lines[i] = line{u.Owner, u.Use, u.Holder, u.Key, u.Ends.UTC(), u.DaysLeft(now), u.Warning(now)}
			}
			if asJSON {
				return e.printJSON(lines)
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DAYS\tENDS\tOWNER\tUSE\tKEY")
			for _, l := range lines {
				use := l.Use
				if l.Holder != "" {
					use += " " + l.Holder
				}
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", l.DaysLeft, l.Ends.Format(time.DateOnly), l.Owner, use, l.Key)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			for _, l := range lines {
				if l.Warning != "" {
					fmt.Fprintf(e.stderr, "busybridge: %s: %s\n", l.Owner, l.Warning)
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", defaultConfig, "configuration file")
	f.BoolVar(&stage, "stage", false, "make the next signing certificate of the authorization server and publish it")
	f.DurationVar(&in, "in", 30*24*time.Hour, "with --stage: when it begins to sign")
	f.BoolVar(&publish, "publish", false, "sign with the next certificate from now on")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

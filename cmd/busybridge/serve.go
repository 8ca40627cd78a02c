package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
	"busybridge/internal/app/shell"
)

const defaultConfig = "busybridge.yaml"

func (e *env) serveCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run a node",
		Long: `Runs one node of a deployment until it is interrupted: Autodiscover and Exchange
Web Services of the organizations in its store, the authorization server, or
both, and health and metrics on a listener of their own. Logs go to standard
error. A first organization is made with: busybridge setup

SIGHUP reads the configuration and the certificate again; what needs a restart is
said in the log. SIGTERM and an interrupt drain the node: see drain in the
configuration.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (*config.Config, error) {
				cfg, err := config.Load(file, os.Environ())
				if err == nil && e.verbose {
					cfg.Log.Level = "debug"
				}
				return cfg, err
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			log, level, err := app.NewLogger(cfg.Log, e.stderr)
			if err != nil {
				return err
			}
			for _, p := range cfg.Problems() {
				log.Warn("configuration", "problem", p.String())
			}
			reload := make(chan os.Signal, 1)
			signal.Notify(reload, syscall.SIGHUP)
			defer signal.Stop(reload)
			return app.Serve(cmd.Context(), cfg, log, shell.Runspaces, app.Reload{Asked: reload, Load: load, Level: level})
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfig, "configuration file")
	return cmd
}

func (e *env) checkCommand() *cobra.Command {
	var file string
	var example bool
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Validate a configuration, report all problems at once",
		Long: `Reads a configuration and the files that it names, and reports everything that
is wrong or doubtful at once. It changes nothing. The exit status is 1 when the
node would not start.

With --example it prints a configuration file with every key explained.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if example {
				_, err := e.stdout.Write(config.Example())
				return err
			}
			cfg, err := config.Load(file, os.Environ())
			var invalid *config.InvalidError
			if err != nil && !errors.As(err, &invalid) {
				return err
			}
			wrong := 0
			for _, p := range cfg.Problems() {
				if !p.Warning {
					wrong++
				}
				if _, err := fmt.Fprintf(e.stdout, "%s: %s\n", file, p); err != nil {
					return err
				}
			}
			if wrong > 0 {
				return fmt.Errorf("%s: %d problems", file, wrong)
			}
			_, err = fmt.Fprintf(e.stdout, "%s: the configuration is valid\n", file)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfig, "configuration file")
	cmd.Flags().BoolVar(&example, "example", false, "print an example file and stop")
	return cmd
}

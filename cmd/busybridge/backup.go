package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/app/config"
	"busybridge/internal/store/archive"
	"busybridge/internal/store/sqlstore"
)

func (e *env) backupCommand() *cobra.Command {
	var file string
	var verify bool
	cmd := &cobra.Command{
		Use:   "backup --config FILE ARCHIVE",
		Short: "Write everything that a store holds into a file",
		Long: `Writes everything that the store of a configuration holds at one moment into a new
file, and reads it again to compare all checksums. Servers may run meanwhile.
Private keys and passwords of sources stay sealed: keep the file of seal_key_file
too, in another place. With --verify an archive that is there is read and compared.`,
		Example: `  busybridge backup --config busybridge.yaml /backup/busybridge-2026-11-23
  busybridge backup --verify /backup/busybridge-2026-11-23`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			progress, done := e.copyProgress()
			defer done()
			if verify {
				h, sums, err := archive.Verify(cmd.Context(), args[0], progress)
				if err != nil {
					return err
				}
				done()
				return e.printSums(fmt.Sprintf("%s: a whole archive of %s, made %s", args[0], h.Of, h.At.Format(time.RFC3339)), sums)
			}
			return e.withStore(cmd.Context(), file, func(at app.StoreAt, db *sqlstore.Database) error {
				sums, err := archive.Backup(cmd.Context(), args[0], db, at.String(), time.Now(), progress)
				if err != nil {
					return err
				}
				done()
				return e.printSums(fmt.Sprintf("%s: everything of %s", args[0], at), sums)
			})
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfig, "configuration file")
	cmd.Flags().BoolVar(&verify, "verify", false, "only read an archive and compare its checksums")
	return cmd
}

func (e *env) restoreCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "restore --config FILE ARCHIVE",
		Short: "Fill an empty store from a file that backup wrote",
		Long: `Fills the store of a configuration, which must be empty, from an archive: first the
whole archive is read and its checksums compared, then it is copied, then the copy
is compared. It does not matter which kind of store the archive was made of. A
restore that was cut short goes on when it is run again. The key of seal_key_file
must be the one that the store had.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			progress, done := e.copyProgress()
			defer done()
			return e.withStore(cmd.Context(), file, func(at app.StoreAt, db *sqlstore.Database) error {
				h, sums, err := archive.Restore(cmd.Context(), db, args[0], progress)
				if err != nil {
					return err
				}
				done()
				return e.printSums(fmt.Sprintf("%s: everything of %s at %s", at, h.Of, h.At.Format(time.RFC3339)), sums)
			})
		},
	}
	cmd.Flags().StringVar(&file, "config", defaultConfig, "configuration file")
	return cmd
}

// withStore opens the database of a configuration.
func (e *env) withStore(ctx context.Context, file string, do func(app.StoreAt, *sqlstore.Database) error) error {
	cfg, err := config.Load(file, os.Environ())
	if err != nil {
		return err
	}
	at, err := app.StoreOf(cfg)
	if err != nil {
		return err
	}
	return e.withTables(ctx, at, func(db *sqlstore.Database) error { return do(at, db) })
}

func (e *env) withTables(ctx context.Context, at app.StoreAt, do func(*sqlstore.Database) error) error {
	db, err := at.Tables(ctx, time.Now, e.logger(slog.LevelWarn, false))
	if err != nil {
		return err
	}
	defer db.Close()
	return do(&db)
}

// copyProgress shows on a terminal how far a copy is; done takes it away.
func (e *env) copyProgress() (p archive.Progress, done func()) {
	if !isTerminal(e.stderr) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(e.stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("rows"), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	now := ""
	// A bar that cannot be drawn is no reason to stop.
	return func(step, table string, rows int64) {
		if is := step + " " + table; is != now {
			now = is
			bar.Reset()
			bar.Describe(is)
		}
		_ = bar.Set64(rows)
	}, func() { _ = bar.Exit() }
}

// printSums says what was copied.
func (e *env) printSums(what string, sums map[string]archive.Sum) error {
	rows := int64(0)
	for _, s := range sums {
		rows += s.Rows
	}
	if _, err := fmt.Fprintf(e.stdout, "%s, %d rows, compared\n", what, rows); err != nil {
		return err
	}
	for _, table := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[table]
		if _, err := fmt.Fprintf(e.stdout, "  %-22s %10d  %x\n", table, sum.Rows, sum.SHA256[:8]); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"busybridge/internal/app"
	"busybridge/internal/store/archive"
	"busybridge/internal/store/sqlstore"
)

func (e *env) migrateCommand() *cobra.Command {
	var from, to string
	var citus bool
	cmd := &cobra.Command{
		Use:   "migrate --from URL --to URL",
		Short: "Move a store into another kind of database",
		Long: `Copies everything from one store into another one, which must be empty, and compares
counts and checksums of all tables. Stop the servers before. A migration that was
cut short goes on when it is run again with the same arguments; what is half copied
does not open as a store. What is left behind stays as it is.

URLs are sqlite://FILE and postgres://USER@HOST/DATABASE. The password of a
PostgreSQL database is taken from the file that PGPASSFILE names (~/.pgpass) or from
PGPASSWORD.`,
		Example: `  busybridge migrate --from sqlite:///var/lib/busybridge/busybridge.db --to postgres://busybridge@db.contoso.com/busybridge`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := storeURL("from", from)
			if err != nil {
				return err
			}
			target, err := storeURL("to", to)
			if err != nil {
				return err
			}
			if source == target {
				return usageError{errors.New("--from and --to are the same store")}
			}
			if file, ok := strings.CutPrefix(source.Path, "sqlite://"); ok {
				if _, err := os.Stat(file); err != nil { // it would be made
					return err
				}
			}
			target.Citus = citus
			progress, done := e.copyProgress()
			defer done()
			return e.withTables(cmd.Context(), source, func(from *sqlstore.Database) error {
				return e.withTables(cmd.Context(), target, func(to *sqlstore.Database) error {
					sums, err := archive.Migrate(cmd.Context(), to, from, source.String(), progress)
					if err != nil {
						return err
					}
					done()
					return e.printSums(fmt.Sprintf("%s: everything of %s", target, source), sums)
				})
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "URL of the store that is copied")
	cmd.Flags().StringVar(&to, "to", "", "URL of the empty store")
	cmd.Flags().BoolVar(&citus, "citus", false, "--to is the coordinator of a Citus cluster: distribute the tables")
	return cmd
}

func storeURL(flag, url string) (app.StoreAt, error) {
	for _, scheme := range []string{"sqlite://", "postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(url, scheme); ok && rest != "" {
			return app.StoreAt{Path: url}, nil
		}
	}
	return app.StoreAt{}, usageError{fmt.Errorf("--%s must be sqlite://FILE or postgres://USER@HOST/DATABASE", flag)}
}

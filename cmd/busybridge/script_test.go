package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"busybridge/internal/lab"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"busybridge": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs testdata/script. The command "labup [args]" starts a joined
// lab in this process, in the directory lab of the script; it stops with the script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "Asia/Shanghai")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"labup": func(ts *testscript.TestScript, neg bool, args []string) {
				l, err := lab.Start(context.Background(), lab.Options{
					Dir: ts.MkAbs("lab"), Now: time.Now, Log: slog.New(slog.DiscardHandler), Out: io.Discard,
				})
				ts.Check(err)
				ts.Defer(func() { ts.Check(l.Close()) })
				ts.Check(l.Join(context.Background()))
			},
		},
	})
}

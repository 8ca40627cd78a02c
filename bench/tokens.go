package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"busybridge/bench/meter"
)

// tokens has bench/tokens measure P5 to P9: in a process of its own, for it
// reads the processor time of itself too.
func (r *run) tokens(ctx context.Context) ([]meter.Row, error) {
	//nolint:gosec // who measures names the program
	cmd := exec.CommandContext(ctx, "go", "run", "-buildvcs=false", "./bench/tokens", "-rows", "-binary", r.binary,
		"-rounds", fmt.Sprint(r.rounds), "-for", r.load.For.String(), "-concurrency", fmt.Sprint(r.load.Workers))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("bench/tokens (run this in the checkout): %w", err)
	}
	var out []meter.Row
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var rows []meter.Row
		if err := d.Decode(&rows); err == io.EOF {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("bench/tokens: %w", err)
		}
		for _, row := range rows {
			if name, _, _ := strings.Cut(row.Name, " "); r.wants(name) {
				out = append(out, row)
			}
		}
	}
}

package lab

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/app"
	"busybridge/internal/diagnose"
)

// sides are all deployments of a world.
func sides() []deploymentName { return []deploymentName{onprem, cloud, authorize} }

// OpenOthers opens, beside the process that runs the lab in dir, the stores of
// all but one of its deployments. Close each.
func OpenOthers(ctx context.Context, dir, but string, now func() time.Time, log *slog.Logger) (out []*app.Deployment, err error) {
	w, err := openWorld(dir, now, log)
	if err != nil {
		return nil, err
	}
	for _, name := range sides() {
		if name == deploymentName(but) {
			continue
		}
		d, err := w.deploy(ctx, name)
		if err != nil {
			return nil, errors.Join(err, w.closing())
		}
		out = append(out, d)
	}
	return out, nil
}

// Diagnose follows a question of somebody of this world, and looks into all of it.
func (l *Lab) Diagnose(ctx context.Context, q app.Diagnosis) (*diagnose.Report, error) {
	name := onprem
	if m, ok := l.file.Mailbox(q.From); ok {
		name = deploymentName(m.Org)
		if q.Server == "" {
			q.Server = m.Node
		}
	}
	org, err := l.organization(ctx, name)
	if err != nil {
		return nil, err
	}
	if q.Others == nil {
		for _, n := range sides() {
			if n != name {
				q.Others = append(q.Others, l.deployments[n])
			}
		}
	}
	return l.deployments[name].Diagnose(ctx, admin.Actor{Name: "lab", System: true}, org.ID, q)
}

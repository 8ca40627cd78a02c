package hostcmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

// InProcess is a session with s in this process. It is for one goroutine at a
// time, as s is; a pipeline may run another one inside.
func InProcess(s *interp.Session, info RemoteInfo) Remote { return &inProcess{s: s, info: info} }

type inProcess struct {
	s      *interp.Session
	info   RemoteInfo
	closed bool
}

var errClosed = errors.New("the session is closed")

// Info implements Remote.
func (r *inProcess) Info() RemoteInfo { return r.info }

// Close implements Remote.
func (r *inProcess) Close() error {
	r.closed = true
	return nil
}

// Commands implements Remote. The commands of the language itself are offered
// only to those who ask for them by their full names.
func (r *inProcess) Commands(ctx context.Context, names []string) ([]CommandInfo, error) {
	if r.closed {
		return nil, errClosed
	}
	var list []CommandInfo
	for _, c := range r.s.Commands() {
		own := strings.HasPrefix(c.Module, "Microsoft.PowerShell.")
		if own && !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, c.Name) }) || names != nil && !matches(names, c.Name) {
			continue
		}
		i := CommandInfo{Name: c.Name, Module: c.Module, DefaultSet: c.DefaultSet, ShouldProcess: c.ShouldProcess,
			Synopsis: c.Synopsis, Description: c.Description, Examples: c.Examples, Links: c.Links}
		for _, p := range c.Params() {
			i.Parameters = append(i.Parameters, interp.Param{
				Name: p.Name, Aliases: p.Aliases, Type: p.Type, Switch: p.Switch, Mandatory: p.Mandatory, Position: p.Position,
				ByValue: p.ByValue, ByName: p.ByName, Rest: p.Rest, Sets: p.Sets, Values: p.Values, AllowNull: p.AllowNull,
				AllowEmpty: p.AllowEmpty, NotEmpty: p.NotEmpty, Wildcard: p.Wildcard, Help: p.Help,
			})
		}
		list = append(list, i)
	}
	return list, ctx.Err()
}

// Run implements Remote.
func (r *inProcess) Run(ctx context.Context, p Pipeline, out func(any) error, s interp.Streams) error {
	if r.closed {
		return errClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// What the caller's side reports must reach it as it is, past every catch
	// over here: the run is cancelled.
	var failed error
	send := func(to func(any) error) interp.Stream {
		return func(v any) error {
			if ctx.Err() != nil {
				return context.Canceled
			}
			if to == nil {
				return nil
			}
			if failed = to(cross(v, crossDepth)); failed != nil {
				cancel(failed)
				return context.Canceled
			}
			return nil
		}
	}
	in := interp.Invocation{Streams: interp.Streams{
		Error: send(s.Error), Warning: send(s.Warning), Verbose: send(s.Verbose), Debug: send(s.Debug),
		Information: send(s.Information), Progress: send(s.Progress),
	}}
	for _, c := range p.Commands {
		i := interp.Invoked{Text: c.Text, Script: c.Script}
		for _, a := range c.Arguments {
			i.Arguments = append(i.Arguments, Argument{Name: a.Name, Value: cross(a.Value, crossDepth)})
		}
		in.Commands = append(in.Commands, i)
	}
	if p.Input != nil {
		in.Input = make([]any, len(p.Input))
		for i, v := range p.Input {
			in.Input[i] = cross(v, crossDepth)
		}
	}
	err := r.s.Invoke(ctx, in, send(out))
	var rec *object.ErrorRecord
	var exit *interp.ErrExit
	switch {
	case failed != nil:
		return failed
	case errors.As(err, &exit): // it ends the remote script, not the caller
		return nil
	case errors.As(err, &rec):
		return crossError(rec)
	case err != nil:
		return fmt.Errorf("%s: %w", r.info.ComputerName, err)
	}
	return nil
}

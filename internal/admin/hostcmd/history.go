package hostcmd

import (
	"context"
	"slices"

	"busybridge/internal/ps/interp"
	"busybridge/internal/ps/object"
)

func (h *host) lines() []HistoryEntry {
	if h.History == nil {
		return nil
	}
	return h.History()
}

func noHistory(c *interp.Call, id int) error {
	r := object.NewError("GetHistoryNoHistoryForId,"+class(c), object.ObjectNotFound, object.TPSArgument, "Cannot locate the history for Id %d.", id)
	r.Target = int32(id)
	return r
}

type getHistory struct {
	h     *host
	ID    []int `ps:"Id,position=0,pipeline=value" help:"Which lines."`
	Count int   `ps:"Count,position=1" help:"How many of the last lines."`
}

// Run lists the lines that were run (Get-History).
func (p *getHistory) Run(_ context.Context, c *interp.Call) error {
	all := p.h.lines()
	list := all
	if len(p.ID) > 0 {
		list = nil
		for _, id := range p.ID {
			i := slices.IndexFunc(all, func(e HistoryEntry) bool { return e.ID == id })
			if i < 0 {
				if err := c.WriteError(noHistory(c, id)); err != nil {
					return err
				}
				continue
			}
			list = append(list, all[i])
		}
	}
	for _, e := range cut(list, -1, p.Count) {
		status := "Completed"
		if e.Failed {
			status = "Failed"
		}
		o := object.New("Microsoft.PowerShell.Commands.HistoryInfo", "System.Object").Add("Id", int64(e.ID)).Add("CommandLine", e.Line).
			Add("ExecutionStatus", status).Add("StartExecutionTime", e.Start.In(p.h.Zone)).Add("EndExecutionTime", e.End.In(p.h.Zone))
		line := e.Line
		o.Text = func() string { return line }
		if err := c.Emit(o); err != nil {
			return err
		}
	}
	return nil
}

type invokeHistory struct {
	h  *host
	ID string `ps:"Id,position=0,pipeline=name" help:"The number of the line; without it, the last one."`
}

// Run runs a line again (Invoke-History).
func (p *invokeHistory) Run(_ context.Context, c *interp.Call) error {
	all := p.h.lines()
	if len(all) == 0 {
		return object.NewError("InvokeHistoryNoLastHistoryEntryFound,"+class(c), object.InvalidOperation, object.TInvalidOperation, "Cannot locate the last history entry.")
	}
	e := all[len(all)-1]
	if p.ID != "" {
		n, err := object.Convert(p.ID, object.TInt)
		if err != nil {
			return object.NewError("InvokeHistoryBadId,"+class(c), object.InvalidArgument, object.TPSArgument, "Cannot locate the history for command line %s.", p.ID)
		}
		id := int(n.(int32))
		i := slices.IndexFunc(all, func(e HistoryEntry) bool { return e.ID == id })
		if i < 0 {
			return noHistory(c, id)
		}
		e = all[i]
	}
	if ok, err := c.ShouldProcess(e.Line, "Invoke-History"); !ok {
		return err
	}
	if err := c.WriteHost(&interp.Message{Text: e.Line}); err != nil {
		return err
	}
	return c.RunText(e.Line)
}

type clearHost struct{ h *host }

// Run empties the screen (Clear-Host).
func (p *clearHost) Run(context.Context, *interp.Call) error {
	if p.h.ClearHost == nil {
		return nil
	}
	return p.h.ClearHost()
}

func (h *host) history() []interp.Command {
	return []interp.Command{
		{Name: "Get-History", Module: moduleCore, New: func() interp.Cmdlet { return &getHistory{h: h, Count: -1} },
			Synopsis: "Lists the lines that were run.", Examples: []string{`Get-History -Count 5`}, Links: []string{"Invoke-History"}},
		{Name: "Invoke-History", Module: moduleCore, Aliases: []string{"ihy"}, New: func() interp.Cmdlet { return &invokeHistory{h: h} }, ShouldProcess: true,
			Synopsis: "Runs a line again.", Examples: []string{`Invoke-History 3`}, Links: []string{"Get-History"}},
		{Name: "Clear-Host", Kind: "Function", Module: moduleCore, New: func() interp.Cmdlet { return &clearHost{h: h} },
			Synopsis: "Empties the screen.", Examples: []string{`Clear-Host`}},
	}
}

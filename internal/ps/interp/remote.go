package interp

import (
	"context"
	"strings"

	"busybridge/internal/ps/object"
	"busybridge/internal/ps/syntax"
)

// An Argument is a value for a parameter; without a name it goes by position.
type Argument struct {
	Name  string
	Value any
}

// Arguments lists what was bound for the object at work, common parameters too: what was given, in the order it was
// bound, then what the pipeline gave.
func (c *Call) Arguments() []Argument {
	list := make([]Argument, 0, len(c.bind.order)+len(c.input))
	for _, p := range c.bind.order {
		list = append(list, Argument{p.Name, c.bind.values[p]})
	}
	for _, p := range c.bind.params {
		if v, ok := c.input[p]; ok {
			list = append(list, Argument{p.Name, v})
		}
	}
	return list
}

// Defined reports whether name runs anything here: an alias, a function or a registered command.
func (s *Session) Defined(name string) bool {
	low := strings.ToLower(name)
	return s.functions[low] != nil || s.Lookup(low) != nil
}

// An Invocation is a pipeline that is made of values, as a remote caller sends it.
type Invocation struct {
	Commands []Invoked
	Input    []any // for the first command; nil: it stands at the head of the pipeline
	Streams  Streams
}

// An Invoked is one command of an Invocation.
type Invoked struct {
	Text      string // a name, or with Script the text of a script block
	Script    bool
	Arguments []Argument
}

// Invoke runs a pipeline in the global scope, with streams of its own. Errors are as those of Run. It may be called
// while the session runs another pipeline, on the same goroutine.
func (s *Session) Invoke(ctx context.Context, p Invocation, out func(any) error) error {
	tries, depth := s.tries, s.depth
	defer func() { s.tries, s.depth = tries, depth }()
	s.tries, s.success = 0, true
	e := &env{s: s, ctx: ctx, scope: s.global, out: out, streams: p.Streams}
	return s.finish(e.values(p))
}

func (e *env) values(p Invocation) error {
	run := &pipelineRun{stages: make([]stage, len(p.Commands))}
	for i := len(p.Commands) - 1; i >= 0; i-- {
		out := e.out
		if i+1 < len(p.Commands) {
			out = run.from(i + 1)
		}
		var err error
		if run.stages[i], err = e.with(out).valueStage(p.Commands[i], i > 0 || p.Input != nil, run, i); err != nil {
			e.s.success = false
			return e.fault(err, nil)
		}
	}
	for _, st := range run.stages {
		if err := st.begin(); err != nil && !run.stopped(err) {
			return e.fault(err, nil)
		}
	}
	if len(run.stages) == 0 {
		return nil
	}
	for _, v := range p.Input {
		err := run.stages[0].process(object.From(v))
		if run.stopped(err) {
			break
		}
		if err != nil {
			return e.fault(err, nil)
		}
	}
	for i := run.ended; i < len(run.stages); i++ {
		err := run.stages[i].end()
		if run.stopped(err) {
			i = run.ended - 1
		} else if err != nil {
			return e.fault(err, nil)
		}
	}
	return nil
}

func (e *env) valueStage(c Invoked, piped bool, run *pipelineRun, index int) (stage, error) {
	args := make([]argument, len(c.Arguments))
	for i, a := range c.Arguments {
		args[i] = argument{name: a.Name, value: object.From(a.Value), given: a.Name != ""}
	}
	if !c.Script {
		return e.namedStage(c.Text, args, false, piped, object.Position{}, run, index)
	}
	script, err := syntax.Parse("", c.Text)
	if pe, ok := err.(*syntax.ParseError); ok {
		return nil, &termError{rec: ParseRecord(pe), script: true}
	}
	if err != nil {
		return nil, err
	}
	f, err := e.newFunction("", script, false)
	if err != nil {
		return nil, err
	}
	return e.functionStage(f, &ScriptBlock{script: script}, args, false, piped, object.Position{})
}

package hybrid

import (
	"context"
	"fmt"
	"io"
	"strings"

	"busybridge/internal/admin"
)

// A Step is one thing that differs from what shall be, and what mends it.
type Step struct {
	Number string `json:"step"`  // of the article, or of direct trust
	Where  string `json:"where"` // here, there or tenant: whose shell
	Object string `json:"object"`
	// Differs says how; of a side that cannot be read it is not known.
	Differs string `json:"differs"`
	Why     string `json:"why"`
	// Commands are complete lines for the shell of Where, in this order.
	Commands []string `json:"commands"`
	// Foreign: somebody else has to do it.
	Foreign bool `json:"foreign,omitempty"`
	// Back are the commands that take it away again, of a foreign side only.
	Back []string `json:"back,omitempty"`

	target target
	run    func(context.Context, *Sides) error
}

// A Plan is what differs, in the order in which it is to be mended.
type Plan struct {
	Trust   string `json:"trust"`
	Edition string `json:"edition,omitempty"`
	Steps   []Step `json:"steps"`
	// Conflicts are what no step mends: an administrator has to decide.
	Conflicts []string `json:"conflicts,omitempty"`
}

// Done reports whether nothing is left to do on the sides that can be read.
func (p *Plan) Done() bool {
	_, ok := p.next()
	return !ok && len(p.Conflicts) == 0
}

// next is the first step that can be done from here.
func (p *Plan) next() (*Step, bool) {
	for i := range p.Steps {
		if !p.Steps[i].Foreign {
			return &p.Steps[i], true
		}
	}
	return nil, false
}

// Foreign are the steps that somebody else has to do.
func (p *Plan) Foreign() (out []Step) {
	for _, s := range p.Steps {
		if s.Foreign {
			out = append(out, s)
		}
	}
	return out
}

var shells = map[string]string{
	Here: "the Exchange Management Shell here", There: "the Exchange Management Shell of the other side",
	Tenant: "PowerShell, connected to the tenant with Connect-MsolService",
}

// WriteTo tells people.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	place := ""
	for _, s := range p.Steps {
		if s.Where != place {
			place = s.Where
			fmt.Fprintf(&b, "# In %s:\n\n", shells[s.Where])
		}
		s.write(&b)
	}
	for _, c := range p.Conflicts {
		fmt.Fprintf(&b, "# To be decided first: %s\n", c)
	}
	switch n := len(p.Foreign()); {
	case len(p.Steps) == 0 && len(p.Conflicts) == 0:
		b.WriteString("Nothing to do: both sides are as the file says.\n")
	case n > 0 && n == len(p.Steps):
		fmt.Fprintf(&b, "# Nothing to do here. Of the other side nothing can be read: %d steps are told as for a fresh one.\n", n)
	case n > 0:
		fmt.Fprintf(&b, "# %d steps, %d of them for a side that cannot be read from here.\n", len(p.Steps), n)
	default:
		fmt.Fprintf(&b, "# %d steps.\n", len(p.Steps))
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// write tells one step, as lines that a shell takes.
func (s *Step) write(b *strings.Builder) {
	fmt.Fprintf(b, "# %s: %s\n# %s: %s\n", s.Number, s.Why, s.Object, s.Differs)
	for _, c := range s.Commands {
		b.WriteString(c + "\n")
	}
	b.WriteByte('\n')
}

// Text is the step for a log.
func (s *Step) Text() string { return fmt.Sprintf("%s: %s: %s", s.Number, s.Object, s.Differs) }

// Plan compares the desired state with st.
func (d *Desired) Plan(st *State) *Plan {
	b := &builder{d: d, st: st, plan: &Plan{Trust: d.Trust, Edition: d.Edition, Steps: []Step{}}}
	if d.Trust == Direct {
		b.direct()
	} else {
		b.oauth()
	}
	return b.plan
}

// A builder makes a plan.
type builder struct {
	d    *Desired
	st   *State
	plan *Plan
}

func (b *builder) add(s Step) {
	switch s.target.Where {
	case Here:
		s.Foreign = b.st.Here == nil
	case There:
		s.Foreign = b.st.There == nil
	case Tenant:
		s.Foreign = b.st.Tenant == nil
	}
	s.Where, s.Object = s.target.Where, s.target.Kind+" "+s.target.Key
	if s.Foreign {
		s.Differs = "not known, for this side cannot be read"
	} else {
		s.Back = nil
	}
	b.plan.Steps = append(b.plan.Steps, s)
}

func (b *builder) conflict(format string, args ...any) {
	b.plan.Conflicts = append(b.plan.Conflicts, fmt.Sprintf(format, args...))
}

// of is what changes an organization.
func of(where string, do func(context.Context, *Side, *admin.Service) error) func(context.Context, *Sides) error {
	return func(ctx context.Context, s *Sides) error {
		side := s.Here
		if where == There {
			side = s.There
		}
		return do(ctx, side, side.Admin)
	}
}

// in is what changes the tenant.
func in(do func(context.Context, *Realm, *admin.Service) error) func(context.Context, *Sides) error {
	return func(ctx context.Context, s *Sides) error { return do(ctx, s.Tenant, s.Tenant.Admin) }
}

// quote is s as a literal of PowerShell, which takes typographic quotes for plain ones.
func quote(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}

func quoteAll(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = quote(s)
	}
	return strings.Join(q, ",")
}

package exchangecmd

import (
	"context"
	"time"

	"busybridge/internal/admin"
	"busybridge/internal/diagnose"
	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/ps/interp"
)

// TestFreeBusy is the name of a cmdlet of our own. Exchange has none that follows a
// question for free/busy.
const TestFreeBusy = "Test-FreeBusyConnectivity"

// A FreeBusyTester follows questions for Test-FreeBusyConnectivity.
type FreeBusyTester interface {
	TestFreeBusy(ctx context.Context, actor admin.Actor, org directory.OrgID, t FreeBusyTest) (*diagnose.Report, error)
}

// A FreeBusyTest is a question to follow.
type FreeBusyTest struct {
	From, To, Server string
	Window           freebusy.Window // zero: a day from now
	Timeout          time.Duration   // 0: that of any question
}

// freeBusyTest is the test of one question.
func (x *exchange) freeBusyTest() []entry {
	if x.FreeBusy == nil {
		return nil
	}
	return []entry{{in: everywhere, tasks: "Monitoring", Command: interp.Command{
		Name: TestFreeBusy, New: func() interp.Cmdlet { return &testFreeBusy{x: x} },
		Synopsis: "Follows one question for free/busy hop by hop, and names the first one that fails.",
		Description: "Asks, as the mailbox of From, for the free/busy of To, as any program would ask, with nothing kept from before. " +
			"Steps are the hops with what was seen; Hop, Failure, Cause, Object and Value name the first that failed, Remedy what mends it: each line with where it is typed. " +
			"CorrelationId is in the logs of both organizations. docs/diagnose.md tells of each failure.",
		Examples: []string{
			`Test-FreeBusyConnectivity -From alice@contoso.com -To kim@contoso.com`,
			`(Test-FreeBusyConnectivity -From alice@contoso.com -To kim@contoso.com).Steps | Format-Table Hop, Name, Verdict, Facts`,
		},
		Links: []string{"Test-OAuthConnectivity", "Get-IntraOrganizationConnector"},
	}}}
}

type testFreeBusy struct {
	x       *exchange
	From    identity `ps:"From,mandatory,position=0" help:"Who asks: a mailbox of this organization."`
	To      string   `ps:"To,mandatory,position=1" help:"Whose free/busy is asked for: an address, here or elsewhere."`
	Server  string   `ps:"Server" help:"The server that is asked: its name or one of its host names. Without it, the first one that knows connectors."`
	Timeout int      `ps:"Timeout" help:"How many seconds the question may take. Without it, as many as any other."`
}

// Run follows the question.
func (p *testFreeBusy) Run(ctx context.Context, c *interp.Call) error {
	k, o, err := p.x.open(ctx, c)
	if err != nil {
		return err
	}
	if p.Timeout < 0 || p.Timeout > maxTestSeconds {
		return k.WriteError(k.invalid("Timeout", "It is between 0 and %d seconds.", maxTestSeconds))
	}
	r, err := k.FreeBusy.TestFreeBusy(ctx, k.actor, o.ID, FreeBusyTest{From: p.From.text, To: p.To, Server: p.Server, Timeout: time.Duration(p.Timeout) * time.Second})
	if err != nil {
		return k.WriteError(k.fail(err))
	}
	if err := k.warn(r.Warnings); err != nil {
		return err
	}
	return k.Emit(k.freeBusyReport(r))
}

// maxTestSeconds bounds Timeout.
const maxTestSeconds = 300

const (
	freeBusyType     = "Busybridge.FreeBusyTestResult"
	freeBusyStepType = "Busybridge.FreeBusyTestStep"
)

func (k *call) freeBusyReport(r *diagnose.Report) any {
	var steps []any
	for i := range r.Steps {
		s := &r.Steps[i]
		var facts []any
		for _, f := range s.Facts {
			facts = append(facts, f.Name+": "+f.Value)
		}
		steps = append(steps, k.bag(freeBusyStepType).add("Hop", int(s.Hop)).add("Name", s.Name).add("Verdict", string(s.Verdict)).
			add("Milliseconds", float64(s.Took)/float64(time.Millisecond)).add("Facts", facts).Object)
	}
	var f diagnose.Failure
	var remedy []any
	result := "Success"
	if r.Failure != nil {
		f, result = *r.Failure, "Error"
		for _, m := range f.Remedies {
			if len(m.Commands) == 0 {
				remedy = append(remedy, m.Where+": "+m.Text)
			}
			for _, line := range m.Commands {
				remedy = append(remedy, m.Where+": "+line)
			}
		}
	}
	return k.bag(freeBusyType).
		add("From", r.From).add("To", r.To).add("ResultType", result).
		add("Hop", int(f.Hop)).add("Failure", string(f.Kind)).add("Title", f.Title).add("Cause", f.Cause).
		add("Object", f.Object).add("Value", f.Value).add("Said", f.Said).add("Remedy", remedy).add("More", f.More).
		add("Milliseconds", float64(r.Took)/float64(time.Millisecond)).add("CorrelationId", r.CorrelationID).add("Steps", steps).Object
}

package hybrid

import (
	"context"
	"fmt"
	"io"
	"strings"

	"busybridge/internal/admin/exchangecmd"
	"busybridge/internal/directory"
)

// A Check is one thing that was tried.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Cause  string `json:"cause,omitempty"` // of a failure, with what mends it
	// Skipped says why it was not tried; then it is neither good nor bad.
	Skipped string `json:"skipped,omitempty"`
}

// A Verification is whether questions are answered.
type Verification struct {
	Checks []Check `json:"checks"`
	Failed int     `json:"failed"`
}

func (v *Verification) add(c Check) {
	if !c.OK && c.Skipped == "" {
		v.Failed++
	}
	v.Checks = append(v.Checks, c)
}

// WriteTo tells people.
func (v *Verification) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, c := range v.Checks {
		switch {
		case c.Skipped != "":
			fmt.Fprintf(&b, "skip  %s: %s\n", c.Name, c.Skipped)
		case c.OK:
			fmt.Fprintf(&b, "ok    %s: %s\n", c.Name, c.Detail)
		default:
			fmt.Fprintf(&b, "FAIL  %s: %s\n", c.Name, c.Detail)
			for line := range strings.Lines(c.Cause) {
				b.WriteString("      " + strings.TrimRight(line, "\n") + "\n")
			}
		}
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Verify asks the other side, in each direction that can be asked from here, first
// by Test-OAuthConnectivity and then a real question for free/busy.
func (r *Runner) Verify(ctx context.Context) (*Verification, error) {
	v := &Verification{}
	d := r.Desired
	for _, x := range []struct {
		from     *Side
		name     string
		own, far *Organization
		closed   bool
	}{
		{r.Sides.Here, "from here to the other side", &d.Here, &d.There, d.Trust == OAuth && d.Edition == Edition2026},
		{r.Sides.There, "from the other side to here", &d.There, &d.Here, false},
	} {
		oauth, question := Check{Name: "OAuth " + x.name}, Check{Name: "free/busy " + x.name}
		if x.from == nil {
			mailbox := ""
			if x.own.Mailbox != "" {
				mailbox = " -Mailbox " + quote(x.own.Mailbox)
			}
			oauth.Skipped = "to be run there: Test-OAuthConnectivity -Service EWS -TargetUri " + quote(x.far.EWS) + mailbox + " -Verbose | Format-List"
			question.Skipped = "to be asked there: for the free/busy of somebody here"
		} else {
			if err := x.from.oauth(ctx, &oauth, x.own, x.far, x.closed); err != nil {
				return nil, err
			}
			if err := x.from.question(ctx, &question, x.own, x.far); err != nil {
				return nil, err
			}
		}
		v.add(oauth)
		v.add(question)
	}
	return v, nil
}

// oauth runs Test-OAuthConnectivity. A cloud that is closed to Exchange Web
// Services has to refuse it, for that is what it does.
func (s *Side) oauth(ctx context.Context, c *Check, own, far *Organization, closed bool) error {
	org, err := s.Admin.ViewOrganization(ctx, s.Actor, "Test-OAuthConnectivity", s.Org)
	if err != nil {
		return err
	}
	t := exchangecmd.OAuthTest{Service: "EWS", TargetURI: far.EWS}
	if own.Mailbox != "" {
		if t.Mailbox, err = s.mailbox(ctx, own.Mailbox); err != nil {
			return err
		}
	}
	rep, err := s.OAuth.TestOAuth(ctx, s.Actor, org, t)
	if err != nil {
		return err
	}
	switch {
	case closed && rep.Success:
		c.Detail = far.EWS + " took the token, and ought to be closed in edition 2026: say another edition"
	case closed && strings.Contains(rep.Detail, "403"):
		c.OK, c.Detail = true, far.EWS+" is closed to applications, as it ought to be; Graph is asked instead"
	case rep.Success:
		c.OK, c.Detail = true, far.EWS+" accepts the tokens"
	default:
		c.Detail, c.Cause = far.EWS+" does not accept the tokens", rep.Cause
	}
	return nil
}

func (s *Side) mailbox(ctx context.Context, address string) (*directory.Recipient, error) {
	m, err := s.Admin.FindRecipient(ctx, s.Actor, "Test-OAuthConnectivity", s.Org, address,
		directory.UserMailbox, directory.RoomMailbox, directory.EquipmentMailbox, directory.SharedMailbox)
	if err != nil {
		return nil, fmt.Errorf("mailbox %s of the file: %w", address, err)
	}
	return m, nil
}

// question asks for free/busy.
func (s *Side) question(ctx context.Context, c *Check, own, far *Organization) error {
	if own.Mailbox == "" || far.Mailbox == "" {
		c.Skipped = "the file names no mailbox of each side"
		return nil
	}
	rep, err := s.FreeBusy.TestFreeBusy(ctx, s.Actor, s.Org, exchangecmd.FreeBusyTest{From: own.Mailbox, To: far.Mailbox})
	if err != nil {
		return err
	}
	c.Detail = own.Mailbox + " asked for " + far.Mailbox
	if c.OK = rep.Healthy; c.OK || rep.Failure == nil {
		return nil
	}
	c.Cause = rep.Failure.Cause
	for _, m := range rep.Failure.Remedies {
		c.Cause += "\n" + m.Text
		for _, line := range m.Commands {
			c.Cause += "\n  " + line
		}
	}
	return nil
}

package peersource_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"busybridge/internal/directory"
	"busybridge/internal/freebusy"
	"busybridge/internal/routing"
	"busybridge/internal/spec/graph"
	"busybridge/internal/spec/smtpaddr"
	"busybridge/internal/spec/wintz"
)

// A cloud answers getSchedule; entry is what it says of one address, as JSON.
type cloud struct {
	entry  func(address string) string
	refuse func(anchor string, n int) (status int, body string) // 0: it does not

	mu      sync.Mutex // guards what follows
	anchors []string
	asked   [][]string
	now     int // calls under way
	most    int
}

func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	req, err := graph.ParseRequest(b)
	if err != nil {
		return nil, err
	}
	anchor := strings.Split(r.URL.Path, "/")[3]
	c.mu.Lock()
	c.anchors, c.asked = append(c.anchors, anchor), append(c.asked, req.Schedules)
	n := len(c.anchors)
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	time.Sleep(time.Second) // of a bubble
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	status, text := 0, ""
	if c.refuse != nil {
		status, text = c.refuse(anchor, n)
	}
	if status == 0 {
		entries := make([]string, len(req.Schedules))
		for i, a := range req.Schedules {
			entries[i] = c.entry(a)
		}
		status, text = http.StatusOK, `{"value":[`+strings.Join(entries, ",")+`]}`
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// graphRig is a source whose organization asks about fabrikam.com by Graph.
func graphRig(t *testing.T, c *cloud) *rig {
	r := newRig(t)
	r.org.AuthServers = []directory.AuthServer{{Common: directory.Common{Name: "EvoSTS"}, Type: directory.AuthServerAzureAD, Enabled: true,
		ApplicationIdentifier: "app", DomainName: []string{"fabrikam.com"}, GraphBaseURL: "https://graph.fabrikam.com"}}
	r.cfg.Client = func(_ *directory.Organization, _ routing.Requester, app *directory.AuthServer) *http.Client {
		if app != &r.org.AuthServers[0] {
			t.Errorf("a client for %+v", app)
		}
		return &http.Client{Transport: c}
	}
	r.make()
	return r
}

func entryOf(address, rest string) string {
	return fmt.Sprintf(`{"scheduleId":%q,%s}`, address, rest)
}

// TestAskByGraph is what becomes of one answer.
func TestAskByGraph(t *testing.T) {
	const item = `{"status":"%s","start":{"dateTime":"2026-03-02T%s:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-03-02T%s:00","timeZone":"UTC"}%s}`
	items := func(view string, list ...string) string {
		return `"availabilityView":"` + view + `","scheduleItems":[` + strings.Join(list, ",") + `]`
	}
	busy := freebusy.Interval{Start: at(9), End: at(10), Status: freebusy.Busy}
	full := func(merged string, events ...freebusy.Interval) routing.Reply {
		return routing.Reply{View: freebusy.ViewDetailedMerged, Merged: merged, Events: events}
	}
	failed := func(reason routing.Reason, code, text string) routing.Reply {
		return routing.Reply{Err: &routing.MailboxError{Reason: reason, Code: code, Text: text}}
	}
	const failure = "Proxy web request failed. , inner exception: "
	withHours := full("02000000", busy)
	berlin, _ := wintz.Location("Europe/Berlin")
	withHours.Hours = &routing.Hours{Zone: wintz.RuleAt(berlin, monday), Periods: []routing.Period{{Days: 2, Start: 480, End: 1440}}}
	for _, tt := range []struct {
		name, entry string
		view        freebusy.View // 0: all
		want        routing.Reply
	}{
		{"busy", items("02000000", fmt.Sprintf(item, "busy", "09:00", "10:00", "")), 0, full("02000000", busy)},
		{"working elsewhere was 4", items("04000000", fmt.Sprintf(item, "WorkingElsewhere", "09:00", "10:00", "")), 0,
			full("00000000", freebusy.Interval{Start: at(9), End: at(10), Status: freebusy.WorkingElsewhere})},
		{"details", items("02000000", fmt.Sprintf(item, "busy", "09:00", "10:00", `,"isPrivate":false,"subject":"Bud\u202eget\u0000","location":"R1"`)), 0,
			full("02000000", freebusy.Interval{Start: at(9), End: at(10), Status: freebusy.Busy, Detail: &freebusy.Detail{Subject: "Budget", Location: "R1"}})},
		{"no more than was asked for", items("02000000", fmt.Sprintf(item, "busy", "09:00", "10:00", `,"subject":"Budget"`)), freebusy.ViewFreeBusyMerged,
			routing.Reply{View: freebusy.ViewFreeBusyMerged, Merged: "02000000", Events: []freebusy.Interval{busy}}},
		{"merged only", items("02000000", fmt.Sprintf(item, "busy", "09:00", "10:00", "")), freebusy.ViewMergedOnly, routing.Reply{View: freebusy.ViewMergedOnly, Merged: "02000000"}},
		{"out of order, outside, empty, unknown", items("02003000", fmt.Sprintf(item, "oof", "12:00", "13:00", ""), fmt.Sprintf(item, "busy", "09:00", "10:00", ""),
			fmt.Sprintf(item, "busy", "06:00", "08:00", ""), fmt.Sprintf(item, "busy", "11:00", "11:00", ""), fmt.Sprintf(item, "strange", "14:00", "15:00", "")), 0,
			full("02003000", busy, freebusy.Interval{Start: at(12), End: at(13), Status: freebusy.OOF}, freebusy.Interval{Start: at(14), End: at(15), Status: freebusy.NoData})},
		{"times of another zone", items("02000000", strings.ReplaceAll(fmt.Sprintf(item, "busy", "10:00", "11:00", ""), "UTC", "Europe/Berlin")), 0, full("02000000", busy)},
		{"a view of another length", items("02", fmt.Sprintf(item, "busy", "09:00", "10:00", "")), 0, full("02000000", busy)},
		{"a view of other characters", items("x2000000", fmt.Sprintf(item, "busy", "09:00", "10:00", "")), freebusy.ViewMergedOnly, routing.Reply{View: freebusy.ViewMergedOnly, Merged: "02000000"}},
		{"a group", items("01230000"), 0, routing.Reply{View: freebusy.ViewMergedOnly, Merged: "01230000"}},
		{"free", items("00000000"), 0, full("00000000")},
		{"hours by name", items("02000000", fmt.Sprintf(item, "busy", "09:00", "10:00", "")) +
			`,"workingHours":{"daysOfWeek":["monday"],"startTime":"08:00:00","endTime":"23:59:59.9999999","timeZone":{"name":"W. Europe Standard Time"}}`, 0, withHours},
		{"hours nowhere", items("02000000", fmt.Sprintf(item, "busy", "09:00", "10:00", "")) +
			`,"workingHours":{"daysOfWeek":["monday"],"startTime":"08:00:00","endTime":"17:00:00","timeZone":{"name":"Nowhere"}}`, 0, full("02000000", busy)},

		{"unknown zone", items("02000000", strings.ReplaceAll(fmt.Sprintf(item, "busy", "10:00", "11:00", ""), "UTC", "Nowhere")), 0,
			failed(routing.ProxyFailed, "", failure+"A valid TimeZone value must be specified. The following TimeZone value is not supported: 'Nowhere'.")},
		{"too many entries", items("00000000", slices.Repeat([]string{fmt.Sprintf(item, "busy", "09:00", "10:00", "")}, 1001)...), 0,
			failed(routing.ProxyFailed, "", failure+"the answer has 1001 calendar entries, limit 1000")},
		{"not found", `"error":{"message":"who?","responseCode":"5009"}`, 0, failed(routing.Remote, "ErrorMailRecipientNotFound", "who?")},
		{"no access", `"error":{"message":"no","responseCode":"5037"}`, 0, failed(routing.Remote, "ErrorNoFreeBusyAccess", "no")},
		{"a name instead of a number", `"error":{"message":"busy","responseCode":"ErrorServerBusy"}`, 0, failed(routing.Remote, "ErrorServerBusy", "busy")},
		{"a number that nobody knows", `"error":{"message":"odd","responseCode":"9999"}`, 0, failed(routing.ProxyFailed, "", failure+`error "9999": odd`)},
		{"cannot be read", `"scheduleItems":7`, 0, failed(routing.ProxyFailed, "", failure+`error "": json: cannot unmarshal number into Go struct field plain.scheduleItems of type []graph.Item`)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := graphRig(t, &cloud{entry: func(a string) string { return entryOf(a, tt.entry) }})
				q := query("kim")
				if tt.view != 0 {
					q.View = tt.view
				}
				got := r.ask(q)[0]
				tt.want.Address = q.Addresses[0]
				if tt.want.Err != nil {
					if g, w := text(got.Err), text(tt.want.Err); !strings.HasPrefix(g, strings.SplitN(w, " Go struct", 2)[0]) {
						t.Errorf("got  %s\nwant %s", g, w)
					}
					return
				}
				if len(tt.want.Events) == 0 && len(got.Events) == 0 {
					got.Events = nil
				}
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(smtpaddr.Address{})); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestGraphIsAskedInChunks of 20, three at once, and each address has its answer.
func TestGraphIsAskedInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{entry: func(a string) string {
			if a == "p7@fabrikam.com" {
				return entryOf("somebody@else.example", `"availabilityView":"22222222"`)
			}
			var i int
			if _, err := fmt.Sscanf(a, "p%d@", &i); err != nil {
				t.Error(err)
			}
			return entryOf(strings.ToUpper(a), fmt.Sprintf(`"availabilityView":"0%d000000"`, i%4))
		}}
		r := graphRig(t, c)
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprintf("p%d", i))
		}
		got := r.ask(query(names...))
		for i, rep := range got {
			want := fmt.Sprintf("p%d 0%d000000", i, i%4)
			if i == 7 {
				want = "p7 ProxyFailed: Proxy web request failed. , inner exception: the answer lacks the address"
			}
			if s := short([]routing.Reply{rep})[0]; s != want {
				t.Errorf("%s, want %s", s, want)
			}
		}
		sizes := map[int]int{}
		for _, a := range c.asked {
			sizes[len(a)]++
		}
		if diff := cmp.Diff(map[int]int{20: 5}, sizes); diff != "" || c.most != 3 {
			t.Errorf("calls by size (-want +got):\n%s%d at once, want 3", diff, c.most)
		}
	})
}

// TestGraphNeedsAnAnchor: an address that is no mailbox there makes way for the next.
func TestGraphNeedsAnAnchor(t *testing.T) {
	free := func(a string) string { return entryOf(a, `"availabilityView":"00000000"`) }
	refusal := func(code string) string {
		b, _ := json.Marshal(map[string]any{"error": map[string]string{"code": code, "message": "because"}})
		return string(b)
	}
	const failure = "ProxyFailed: Proxy web request failed. , inner exception: https://graph.fabrikam.com/v1.0/users/kim@fabrikam.com/calendar/getSchedule: HTTP status "
	for _, tt := range []struct {
		name    string
		refuse  func(anchor string, n int) (int, string)
		anchors string
		want    []string
	}{
		{"the first", nil, "kim", []string{"kim 00000000", "lee 00000000"}},
		{"the second", func(a string, _ int) (int, string) {
			if a == "kim@fabrikam.com" {
				return 404, refusal("ErrorInvalidUser")
			}
			return 0, ""
		}, "kim lee", []string{"kim 00000000", "lee 00000000"}},
		{"none", func(string, int) (int, string) { return 404, refusal("MailboxNotEnabledForRESTAPI") }, "kim lee",
			[]string{"kim Remote: ErrorMailRecipientNotFound: because", "lee Remote: ErrorMailRecipientNotFound: because"}},
		{"no Graph at all", func(string, int) (int, string) { return 404, "<html>" }, "kim", []string{"kim " + failure + "404: Not Found", "lee " + failure + "404: Not Found"}},
		{"no role", func(string, int) (int, string) { return 403, refusal("ErrorAccessDenied") }, "kim",
			[]string{"kim " + failure + "403: Forbidden, ErrorAccessDenied: because", "lee " + failure + "403: Forbidden, ErrorAccessDenied: because"}},
		{"too long", func(string, int) (int, string) { return 400, refusal("ErrorTimeIntervalTooBig") }, "kim",
			[]string{"kim Remote: ErrorTimeIntervalTooBig: because", "lee Remote: ErrorTimeIntervalTooBig: because"}},
		{"throttled", func(_ string, n int) (int, string) {
			if n == 1 {
				return 429, refusal("TooManyRequests")
			}
			return 0, ""
		}, "kim kim", []string{"kim 00000000", "lee 00000000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &cloud{entry: free, refuse: tt.refuse}
				r := graphRig(t, c)
				r.want(r.ask(query("kim", "lee")), tt.want...)
				if got := strings.ReplaceAll(strings.Join(c.anchors, " "), "@fabrikam.com", ""); got != tt.anchors {
					t.Errorf("asked as %s, want %s", got, tt.anchors)
				}
			})
		})
	}
}

// Where only some domains have a Graph, the others are asked as before, and a base
// that is no URL is said.
func TestGraphOfSomeDomains(t *testing.T) {
	p := newPeer(t)
	r := newRig(t, p)
	r.org.AuthServers = []directory.AuthServer{{Type: directory.AuthServerAzureAD, Enabled: true, ApplicationIdentifier: "app", DomainName: []string{"tailspin.com"}, GraphBaseURL: "http://x"}}
	r.want(r.ask(query("kim", "ted@tailspin.com")), "kim 02000000", `ted ProxyFailed: Proxy web request failed. , inner exception: GraphBaseUrl: "http://x": not an https URL`)
	r.requests(p, 1, 1)
}

package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"busybridge/internal/directory"
	"busybridge/internal/spec/smtpaddr"
)

// What a question needs of many mailboxes is read by few statements, for each may
// be a round trip to another machine. Their texts are few, too, for each is
// prepared by the database: a list of values is filled up with its last one.
var listSizes = []int{1, 8, 32, 128}

// lists cuts values into lists of these sizes.
func lists(values []string) (out [][]string) {
	most := listSizes[len(listSizes)-1]
	for chunk := range slices.Chunk(values, most) {
		i := slices.IndexFunc(listSizes, func(n int) bool { return n >= len(chunk) })
		list := slices.Clone(chunk)
		for len(list) < listSizes[i] {
			list = append(list, chunk[len(chunk)-1])
		}
		out = append(out, list)
	}
	return out
}

// in is the text of a list of n parameters, of which the first has the number first.
func in(first, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(", $" + strconv.Itoa(first+i))
	}
	return "(" + b.String()[2:] + ")"
}

func recipientsByAddress(n int) string {
	return `SELECT a.address, r.recipient_id, r.body FROM addresses a
		JOIN recipients r ON r.org_id = a.org_id AND r.recipient_id = a.recipient_id WHERE a.org_id = $1 AND a.address IN ` + in(2, n)
}

func calendarsWithMonths(n int) string {
	list := in(4, n)
	return `SELECT c.mailbox_id, c.version, c.zone, c.years, c.objects, c.occurrences, m.month, m.data FROM calendars c
		LEFT JOIN calendar_months m ON m.org_id = c.org_id AND m.mailbox_id = c.mailbox_id AND m.month BETWEEN $2 AND $3
		WHERE c.org_id = $1 AND c.mailbox_id IN ` + list + `
		UNION ALL
		SELECT mailbox_id, 0, '', '', 0, 0, month, data FROM calendar_months
		WHERE org_id = $1 AND mailbox_id IN ` + list + ` AND month < 0`
}

// listed are the arguments of such a statement.
func listed(list []string, before ...any) []any {
	for _, v := range list {
		before = append(before, v)
	}
	return before
}

// LoadRecipients reads the recipients with these addresses into memory, with those
// that are not there, as far as they fit: Recipient finds them there, until the
// directory changes.
func (s *Store) LoadRecipients(ctx context.Context, org directory.OrgID, addresses []smtpaddr.Address) error {
	mark, _ := s.mark()
	texts := make([]string, len(addresses))
	for i, a := range addresses {
		texts[i] = a.String()
	}
	found := make(map[string]marked[*directory.Recipient], len(addresses))
	for _, list := range lists(texts) {
		if err := s.recipientsAt(ctx, org, list, found); err != nil {
			return fmt.Errorf("%d recipients of %s: %w", len(addresses), org, err)
		}
	}
	for i, a := range addresses {
		m, ok := found[texts[i]]
		if !ok {
			m.size = len(org) + len(texts[i])
		}
		s.recipients.put(recipientKey{org: org, address: a}, m.value, m.size, mark)
	}
	return nil
}

func (s *Store) recipientsAt(ctx context.Context, org directory.OrgID, list []string, found map[string]marked[*directory.Recipient]) error {
	rows, err := s.query(ctx, true, recipientsByAddress(len(list)), listed(list, string(org))...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var address, id string
		var body []byte
		if err := rows.Scan(&address, &id, &body); err != nil {
			return err
		}
		r, err := decodeRecipient(org, id, body)
		if err != nil {
			return err
		}
		found[address] = marked[*directory.Recipient]{value: r, size: 3 * len(body)}
	}
	return rows.Err()
}

// Calendars returns the states of the calendars of the mailboxes that have one, each
// with its months as CalendarMonths has them, all of one version.
func (s *Store) Calendars(ctx context.Context, org directory.OrgID, mailboxes []string, from, to int) (map[string]*directory.CalendarSpan, error) {
	found := make(map[string]*directory.CalendarSpan, len(mailboxes))
	for _, list := range lists(mailboxes) {
		if err := s.calendarsOf(ctx, org, list, from, to, found); err != nil {
			return nil, fmt.Errorf("read %d calendars of %s: %w", len(mailboxes), org, err)
		}
	}
	return found, nil
}

func (s *Store) calendarsOf(ctx context.Context, org directory.OrgID, list []string, from, to int, found map[string]*directory.CalendarSpan) error {
	rows, err := s.query(ctx, true, calendarsWithMonths(len(list)), listed(list, string(org), from, to)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var mailbox string
		var st directory.CalendarState
		var years []byte
		var month *int
		var data []byte
		if err := rows.Scan(&mailbox, &st.Version, &st.Zone, &years, &st.Objects, &st.Occurrences, &month, &data); err != nil {
			return err
		}
		c := found[mailbox]
		if c == nil {
			c = &directory.CalendarSpan{}
			found[mailbox] = c
		}
		if st.Version > 0 && c.State.Version == 0 {
			if err := json.Unmarshal(years, &st.Years); err != nil {
				return fmt.Errorf("calendar of %s: %w", mailbox, err)
			}
			c.State = st
		}
		if month != nil {
			c.Months = append(c.Months, directory.CalendarMonth{Month: *month, Data: data})
		}
	}
	return rows.Err()
}

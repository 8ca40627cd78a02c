package caldavserver

import (
	"time"

	"busybridge/internal/directory"
	"busybridge/internal/spec/soap"
)

// ReadFilter reads a filter, and returns what holds a text against it.
func ReadFilter(e *soap.Element) (func(text []byte) (bool, error), error) {
	f, err := readFilter(e)
	if err != nil {
		return nil, err
	}
	return func(text []byte) (bool, error) { return matcher{time.UTC}.object(f, &Object{Text: text}) }, nil
}

// Apply carries out the instructions of a document.
func Apply(e *soap.Element, f *directory.CalendarFolder, created bool) error {
	list, err := instructions(e)
	if err == nil {
		_, err = apply(f, created, list)
	}
	return err
}

// Selected reads what a document asks for.
func Selected(e *soap.Element) error {
	_, err := selected(e)
	return err
}

// ParseBusyRequest reads what an outbox is asked.
func ParseBusyRequest(text []byte) (start, end time.Time, attendees int, err error) {
	q, err := parseBusyRequest(text)
	return q.start, q.end, len(q.attendees), err
}

package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"busybridge/bench/dataset"
)

// compute is K: the least that a server can do that reads the real question and
// computes its answer. It looks for the few elements that it needs, knows the
// token by its hash, has packed occurrences of each mailbox in memory, and writes
// the answer by appending. It shares no code with the program.
type compute struct {
	token     [sha256.Size]byte
	calendars map[string][]packed
	dates     []byte // ten bytes for each day of the horizon
	buffers   sync.Pool
}

// packed is one occurrence in eight bytes: minutes since the horizon's start,
// and a length in minutes with the status in the lowest two bits.
type packed struct{ start, length uint32 }

func newCompute(set []dataset.Mailbox, token string) *compute {
	k := &compute{token: sha256.Sum256([]byte("Bearer " + token)), calendars: map[string][]packed{}}
	for i := range set {
		list := make([]packed, 0, len(set[i].Occurrences))
		for _, o := range set[i].Occurrences {
			if o.Start >= dataset.Horizon.Start {
				list = append(list, packed{uint32((o.Start - dataset.Horizon.Start) / 60), uint32((o.End-o.Start)/60)<<2 | uint32(o.Status)})
			}
		}
		k.calendars[set[i].Address] = list
	}
	for s := dataset.Horizon.Start; s < dataset.Horizon.End+31*86400; s += 86400 {
		k.dates = time.Unix(s, 0).UTC().AppendFormat(k.dates, time.DateOnly)
	}
	k.buffers.New = func() any { return new([]byte) }
	return k
}

// The pieces of an answer, as Exchange writes them.
const (
	answerHead = `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="0" MajorBuildNumber="847" MinorBuildNumber="32" Version="V2_8" xmlns:h="http://schemas.microsoft.com/exchange/services/2006/types" xmlns="http://schemas.microsoft.com/exchange/services/2006/types"/></s:Header><s:Body xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><GetUserAvailabilityResponse xmlns="http://schemas.microsoft.com/exchange/services/2006/messages"><FreeBusyResponseArray>`
	answerFoot = `</FreeBusyResponseArray></GetUserAvailabilityResponse></s:Body></s:Envelope>`
	types      = ` xmlns="http://schemas.microsoft.com/exchange/services/2006/types">`
	boxHead    = `<FreeBusyResponse><ResponseMessage ResponseClass="Success"><ResponseCode>NoError</ResponseCode></ResponseMessage><FreeBusyView><FreeBusyViewType` + types + `FreeBusy</FreeBusyViewType><CalendarEventArray` + types
	boxFoot    = `</CalendarEventArray><WorkingHours` + types + `<TimeZone><Bias>0</Bias><StandardTime><Bias>0</Bias><Time>00:00:00</Time><DayOrder>0</DayOrder><Month>0</Month><DayOfWeek>Sunday</DayOfWeek></StandardTime><DaylightTime><Bias>0</Bias><Time>00:00:00</Time><DayOrder>0</DayOrder><Month>0</Month><DayOfWeek>Sunday</DayOfWeek></DaylightTime></TimeZone><WorkingPeriodArray><WorkingPeriod><DayOfWeek>Monday Tuesday Wednesday Thursday Friday</DayOfWeek><StartTimeInMinutes>480</StartTimeInMinutes><EndTimeInMinutes>1020</EndTimeInMinutes></WorkingPeriod></WorkingPeriodArray></WorkingHours></FreeBusyView></FreeBusyResponse>`
	eventStart = `<CalendarEvent><StartTime>`
	eventEnd   = `</StartTime><EndTime>`
	eventType  = `</EndTime><BusyType>`
	eventFoot  = `</BusyType></CalendarEvent>`
	noMailbox  = `<FreeBusyResponse><ResponseMessage ResponseClass="Error"><ResponseCode>ErrorMailRecipientNotFound</ResponseCode></ResponseMessage></FreeBusyResponse>`
)

// longest is that of an occurrence, in minutes.
const longest = 32 * 1440

func (k *compute) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if sha256.Sum256([]byte(r.Header.Get("Authorization"))) != k.token {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	request, out := k.buffers.Get().(*[]byte), k.buffers.Get().(*[]byte)
	defer k.buffers.Put(request)
	defer k.buffers.Put(out)
	var ok bool
	if *request, ok = readInto((*request)[:0], r); !ok {
		return
	}
	from, ok1 := element(*request, "StartTime>")
	to, ok2 := element(*request, "EndTime>")
	if !ok1 || !ok2 {
		http.Error(w, "no window", http.StatusBadRequest)
		return
	}
	b := append((*out)[:0], answerHead...)
	for rest := *request; ; {
		var address []byte
		if address, rest, ok = next(rest, "Address>"); !ok {
			break
		}
		b = k.mailbox(b, address, minutesOf(from), minutesOf(to))
	}
	*out = append(b, answerFoot...)
	answer(w, *out)
}

func readInto(b []byte, r *http.Request) ([]byte, bool) {
	b = slices.Grow(b, int(max(r.ContentLength, 512)))
	for {
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, err == io.EOF
		}
		if len(b) == cap(b) {
			b = slices.Grow(b, 4096)
		}
	}
}

// next finds the text of the next element whose start tag ends so.
func next(b []byte, tag string) (text, rest []byte, ok bool) {
	i := bytes.Index(b, []byte(tag))
	if i < 0 {
		return nil, nil, false
	}
	b = b[i+len(tag):]
	end := bytes.IndexByte(b, '<')
	if end < 0 {
		return nil, nil, false
	}
	rest = b[end:]
	if i := bytes.IndexByte(rest, '>'); i >= 0 {
		rest = rest[i+1:]
	}
	return b[:end], rest, true
}

func element(b []byte, tag string) (string, bool) {
	text, _, ok := next(b, tag)
	return string(text), ok
}

// minutesOf is an instant of a question, in minutes since the horizon's start.
func minutesOf(s string) uint32 {
	t, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(s, "Z"))
	if err != nil || t.Unix() < dataset.Horizon.Start {
		return 0
	}
	return uint32((t.Unix() - dataset.Horizon.Start) / 60)
}

var statusTexts = [...]string{"Free", "Tentative", "Busy", "OOF"}

func (k *compute) mailbox(b, address []byte, from, to uint32) []byte {
	list, ok := k.calendars[string(address)]
	if !ok {
		return append(b, noMailbox...)
	}
	b = append(b, boxHead...)
	floor := from - min(from, longest)
	for _, p := range list[sort.Search(len(list), func(i int) bool { return list[i].start >= floor }):] {
		if p.start >= to {
			break
		}
		if end := p.start + p.length>>2; end > from {
			b = append(k.appendTime(append(b, eventStart...), p.start), eventEnd...)
			b = append(k.appendTime(b, end), eventType...)
			b = append(append(b, statusTexts[p.length&3]...), eventFoot...)
		}
	}
	return append(b, boxFoot...)
}

func (k *compute) appendTime(b []byte, minutes uint32) []byte {
	day, m := minutes/1440*10, minutes%1440
	b = append(b, k.dates[day:day+10]...)
	h := m / 60
	m %= 60
	return append(b, 'T', byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':', '0', '0')
}
